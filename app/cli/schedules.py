"""Schedules on the command line: `python -m app schedule --help`."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

import typer

from app.cli.options import (
    AsJson,
    AsOperator,
    Limit,
    Org,
    Reason,
    caller_of,
    controlling,
    show_fields,
    show_page,
    show_rows,
    tell,
)
from app.control import Operator
from app.output import CommandError, show
from domain.schedules import MissedTicks, Schedule

schedule = typer.Typer(
    name="schedule",
    no_args_is_help=True,
    help="Have jobs started again and again: add, show, pause and remove schedules.",
    epilog="Each command works for one org (--org), or, with a reason that is kept, for all (--operator --reason).",
)

ScheduleId = Annotated[UUID, typer.Argument(help="Id of the schedule, as `list` shows it.")]
Expression = Annotated[str, typer.Argument(help="minute hour day month weekday, or like @daily.")]
Zone = Annotated[str, typer.Option("--tz", help="The time zone whose clocks count.")]


@schedule.command("list", epilog="Example: python -m app schedule list --org 7c9e6679-...")
def list_(
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    limit: Limit = 50,
    after: Annotated[UUID | None, typer.Option(help="Go on after the schedule with this id.")] = None,
    as_json: AsJson = False,
) -> None:
    """List schedules in the order they were made; for operators also those that are built in."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        page = control.schedules.list(caller, after=after, limit=limit)
        built_in = control.schedules.built_in(caller) if isinstance(caller, Operator) and not after else []
    show_page(
        [_plain(each) if as_json else _row(each) for each in page],
        as_json=as_json,
        title="Schedules",
        cursors=[str(each.id) for each in page],
        limit=limit,
    )
    if built_in and not as_json:
        show_rows([asdict(each) for each in built_in], title="Built in")


@schedule.command("show", epilog="Example: python -m app schedule show 0192f1c4-... --org 7c9e6679-...")
def show_(
    schedule_id: ScheduleId,
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Show everything that is known of a schedule: what it starts and when, what it did last, why it paused itself."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        found = control.schedules.show(caller, schedule_id)
    show_fields(_plain(found) if as_json else asdict(found), as_json=as_json, title="Schedule")


@schedule.command(
    epilog="Example: python -m app schedule add weekly domain_export '0 8 * * mon' "
    '\'{"domain_id": "...", "format": "csv"}\' --tz Europe/Athens --org 7c9e6679-... --reason "the new report"'
)
def add(
    name: Annotated[str, typer.Argument(help="Names it within the org.")],
    actor: Annotated[str, typer.Argument(help="Which job it starts.")],
    expression: Expression,
    payload: Annotated[str, typer.Argument(help="The job's contract as JSON, without org_id.")] = "{}",
    tz: Zone = "UTC",
    missed: Annotated[
        MissedTicks, typer.Option(help="When no worker was there: run once for all, or skip them.")
    ] = "coalesce",
    org: Org = None,
    operator: AsOperator = False,
    for_org: Annotated[UUID | None, typer.Option("--for-org", help="Whose, for an operator.")] = None,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Add a schedule; `preview` shows beforehand when it would be due."""
    caller = caller_of(org, operator, reason, changes=True)
    try:
        data = json.loads(payload)
    except ValueError as error:
        raise CommandError(f"the payload is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise CommandError("the payload is a JSON object, the job's contract without org_id")
    with controlling() as control:
        made = control.schedules.add(
            caller, name, actor, expression, data, tz=tz, missed=missed, org_id=for_org
        )
    tell(
        _plain(made), f"Added {made.name} as {made.id}; it is due first at {_utc(made.next_due_at)}.", as_json
    )


@schedule.command(
    epilog='Example: python -m app schedule pause 0192f1c4-... --org 7c9e6679-... --reason "holidays"'
)
def pause(
    schedule_id: ScheduleId,
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Start a schedule's job no more until it is resumed; what was started already runs."""
    caller = caller_of(org, operator, reason, changes=True)
    with controlling() as control:
        paused = control.schedules.pause(caller, schedule_id)
    tell(_plain(paused), f"Paused {paused.name}.", as_json)


@schedule.command(
    epilog='Example: python -m app schedule resume 0192f1c4-... --org 7c9e6679-... --reason "back again"'
)
def resume(
    schedule_id: ScheduleId,
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Start it again, from now on; what would have been due meanwhile is not made up for."""
    caller = caller_of(org, operator, reason, changes=True)
    with controlling() as control:
        resumed = control.schedules.resume(caller, schedule_id)
    tell(_plain(resumed), f"Resumed {resumed.name}; it is due next at {_utc(resumed.next_due_at)}.", as_json)


@schedule.command(
    epilog='Example: python -m app schedule remove 0192f1c4-... --org 7c9e6679-... --reason "not needed"'
)
def remove(
    schedule_id: ScheduleId,
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Remove a schedule for good; what was started already runs."""
    caller = caller_of(org, operator, reason, changes=True)
    with controlling() as control:
        control.schedules.remove(caller, schedule_id)
    tell({"removed": str(schedule_id)}, f"Removed {schedule_id}.", as_json)


@schedule.command(epilog='Example: python -m app schedule preview "0 8 * * mon-fri" --tz Europe/Athens')
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
        rows.append({"local": f"{there:%a %Y-%m-%d %H:%M %Z}", "utc": _utc(due)})
    show(rows, as_json=as_json, title=f"{timetable.expression} in {timetable.tz}")


def _row(each: Schedule) -> dict[str, object]:
    return {
        "id": each.id,
        "org": each.org_id,
        "name": each.name,
        "actor": each.actor,
        "when": f"{each.expression} {each.tz}",
        "next": "" if each.paused else _utc(each.next_due_at),
        "last": "" if each.last_due_at is None else _utc(each.last_due_at),
        "state": f"paused: {each.error}" if each.error else "paused" if each.paused else "on",
    }


def _plain(each: Schedule) -> dict[str, object]:
    return {
        name: value.isoformat()
        if isinstance(value, datetime)
        else str(value)
        if isinstance(value, UUID)
        else value
        for name, value in asdict(each).items()
    }


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%MZ}"
