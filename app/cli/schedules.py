"""Schedules on the command line: `pressroom schedules --help`."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

import typer

from app.cli.commands import AfterId, AsJson, Invocation, Limit, command, example_of
from app.cli.deprecated import SCHEDULE
from app.control import Operator
from app.output import CommandError, show
from domain.schedules import MissedTicks, Schedule

schedules = typer.Typer(
    name="schedules",
    no_args_is_help=True,
    help="Have jobs started again and again: add, show, pause and remove schedules.",
    epilog="Each command works for one org (--org), or, with a reason that is kept, for all (--operator --reason).",
)

ScheduleId = Annotated[UUID, typer.Argument(help="Id of the schedule, as `list` shows it.")]
Expression = Annotated[
    str, typer.Argument(help="minute hour day month weekday, or like @daily; gap= and fold= may follow.")
]
Zone = Annotated[str, typer.Option("--tz", help="The time zone whose clocks count.")]


@command(schedules, "list", example="schedules list --org 7c9e6679-...")
def list_(call: Invocation, limit: Limit = 50, after: AfterId = None) -> None:
    """List schedules in the order they were made; for operators also those that are built in."""
    listed = call.control.schedules
    page = listed.list(call.caller, after=after, limit=limit)
    built_in = listed.built_in(call.caller) if isinstance(call.caller, Operator) and not after else []
    call.page(
        [asdict(each) for each in page],
        rows=[_row(each) for each in page],
        title="Schedules",
        cursors=[str(each.id) for each in page],
        limit=limit,
        names=SCHEDULE,
    )
    if built_in and not call.as_json:
        call.rows([asdict(each) for each in built_in], title="Built in")


@command(schedules, "show", example="schedules show 0192f1c4-... --org 7c9e6679-...")
def show_(call: Invocation, schedule_id: ScheduleId) -> None:
    """Show everything that is known of a schedule: what it starts and when, what it did last, why it paused itself."""
    found = call.control.schedules.show(call.caller, schedule_id)
    call.fields(asdict(found), title="Schedule", names=SCHEDULE)


@command(
    schedules,
    "add",
    changes=True,
    example="schedules add weekly domain_export '0 8 * * mon' "
    '\'{"domain_id": "...", "format": "csv"}\' --tz Europe/Athens --org 7c9e6679-... --reason "the new report"',
)
def add(
    call: Invocation,
    name: Annotated[str, typer.Argument(help="Names it within the org.")],
    actor: Annotated[str, typer.Argument(help="Which job it starts.")],
    expression: Expression,
    payload: Annotated[str, typer.Argument(help="The job's contract as JSON, without org_id.")] = "{}",
    tz: Zone = "UTC",
    missed: Annotated[
        MissedTicks, typer.Option(help="When no worker was there: run once for all, or skip them.")
    ] = "coalesce",
    for_org: Annotated[UUID | None, typer.Option("--for-org", help="Whose, for an operator.")] = None,
) -> None:
    """Add a schedule; `preview` shows beforehand when it would be due."""
    try:
        data = json.loads(payload)
    except ValueError as error:
        raise CommandError(f"the payload is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise CommandError("the payload is a JSON object, the job's contract without org_id")
    made = call.control.schedules.add(
        call.caller, name, actor, expression, data, tz=tz, missed=missed, org_id=for_org
    )
    sentence = f"Added {made.name} as {made.id}; it is due first at {_utc(made.next_due_at)}."
    call.report(asdict(made), sentence, names=SCHEDULE)


@command(
    schedules,
    "pause",
    changes=True,
    example='schedules pause 0192f1c4-... --org 7c9e6679-... --reason "holidays"',
)
def pause(call: Invocation, schedule_id: ScheduleId) -> None:
    """Start a schedule's job no more until it is resumed; what was started already runs."""
    paused = call.control.schedules.pause(call.caller, schedule_id)
    call.report(asdict(paused), f"Paused {paused.name}.", names=SCHEDULE)


@command(
    schedules,
    "resume",
    changes=True,
    example='schedules resume 0192f1c4-... --org 7c9e6679-... --reason "back again"',
)
def resume(call: Invocation, schedule_id: ScheduleId) -> None:
    """Start it again, from now on; what would have been due meanwhile is not made up for."""
    resumed = call.control.schedules.resume(call.caller, schedule_id)
    sentence = f"Resumed {resumed.name}; it is due next at {_utc(resumed.next_due_at)}."
    call.report(asdict(resumed), sentence, names=SCHEDULE)


@command(
    schedules,
    "remove",
    changes=True,
    example='schedules remove 0192f1c4-... --org 7c9e6679-... --reason "not needed"',
)
def remove(call: Invocation, schedule_id: ScheduleId) -> None:
    """Remove a schedule for good; what was started already runs."""
    call.control.schedules.remove(call.caller, schedule_id)
    call.report({"removed": schedule_id}, f"Removed {schedule_id}.", names=SCHEDULE)


@schedules.command(epilog=example_of('schedules preview "0 8 * * mon-fri" --tz Europe/Athens'))
def preview(
    expression: Expression,
    tz: Zone = "UTC",
    count: Annotated[int, typer.Option(min=1, max=100, help="How many times.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Print the next times of an expression, by the zone's clocks and in UTC. Needs no server."""
    from app.bootstrap.worker.schedules import read_timetable
    from domain.errors import InvalidInput

    try:
        timetable = read_timetable(expression, tz)
    except InvalidInput as error:
        raise CommandError(str(error)) from None
    due, rows = datetime.now(UTC), list[dict[str, object]]()
    for _ in range(count):
        due = timetable.next_after(due)
        there = due.astimezone(ZoneInfo(timetable.tz))
        rows.append({"local": f"{there:%a %Y-%m-%d %H:%M %Z}", "utc": due if as_json else _utc(due)})
    show(rows, as_json=as_json, title=f"{timetable.expression} in {timetable.tz}")


def _row(each: Schedule) -> dict[str, object]:
    return {
        "id": each.id,
        "name": each.name,
        "state": f"paused: {each.error}" if each.error else "paused" if each.paused else "on",
        "actor": each.actor,
        "when": f"{each.expression} {each.tz}",
        "next": None if each.paused else _utc(each.next_due_at),
        "last": None if each.last_due_at is None else _utc(each.last_due_at),
        "org": each.org_id,
    }


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%MZ}"
