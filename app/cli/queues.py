"""Queues on the command line: `pressroom queues --help`."""

from dataclasses import asdict
from typing import Annotated

import typer

from app.cli.commands import Invocation, Limit, command
from app.cli.deprecated import LANE, PAUSE, QUEUE
from app.cli.durations import duration_s
from app.cli.pauses import For, for_ms, paused_as_json, paused_row
from app.control.inspector import QueueInfo
from app.output import out
from broker.inspection.admin import WAITING
from broker.inspection.views import Lane, WaitingState

queues = typer.Typer(
    name="queues",
    no_args_is_help=True,
    help="See what runs and waits on which queue; hold queues back, let them go, and clean them.",
    epilog="Each command works for one org (--org), or, with a reason that is kept, for all (--operator --reason).",
)

Name = Annotated[str, typer.Argument(help="The queue; with .<region>, in that region alone.")]
Queue = Annotated[str | None, typer.Argument(help="The queue; with .<region>, in that region alone.")]
Actor = Annotated[str | None, typer.Option(help="Instead of a queue: one actor, whichever org's.")]


@command(queues, "list", example='queues list --operator --reason "looking around"')
def list_(call: Invocation) -> None:
    """List queues: how much is in flight and waits, how long the oldest, and what parked jobs wait for.

    Queues that have nothing are only counted; --wide lists them.
    """
    found = call.control.queues.list(call.caller)
    shown = [each for each in found if call.wide or _has_any(each)]
    call.table(
        [asdict(each) for each in found],
        rows=[_row(each) for each in shown],
        title="Queues",
        names=QUEUE,
        none=f"Nothing runs or waits on any of {len(found)} queues; --wide lists them.",
    )
    if shown and len(shown) < len(found) and not call.as_json:
        out.print(f"{len(found) - len(shown)} more have nothing; --wide lists them.", highlight=False)


@command(queues, "show", example='queues show exports --operator --reason "it is slow"')
def show_(call: Invocation, name: Annotated[str, typer.Argument(help="The queue.")]) -> None:
    """Show one queue: who works on it, what is where, and what parked jobs wait for."""
    found = call.control.queues.show(call.caller, name)
    call.fields(asdict(found), shown=_row(found), title="Queue", names=QUEUE)


@command(queues, "lanes", example='queues lanes exports --operator --reason "whose turn is it?"')
def lanes(call: Invocation, name: Name, limit: Limit = 50) -> None:
    """List a queue's lanes: orgs in the order of their turns, and what blocks those that may not run."""
    found = call.control.queues.lanes(call.caller, name, limit=limit)
    call.table(
        [asdict(each) for each in found],
        rows=[_lane_row(each) for each in found],
        title=f"Lanes of {name}",
        names=LANE,
    )


@command(
    queues,
    "clean",
    changes=True,
    example="queues clean exports --actor domain_export --older-than 2d --yes --org 7c9e6679-... "
    '--reason "sent by mistake"',
)
def clean(
    call: Invocation,
    name: Name,
    actor: Annotated[str | None, typer.Option(help="Only jobs of this actor.")] = None,
    older_than: Annotated[
        str | None, typer.Option(help="Only jobs due for longer, or sent before, like 30m or 2d.")
    ] = None,
    state: Annotated[WaitingState | None, typer.Option(help="Only jobs in this state.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without, they are only counted.")] = False,
) -> None:
    """Drop jobs that wait, for good: they become no dead letters. What a worker has in flight stays."""
    older_than_ms = None if older_than is None else duration_s(older_than, "--older-than") * 1_000
    count = call.control.queues.clean(
        call.caller,
        name,
        actor=actor,
        older_than_ms=older_than_ms,
        states=WAITING if state is None else {state},
        dry_run=not yes,
    )
    sentence = (
        f"Dropped {count} jobs of {name}." if yes else f"Would drop {count} jobs of {name}; --yes does."
    )
    call.report({"queue": name, "dropped": count if yes else 0, "found": count}, sentence)


@command(
    queues, "pause", changes=True, example='queues pause publishing --for 1h --operator --reason "it is down"'
)
def pause(call: Invocation, queue: Queue = None, actor: Actor = None, lasting: For = None) -> None:
    """Hold a queue's jobs back, or an actor's; what runs goes on. An org holds back its own jobs of an actor."""
    named = _named(queue, actor)
    made = call.control.pauses.pause(call.caller, queue=queue, actor=named, for_ms=for_ms(lasting))
    call.report(paused_as_json(made), f"Paused {made.what}.", names=PAUSE)


@command(
    queues, "resume", changes=True, example='queues resume publishing --operator --reason "their API is back"'
)
def resume(call: Invocation, queue: Queue = None, actor: Actor = None) -> None:
    """Let them run again, within some seconds."""
    call.control.pauses.resume(call.caller, queue=queue, actor=_named(queue, actor))
    name = queue or actor
    call.report({"queue": queue, "actor": actor, "resumed": name}, f"Resumed {name}.")


@command(queues, "paused", example='queues paused --operator --reason "what is held back?"')
def paused(call: Invocation) -> None:
    """List what is held back: queues, actors, orgs; to an org its own jobs."""
    found = call.control.pauses.list(call.caller)
    call.table(
        [paused_as_json(each) for each in found],
        rows=[paused_row(each) for each in found],
        title="Paused",
        names=PAUSE,
        none="Nothing is paused.",
    )


def _named(queue: str | None, actor: str | None) -> str | None:
    # Without either, an org would hold back all it has, which `orgs pause` is for.
    if (queue is None) == (actor is None):
        raise typer.BadParameter("name a queue, or an actor with --actor")
    return actor


def _has_any(found: QueueInfo) -> bool:
    depth = found.depth
    waiting = (depth.ready, depth.delayed, depth.parked, depth.held, depth.suspects, depth.dead)
    return any((found.running, depth.leased, *waiting))


def _row(found: QueueInfo) -> dict[str, object]:
    depth = found.depth
    parked = ", ".join(f"{number} {kind}" for kind, number in found.parked_by_cause.items())
    # What is nowhere else than 0 is not worth a column.
    return {
        "queue": found.name,
        "in flight": depth.leased,
        "ready": depth.ready,
        "oldest": _seconds(depth.oldest_age_s),
        "waiting for": parked,
        "delayed": depth.delayed or None,
        "parked": depth.parked or None,
        "held": depth.held or None,
        "suspects": depth.suspects or None,
        "dead": depth.dead or None,
        "actors": ", ".join(found.actors),
    }


def _lane_row(lane: Lane) -> dict[str, object]:
    return {
        "org": lane.org,
        "actor": lane.actor,
        "jobs": lane.length,
        "oldest": _seconds(lane.oldest_age_s),
        "blocked by": " ".join(lane.shut_because),
        "priority": lane.priority,
        "key": lane.key,
        "turn": None if lane.virtual_time is None else round(lane.virtual_time),
    }


def _seconds(age_s: float | None) -> str:
    return "" if age_s is None else f"{age_s:.0f} s"
