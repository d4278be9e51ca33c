"""What commands of the control API have in common: who calls, how refusals end, and how answers are printed."""

import getpass
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from app.control import Caller, Operator, OrgCaller, build_control
from app.output import out, show
from app.settings import load_settings

if TYPE_CHECKING:
    from app.control.build import Control

Org = Annotated[UUID | None, typer.Option("--org", help="The org whose things are meant.")]
AsOperator = Annotated[bool, typer.Option("--operator", help="Those of every org; needs --reason.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the audit log.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Limit = Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")]
After = Annotated[str | None, typer.Option(help="Go on after this cursor.")]

#: Whatever an org looks at is not audited, so it need not say why.
LOOKING = "looked at on the command line"


def caller_of(org: UUID | None, operator: bool, reason: str | None, *, changes: bool) -> Caller:
    """Who calls, from a command's options.

    Parameters:
        org, operator, reason: the options.
        changes: whether the command changes anything, so that an org has to say why, too.

    Raises:
        BadParameter: the options do not say who, or not why.
    """
    if (org is None) != operator:
        raise typer.BadParameter("say whose: --org ORG, or --operator --reason WHY for every org's")
    given = (reason or "").strip()
    if not given and (operator or changes):
        raise typer.BadParameter("say why with --reason; the audit log keeps it")
    if org is None:
        return Operator(who=getpass.getuser(), reason=given)
    return OrgCaller(org_id=org, who=getpass.getuser(), reason=given or LOOKING)


@contextmanager
def controlling() -> "Iterator[Control]":
    """The control API on the servers that the settings name.

    Raises:
        SettingsError: no database is named.
    """
    with build_control(load_settings()) as control:
        yield control


def show_page(
    rows: Sequence[Mapping[str, object]], *, as_json: bool, title: str, cursors: Sequence[str], limit: int
) -> None:
    """Print a page: for scripts each row with its cursor, for people with how to go on."""
    if as_json:
        with_cursors = zip(rows, cursors, strict=True)
        show([{**row, "cursor": cursor} for row, cursor in with_cursors], as_json=True)
        return
    show_rows(rows, title=title)
    if rows and len(rows) == limit:
        out.print(f"More: --after {cursors[-1]}", highlight=False)


def show_rows(rows: Sequence[Mapping[str, object]], *, title: str) -> None:
    """Print a table for people."""
    if not rows:
        out.print(f"{title}: none.", highlight=False)
        return
    show([{name: readable(value) for name, value in row.items()} for row in rows], as_json=False, title=title)


def show_fields(fields: Mapping[str, object], *, as_json: bool, title: str) -> None:
    """Print one thing: for people, what there is of it, a line each."""
    if as_json:
        out.print_json(json.dumps(fields, default=str))
        return
    there = {name: value for name, value in fields.items() if value not in (None, [], {}, "")}
    show_rows([{"field": name, "value": value} for name, value in there.items()], title=title)


def tell(answer: Mapping[str, object], sentence: str, as_json: bool) -> None:
    """Print what was done."""
    if as_json:
        out.print_json(json.dumps(answer, default=str))
    else:
        out.print(sentence, highlight=False, markup=False)


def readable(value: object) -> str:
    """A value as a person reads it in a table."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, dict | list):
        return json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return str(value)
