"""Queues on the command line: `python -m app queues --help`."""

from dataclasses import asdict
from typing import Annotated

import typer

from app.callers_cli import AsJson, AsOperator, Org, Reason, caller_of, controlling, show_rows, tell
from app.paused_rows import For, for_ms, paused_as_json, paused_row
from app.presentation import show

queues = typer.Typer(
    name="queues",
    no_args_is_help=True,
    help="See which queues there are and what runs on them; hold them back and let them go.",
    epilog="Each command works for one org (--org), or, with a reason that is kept, for all (--operator --reason).",
)


@queues.command("list", epilog='Example: python -m app queues list --operator --reason "looking around"')
def list_(
    org: Org = None, operator: AsOperator = False, reason: Reason = None, as_json: AsJson = False
) -> None:
    """List every queue with its actors and how much runs. What waits on them, stock brokers do not tell."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        found = control.queues.list(caller)
    if as_json:
        show([asdict(each) for each in found], as_json=True)
        return
    show_rows(
        [{"queue": each.name, "actors": ", ".join(each.actors), "running": each.running} for each in found],
        title="Queues",
    )


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
