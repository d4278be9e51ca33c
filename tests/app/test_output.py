"""What people see of tables, and scripts of values."""

import io
import json
import os
import shutil
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from rich.console import Console

from app import output
from app.output import show

ID = str(uuid4())
TEXT = "the remote service refused what it was sent, and it will refuse it again"


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is printed, on a terminal of 80 columns."""
    text = io.StringIO()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(output, "out", Console(file=text, width=80))
    return text


def lines(printed: io.StringIO) -> list[str]:
    """Its lines without what is blank behind them."""
    return [row.rstrip() for row in printed.getvalue().splitlines()]


def test_an_id_stays_whole_and_texts_wrap(printed: io.StringIO) -> None:
    """No row is over 80 columns; an id can be copied, in one piece."""
    show([{"id": ID, "state": "failed", "message": TEXT}], as_json=False, title="Jobs")

    rows = lines(printed)
    assert max(map(len, rows)) <= 80
    assert [row for row in rows if ID in row]
    assert " ".join(row[36 + 2 + 6 :].strip() for row in rows[3:]).split() == TEXT.split()


def test_columns_that_are_empty_or_find_no_room_are_left_out(printed: io.StringIO) -> None:
    """Those without room are named, and `--wide` prints all."""
    row = {"id": ID, "actor": "content_idea_generation", "region": None, "org": str(uuid4()), "attempt": 7}

    show([row], as_json=False)
    show([row], as_json=False, wide=True)

    narrow, _, wide = printed.getvalue().partition("No room for: org. --wide shows all.\n")
    assert wide
    assert str(row["org"]) not in narrow
    assert "region" not in narrow
    assert str(row["org"]) in wide
    assert "region" in wide


def test_without_a_terminal_no_column_is_left_out(
    printed: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reads from a pipe gets them all."""
    monkeypatch.delenv("COLUMNS")
    monkeypatch.setattr(shutil, "get_terminal_size", lambda fallback: os.terminal_size(fallback))
    row = {str(number): str(uuid4()) for number in range(9)}

    show([row], as_json=False)

    assert " ".join(lines(printed)).split()[-9:] == list(row.values())


def test_what_looks_like_markup_is_none(printed: io.StringIO) -> None:
    """Texts come out of messages."""
    show([{"message": "[/bold] no"}], as_json=False)

    assert "[/bold] no" in printed.getvalue()


def test_times_are_iso_in_json(printed: io.StringIO) -> None:
    """With a T, and Z for UTC."""
    show([{"at": datetime(2026, 11, 30, 8, 42, 37, tzinfo=UTC), "id": uuid4()}], as_json=True)

    assert json.loads(printed.getvalue())[0]["at"] == "2026-11-30T08:42:37Z"
