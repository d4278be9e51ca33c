"""Queues on the command line: `python -m app queues --help`."""

from dataclasses import asdict
from typing import Annotated

import typer

from app.cli.durations import duration_s
from app.cli.options import (
    AsJson,
    AsOperator,
    Limit,
    Org,
    Reason,
    caller_of,
    controlling,
    readable,
    show_fields,
    show_rows,
    tell,
)
from app.cli.pauses import For, for_ms, paused_as_json, paused_row
from app.control.inspector import QueueInfo
from app.output import show
from broker.inspection.admin import WAITING
from broker.inspection.views import Lane, WaitingState

queues = typer.Typer(
    name="queues",
    no_args_is_help=True,
    help="See what runs and waits on which queue; hold queues back, let them go, and clean them.",
    epilog="Each command works for one org (--org), or, with a reason that is kept, for all (--operator --reason).",
)


@queues.command("list", epilog='Example: python -m app queues list --operator --reason "looking around"')
def list_(
    org: Org = None, operator: AsOperator = False, reason: Reason = None, as_json: AsJson = False
) -> None:
    """List every queue: how much is in hand and waits, how long the oldest, and what parked jobs wait for."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        found = control.queues.list(caller)
    if as_json:
        show([asdict(each) for each in found], as_json=True)
        return
    show_rows([_row(each) for each in found], title="Queues")


@queues.command("show", epilog='Example: python -m app queues show exports --operator --reason "it is slow"')
def show_(
    name: Annotated[str, typer.Argument(help="The queue.")],
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Show one queue: who works on it, what is where, and what parked jobs wait for."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        found = control.queues.show(caller, name)
    fields = asdict(found) if as_json else _row(found)
    show_fields(fields, as_json=as_json, title="Queue")


@queues.command(epilog='Example: python -m app queues lanes exports --operator --reason "whose turn is it?"')
def lanes(
    name: Annotated[str, typer.Argument(help="The queue; with .<region>, in that region alone.")],
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List a queue's lanes: orgs in the order of their turns, and what shuts those that may not run."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        found = control.queues.lanes(caller, name, limit=limit)
    if as_json:
        show([asdict(each) for each in found], as_json=True)
    else:
        show_rows([_lane_row(each) for each in found], title=f"Lanes of {name}")


@queues.command(
    epilog="Example: python -m app queues clean exports --actor domain_export --older-than 2d --yes --org 7c9e6679-... "
    '--reason "sent by mistake"'
)
def clean(
    name: Annotated[str, typer.Argument(help="The queue; with .<region>, in that region alone.")],
    actor: Annotated[str | None, typer.Option(help="Only jobs of this actor.")] = None,
    older_than: Annotated[
        str | None, typer.Option(help="Only jobs due for longer, or sent before, like 30m or 2d.")
    ] = None,
    state: Annotated[WaitingState | None, typer.Option(help="Only jobs in this state.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without, they are only counted.")] = False,
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Drop jobs that wait, for good: they become no dead letters. What a worker has in hand stays."""
    caller = caller_of(org, operator, reason, changes=True)
    older_than_ms = None if older_than is None else duration_s(older_than, "--older-than") * 1_000
    with controlling() as control:
        count = control.queues.clean(
            caller,
            name,
            actor=actor,
            older_than_ms=older_than_ms,
            states=WAITING if state is None else {state},
            dry_run=not yes,
        )
    sentence = (
        f"Dropped {count} jobs of {name}." if yes else f"Would drop {count} jobs of {name}; --yes does."
    )
    tell({"queue": name, "dropped": count if yes else 0, "found": count}, sentence, as_json)


Queue = Annotated[str | None, typer.Argument(help="The queue; with .<region>, in that region alone.")]
Actor = Annotated[str | None, typer.Option(help="Instead of a queue: one actor, whichever org's.")]


@queues.command(
    epilog='Example: python -m app queues pause publishing --for 1h --operator --reason "it is down"'
)
def pause(
    queue: Queue = None,
    actor: Actor = None,
    lasting: For = None,
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Hold a queue's jobs back, or an actor's; what runs goes on. An org holds back its own jobs of an actor."""
    caller = caller_of(org, operator, reason, changes=True)
    with controlling() as control:
        made = control.pauses.pause(caller, queue=queue, actor=_named(queue, actor), for_ms=for_ms(lasting))
    tell(paused_as_json(made), f"Paused {made.what}.", as_json)


@queues.command(
    epilog='Example: python -m app queues resume publishing --operator --reason "their API is back"'
)
def resume(
    queue: Queue = None,
    actor: Actor = None,
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Let them run again, within some seconds."""
    caller = caller_of(org, operator, reason, changes=True)
    with controlling() as control:
        control.pauses.resume(caller, queue=queue, actor=_named(queue, actor))
    name = queue or actor
    tell({"resumed": name}, f"Resumed {name}.", as_json)


@queues.command(epilog='Example: python -m app queues paused --operator --reason "what is held back?"')
def paused(
    org: Org = None, operator: AsOperator = False, reason: Reason = None, as_json: AsJson = False
) -> None:
    """List what is held back: queues, actors, orgs; to an org its own jobs."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        found = control.pauses.list(caller)
    if as_json:
        show([paused_as_json(each) for each in found], as_json=True)
        return
    show_rows([paused_row(each) for each in found], title="Paused")


def _named(queue: str | None, actor: str | None) -> str | None:
    # Without either, an org would hold back all it has, which `orgs pause` is for.
    if (queue is None) == (actor is None):
        raise typer.BadParameter("name a queue, or an actor with --actor")
    return actor


def _row(found: QueueInfo) -> dict[str, object]:
    depth = found.depth
    parked = ", ".join(f"{number} {kind}" for kind, number in found.parked_by_cause.items())
    return {
        "queue": found.name,
        "in hand": depth.leased,
        "ready": depth.ready,
        "oldest": _seconds(depth.oldest_age_s),
        "delayed": depth.delayed,
        "parked": depth.parked,
        "held": depth.held,
        "suspects": depth.suspects,
        "dead": depth.dead,
        "waiting for": parked,
        "actors": ", ".join(found.actors),
    }


def _lane_row(lane: Lane) -> dict[str, object]:
    return {
        "org": lane.org,
        "actor": lane.actor,
        "priority": lane.priority,
        "key": lane.key,
        "jobs": lane.length,
        "oldest": _seconds(lane.oldest_age_s),
        "turn": "" if lane.virtual_time is None else readable(round(lane.virtual_time)),
        "shut because": " ".join(lane.shut_because),
    }


def _seconds(age_s: float | None) -> str:
    return "" if age_s is None else f"{age_s:.0f} s"
