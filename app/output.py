"""How the command line talks: tables and colours for people, JSON for scripts."""

import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich import box
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text


class CommandError(Exception):
    """Something a person asked for cannot be done; the command line shows the message as one line."""


#: Columns where there is no terminal to ask, and COLUMNS says nothing: wide enough for logs, and no endless rows.
WIDTH = 160
#: A text or word up to this long stays whole, however narrow the terminal.
MAX_UNBROKEN = 24
#: The narrowest column of longer texts.
MIN_TEXT = 16
#: Blanks between two columns of a table.
GAP = 2

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Columns that are copied into the next command, besides those that hold UUIDs.
_COPIED = frozenset({"id", "key", "worker", "queue", "fingerprint", "variable"})


def _room() -> int | None:
    """Columns of the terminal, or what COLUMNS says; None where neither is, and nothing is left out."""
    return shutil.get_terminal_size((0, 0)).columns or None


out = Console(width=None if _room() else WIDTH)
err = Console(stderr=True, width=None if _room() or sys.stderr.isatty() else WIDTH)


def show(
    rows: Sequence[Mapping[str, object]], *, as_json: bool, title: str | None = None, wide: bool = False
) -> None:
    """Print rows as a table, or as a JSON list of objects.

    A table is as wide as the terminal: ids stay whole, texts wrap, columns that are empty are left out, and so are
    those that find no room, which the last line names.

    Parameters:
        rows: one mapping a row, all with the same keys, what matters most first.
        as_json: for scripts.
        title: above the table. Default none.
        wide: print every column, however wide the table gets. Default False.
    """
    if as_json:
        show_json(list(rows))
        return
    columns = _columns(rows, keep_empty=wide)
    room = _room()
    shown = columns if wide or room is None else _that_fit(columns, room)
    _fit(shown, None if wide else room or WIDTH)
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP - 1, 0, 0),
    )
    for column in shown:
        table.add_column(Text(column.header), width=column.width, no_wrap=column.is_id, overflow="fold")
    for at in range(len(rows)):
        table.add_row(*(Text(column.cells[at]) for column in shown))  # data, not markup
    with _at_least(_width_of(shown)):
        out.print(table)
    hidden = [column.header for column in columns if column not in shown]
    if hidden:
        out.print(f"No room for: {', '.join(hidden)}. --wide shows all.", highlight=False, markup=False)


def show_json(value: object) -> None:
    """Print a value as JSON, times as ISO 8601 in UTC, like `2026-11-30T08:42:37Z`."""
    out.print_json(json.dumps(value, default=plain))


def plain(value: object) -> object:
    """What JSON has no type for, as text.

    Example:
        >>> plain(datetime(2026, 11, 30, 8, 42, 37, tzinfo=UTC))
        '2026-11-30T08:42:37Z'
    """
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


def readable(value: object) -> str:
    """A value as a person reads it in a table."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, dict | list):
        return json.dumps(value, indent=2, ensure_ascii=False, default=plain)
    return str(value)


def save_picture(path: Path, title: str) -> None:
    """Save what `out` recorded as an SVG that loads nothing from anywhere, in whatever monospaced font there is."""
    font_face = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
    out.save_svg(str(path), title=title, code_format=font_face.sub("", CONSOLE_SVG_FORMAT))


def fail(message: str) -> None:
    """Print what went wrong on standard error."""
    err.print(f"[bold red]Error:[/] {_escaped(message)}", highlight=False, soft_wrap=True)


def note(message: str) -> None:
    """Print a line on standard error that is no error, and no answer either."""
    err.print(message, highlight=False, markup=False, soft_wrap=True)


@dataclass
class _Column:
    header: str
    cells: list[str]
    is_id: bool
    #: Cells that the longest row takes.
    natural: int
    #: The fewest it is readable in.
    least: int
    width: int = 0


def _columns(rows: Sequence[Mapping[str, object]], *, keep_empty: bool) -> list[_Column]:
    columns = []
    for name in rows[0] if rows else ():
        cells = [readable(row[name]) for row in rows]
        if keep_empty or any(cells):
            columns.append(_column(name, cells))
    return columns


def _column(name: str, cells: list[str]) -> _Column:
    header = name.replace("_", " ")
    filled = [each for each in cells if each]
    is_id = name in _COPIED or name.endswith("_id") or (bool(filled) and all(map(_UUID.fullmatch, filled)))
    natural = max(cell_len(each) for cell in (header, *cells) for each in (cell.splitlines() or [""]))
    words = max((cell_len(each) for cell in cells for each in cell.split()), default=0)
    is_whole = is_id or natural <= MAX_UNBROKEN
    least = natural if is_whole else max(cell_len(header), min(words, MAX_UNBROKEN), MIN_TEXT)
    return _Column(header, cells, is_id, natural, least)


def _that_fit(columns: Sequence[_Column], room: int) -> list[_Column]:
    """Those that find room, the first of them first."""
    taken: list[_Column] = []
    left = room
    for column in columns:
        needs = column.least + (GAP if taken else 0)
        if needs <= left or not taken:
            taken.append(column)
            left -= needs
    return taken


def _fit(columns: Sequence[_Column], room: int | None) -> None:
    """Share what room is left: columns that need little get all they need."""
    spare = None if room is None else room - sum(each.least for each in columns) - GAP * (len(columns) - 1)
    for column in sorted(columns, key=lambda each: each.natural - each.least):
        needs = column.natural - column.least
        given = needs if spare is None else max(0, min(needs, spare))
        column.width = column.least + given
        spare = None if spare is None else spare - given


def _width_of(columns: Sequence[_Column]) -> int:
    return sum(each.width + GAP for each in columns)


@contextmanager
def _at_least(width: int) -> Iterator[None]:
    """A block in which nothing of that width is cut."""
    before = out.width
    if before >= width:
        yield
        return
    out.width = width
    try:
        yield
    finally:
        out.width = before


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
