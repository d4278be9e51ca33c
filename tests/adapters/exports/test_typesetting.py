"""The typesetter as a process of its own."""

import tempfile
from pathlib import Path

import pytest

from adapters.exports import typesetting
from domain.errors import DeadlineExceeded, InvalidInput, RetryableError

DOCUMENT = {"title": "t", "facts": [["a", "b"]], "keywords": [], "created_s": 0}


def test_it_writes_a_pdf() -> None:
    """A document of its title alone is enough."""
    with tempfile.TemporaryFile() as pdf:
        typesetting.typeset(DOCUMENT, pdf)
        pdf.seek(0)
        assert pdf.read(5) == b"%PDF-"


def test_what_it_refuses_is_invalid_input() -> None:
    """A document the template cannot print is a permanent error with the typesetter's reason."""
    with pytest.raises(InvalidInput, match="facts"), tempfile.TemporaryFile() as pdf:
        typesetting.typeset({"title": "t", "keywords": [], "created_s": 0}, pdf)


def test_it_is_given_up_in_time() -> None:
    """A document that takes too long ends as a used-up deadline, and its process with it."""
    with pytest.raises(DeadlineExceeded, match="narrow the date range"), tempfile.TemporaryFile() as pdf:
        typesetting.typeset(DOCUMENT, pdf, timeout_s=0.001)


def test_a_killed_typesetter_is_worth_another_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended from outside, as for lack of memory, the job may be tried again."""
    program = tmp_path / "typesetter.py"
    program.write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    monkeypatch.setattr(typesetting, "_PROGRAM", program)
    with pytest.raises(RetryableError, match="signal 9"), tempfile.TemporaryFile() as pdf:
        typesetting.typeset(DOCUMENT, pdf)
