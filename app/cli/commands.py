"""What commands of the control API have in common: who calls and why, how refusals end, and how answers are printed."""

import getpass
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Concatenate, Literal, ParamSpec
from uuid import UUID

import typer

from app.cli.deprecated import Names, with_old_names
from app.control import Caller, Operator, OrgCaller, build_control
from app.output import out, show, show_json
from app.settings import REASON_VARIABLE, load_settings

if TYPE_CHECKING:
    from app.control.build import Control

#: What people type to get here.
PROGRAM = "pressroom"

#: What an org looks at is not audited, so it need not say why.
LOOKING = "looked at on the command line"

#: Who may call: one org or an operator, an operator alone, or an org alone.
Callers = Literal["anyone", "operators", "orgs"]

P = ParamSpec("P")

Limit = Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")]
After = Annotated[str | None, typer.Option(help="Go on after this cursor.")]
AfterId = Annotated[UUID | None, typer.Option(help="Go on after the entry with this id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Wide = Annotated[bool, typer.Option("--wide", help="Print every column, however wide the table gets.")]
_Org = Annotated[UUID | None, typer.Option("--org", help="The org whose things are meant.")]
_Operator = Annotated[bool, typer.Option("--operator", help="Those of every org; needs --reason.")]
_Reason = Annotated[
    str | None, typer.Option("--reason", envvar=REASON_VARIABLE, help="Why; kept in the audit log.")
]

_OPTIONS: dict[str, tuple[object, object]] = {
    "org": (_Org, None),
    "operator": (_Operator, False),
    "reason": (_Reason, None),
    "wide": (Wide, False),
    "as_json": (AsJson, False),
}

_LEFT_OUT: dict[Callers, str] = {"operators": "org", "orgs": "operator"}


class Invocation:
    """A command as somebody calls it: who calls, the API to act by, and how answers are printed.

    Parameters:
        caller: who calls, and why.
        gave_reason: whether they said why.
        as_json: print JSON for scripts.
        wide: print every column of tables.
        closing: closes what the command has opened.
    """

    def __init__(
        self, caller: Caller, *, gave_reason: bool, as_json: bool, wide: bool, closing: ExitStack
    ) -> None:
        self.caller = caller
        self.as_json = as_json
        self._gave_reason = gave_reason
        self.wide = wide
        self._closing = closing

    @cached_property
    def control(self) -> "Control":
        """The control API on the servers that the settings name.

        Raises:
            SettingsError: no database is named.
        """
        return self._closing.enter_context(build_control(load_settings()))

    @property
    def org_id(self) -> UUID:
        """The org that calls.

        Raises:
            BadParameter: an operator calls.
        """
        if self.caller.org_id is None:
            raise typer.BadParameter("say whose: --org ORG")
        return self.caller.org_id

    def require_reason(self) -> None:
        """Refuse a change without a reason.

        Raises:
            BadParameter: nobody said why.
        """
        if not self._gave_reason:
            raise typer.BadParameter(f"say why with --reason, or {REASON_VARIABLE}; the audit log keeps it")

    def page(
        self,
        records: Sequence[Mapping[str, object]],
        *,
        title: str,
        cursors: Sequence[str],
        limit: int,
        names: Names | None = None,
        rows: Sequence[Mapping[str, object]] | None = None,
    ) -> None:
        """Print a page: for scripts each record with its cursor, for people with how to go on.

        Parameters:
            records: for scripts.
            title: above the table.
            cursors: where each record stands.
            limit: how many were asked for.
            names: old names of fields. Default none.
            rows: for people. Default: the records.
        """
        if self.as_json:
            with_cursors = zip(records, cursors, strict=True)
            self._json([{**record, "cursor": cursor} for record, cursor in with_cursors], names)
            return
        self.rows(records if rows is None else rows, title=title)
        if records and len(records) == limit:
            out.print(f"More: --after {cursors[-1]}", highlight=False, soft_wrap=True)

    def table(
        self,
        records: Sequence[Mapping[str, object]],
        *,
        title: str,
        rows: Sequence[Mapping[str, object]] | None = None,
        names: Names | None = None,
        none: str | None = None,
    ) -> None:
        """Print all there is. Parameters as for `page`; `none` is what people read where there is nothing."""
        if self.as_json:
            self._json(list(records), names)
        else:
            self.rows(records if rows is None else rows, title=title, none=none)

    def rows(self, rows: Sequence[Mapping[str, object]], *, title: str, none: str | None = None) -> None:
        """Print a table for people; where there is nothing, that."""
        if rows:
            show(rows, as_json=False, title=title, wide=self.wide)
        else:
            out.print(none or f"No {title[0].lower()}{title[1:]}.", highlight=False, markup=False)

    def fields(
        self,
        record: Mapping[str, object],
        *,
        title: str,
        shown: Mapping[str, object] | None = None,
        names: Names | None = None,
    ) -> None:
        """Print one thing: for people, what there is of it, a field a row.

        Parameters:
            record: for scripts.
            title: above the table.
            shown: for people. Default: the record.
            names: old names of fields. Default none.
        """
        if self.as_json:
            self._json(record, names)
            return
        there = (record if shown is None else shown).items()
        found = [{"field": name, "value": value} for name, value in there if value not in (None, [], {}, "")]
        self.rows(found, title=title)

    def report(self, answer: Mapping[str, object], sentence: str, *, names: Names | None = None) -> None:
        """Print what was done."""
        if self.as_json:
            self._json(answer, names)
        else:
            out.print(sentence, highlight=False, markup=False, soft_wrap=True)

    def _json(self, value: object, names: Names | None) -> None:
        show_json(value if names is None else with_old_names(value, names))


Command = Callable[Concatenate[Invocation, P], None]


def command(
    app: typer.Typer,
    name: str,
    *,
    example: str | tuple[str, ...],
    changes: bool = False,
    by: Callers = "anyone",
    hidden: bool = False,
    ignore_unknown_options: bool = False,
) -> Callable[[Command[P]], Command[P]]:
    """Adds a function to the command line, with the options that say who calls, why, and how the answer is printed.

    The function's first parameter is the `Invocation`, its others become options and arguments as typer has it.

    Parameters:
        app: the group of commands.
        name: the command's.
        example: what to type after the program's name, for `--help`; one or several.
        changes: whether it changes anything, so that an org has to say why, too. Default False.
        by: who may call. Default: one org, or an operator.
        hidden: leave it out of the list of commands. Default False.
        ignore_unknown_options: take what looks like an option for an argument, as a negative number does. Default
            False.

    Example:
        >>> @command(jobs, "why", example="jobs why 0192f1c4-... --org 7c9e6679-...")
        ... def why(call: Invocation, job_id: JobId) -> None: ...
    """

    def add(function: Command[P]) -> Command[P]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
        left_out = {_LEFT_OUT.get(by), "wide" if changes else None}
        parameters += [_option(each) for each in _OPTIONS if each not in left_out]

        invoke: Callable[..., None] = function  # typer has read its signature

        def run(**given: object) -> None:
            org, operator, reason = given.pop("org", None), given.pop("operator", False), given.pop("reason")
            as_json, wide = bool(given.pop("as_json")), bool(given.pop("wide", False))
            caller = caller_of(
                org if isinstance(org, UUID) else None,
                bool(operator),
                reason if isinstance(reason, str) else None,
                changes=changes,
                by=by,
            )
            with ExitStack() as closing:
                call = Invocation(
                    caller,
                    gave_reason=bool(str(reason or "").strip()),
                    as_json=as_json,
                    wide=wide,
                    closing=closing,
                )
                invoke(call, **given)

        run.__doc__ = function.__doc__
        run.__name__ = function.__name__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        settings = {"ignore_unknown_options": True} if ignore_unknown_options else {}
        examples = (example,) if isinstance(example, str) else example
        app.command(name, epilog=example_of(*examples), hidden=hidden, context_settings=settings)(run)
        return function

    return add


def example_of(*commands: str) -> str:
    """The last line of a command's `--help`.

    Example:
        >>> example_of("up")
        'Example: pressroom up'
    """
    return f"Example{'s' if len(commands) > 1 else ''}: " + "; ".join(
        f"{PROGRAM} {each}" for each in commands
    )


def caller_of(
    org: UUID | None, operator: bool, reason: str | None, *, changes: bool, by: Callers = "anyone"
) -> Caller:
    """Who calls, from a command's options.

    Parameters:
        org, operator, reason: the options.
        changes: whether the command changes anything, so that an org has to say why, too.
        by: who may call. Default: one org, or an operator.

    Raises:
        BadParameter: the options do not say who, or not why.
    """
    if by == "operators" and not operator:
        raise typer.BadParameter("this is for operators: --operator --reason WHY")
    if by == "orgs" and org is None:
        raise typer.BadParameter("say whose: --org ORG")
    if (org is None) != operator:
        raise typer.BadParameter("say whose, one of: --org ORG, or --operator --reason WHY for every org's")
    given = (reason or "").strip()
    if not given and (operator or changes):
        raise typer.BadParameter(f"say why with --reason, or {REASON_VARIABLE}; the audit log keeps it")
    if org is None:
        return Operator(who=getpass.getuser(), reason=given)
    return OrgCaller(org_id=org, who=getpass.getuser(), reason=given or LOOKING)


def _option(name: str) -> inspect.Parameter:
    annotation, default = _OPTIONS[name]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
