"""Whose export a file is: it says so itself, in every format.

A clean-up has only a name to go by, and under that name may lie the file of an earlier export. The id in the
file decides.
"""

import re
from collections.abc import Mapping
from typing import BinaryIO
from uuid import UUID

from domain.domain_export import Format

#: Bytes at the start of a file in which its header stands; a PDF has it near its end instead.
HEAD_BYTES = 4_096

_ID = rb"([0-9a-f-]{36})"
_MARKS: Mapping[Format, re.Pattern[bytes]] = {
    "json": re.compile(rb'\A\{"export_version": \d+, "export_id": "' + _ID),
    "csv": re.compile(rb"\Asection,[a-z_,]+\r\nexport,\d+," + _ID),
    "markdown": re.compile(rb'\A---\nexport_version: \d+\nexport_id: "' + _ID),
    "pdf": re.compile(rb"\A%PDF-.*/Keywords\(export, export_version=\d+, export_id=" + _ID, re.DOTALL),
}


def written_by(file: BinaryIO, kind: Format, export_id: UUID) -> bool:
    """True if `file`, from its position on, is what the export `export_id` wrote as `kind`.

    Example:
        >>> written_by(io.BytesIO(b"somebody's notes"), "csv", export_id)
        False
    """
    text = file.read() if kind == "pdf" else file.read(HEAD_BYTES)
    mark = _MARKS[kind].match(text)
    return mark is not None and mark[1] == str(export_id).encode()
