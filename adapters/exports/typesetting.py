"""The typesetter as a process of its own.

Typesetting holds hundreds of megabytes for a large document and keeps them; it cannot be interrupted; and a
fault in it ends its process. A worker could afford none of these.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from domain.errors import DeadlineExceeded, InvalidInput, RetryableError

#: Seconds one document may take. The largest there can be takes a tenth of it.
TYPESETTING_TIMEOUT_S = 300.0
#: Bytes of the typesetter's own words that are read at most.
MAX_DIAGNOSTIC_BYTES = 2_000

_PROGRAM = Path(__file__).with_name("typesetter.py")


def typeset(
    document: Mapping[str, object], pdf: IO[bytes], *, timeout_s: float = TYPESETTING_TIMEOUT_S
) -> None:
    """Write `document` as PDF.

    The document reaches the typesetter as data that a fixed template prints, never as markup, and the
    typesetter's root is an empty folder: no text can run code or read a file.

    Parameters:
        document: what `export.typ` prints; JSON data.
        pdf: an open file with a descriptor; written to from its position on.
        timeout_s: how long it may take. Default 300.

    Raises:
        InvalidInput: the typesetter refuses the document.
        RetryableError: the typesetter was killed, most likely for lack of memory.
        DeadlineExceeded: it took longer than `timeout_s`.
    """
    with TemporaryDirectory() as empty_folder, TemporaryFile() as data, TemporaryFile() as diagnostic:
        data.write(json.dumps(document, ensure_ascii=False).encode())
        data.seek(0)
        try:
            # Files instead of pipes: waiting then polls, so that the job can be interrupted meanwhile.
            done = subprocess.run(
                [sys.executable, "-I", str(_PROGRAM)],
                stdin=data,
                stdout=pdf,
                stderr=diagnostic,
                cwd=empty_folder,
                timeout=timeout_s,
                check=False,
                start_new_session=True,  # Ctrl-C at the worker lets running jobs finish
            )
        except subprocess.TimeoutExpired:
            raise DeadlineExceeded(
                f"typesetting the PDF took longer than {timeout_s:.0f} s; narrow the date range, or export "
                "json, csv or markdown"
            ) from None
        diagnostic.seek(0)
        words = diagnostic.read(MAX_DIAGNOSTIC_BYTES).decode("utf-8", "replace").strip()
    if done.returncode < 0:
        raise RetryableError(
            f"the typesetter was ended by signal {-done.returncode}, most likely for lack of memory; give the "
            "worker more, narrow the date range, or export json, csv or markdown"
        )
    if done.returncode > 0:
        raise InvalidInput(f"the PDF cannot be typeset ({words}); export json, csv or markdown")
