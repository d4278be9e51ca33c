"""How the command line talks: tables and colours for people, JSON for scripts."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.table import Table
from rich.text import Text


class CommandError(Exception):
    """Something a person asked for cannot be done; the command line shows the message as one line."""


#: Columns where there is no terminal to ask: logs and files scroll sideways better than they fold.
WIDTH = 160

out = Console(width=None if sys.stdout.isatty() else WIDTH)
err = Console(stderr=True, width=None if sys.stderr.isatty() else WIDTH)


def show(rows: Sequence[dict[str, object]], *, as_json: bool, title: str | None = None) -> None:
    """Print rows as a table, or as a JSON list of objects.

    Parameters:
        rows: one mapping a row, all with the same keys.
        as_json: for scripts.
        title: above the table.
    """
    if as_json:
        out.print_json(json.dumps(rows, default=str))
        return
    table = Table(title=title, title_justify="left")
    for column in rows[0] if rows else ():
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))  # data, not markup
    out.print(table)


def save_picture(path: Path, title: str) -> None:
    """Save what `out` recorded as an SVG that loads nothing from anywhere, in whatever monospaced font there is."""
    plain = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    out.save_svg(str(path), title=title, code_format=plain)


def fail(message: str) -> None:
    """Tell what went wrong on standard error."""
    err.print(f"[bold red]Error:[/] {_escaped(message)}", highlight=False)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
