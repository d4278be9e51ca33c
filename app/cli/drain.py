"""`pressroom queues drain-dramatiq`: takes over what was sent while the platform still used Dramatiq's own broker."""

from typing import Annotated

import typer

from app.bootstrap.redis import NAMESPACE
from app.cli.commands import Invocation, command
from app.cli.deprecated import old_spelling
from app.cli.queues import queues
from app.output import note, out
from broker.drain.drain import Drained, ProgressPrinter

FromNamespace = Annotated[str, typer.Option(help="What the other broker's keys begin with.")]
Queues = Annotated[list[str] | None, typer.Option("--queue", help="Only this one; may be repeated.")]
Dead = Annotated[bool, typer.Option("--dead", help="Dead letters too.")]
Follow = Annotated[bool, typer.Option("--follow", help="Go on until workers there hold nothing more.")]
SilentS = Annotated[
    float | None,
    typer.Option(
        help="Also take what workers hold that have been silent for so long; Dramatiq's measure is 60."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what is there.")]

_EXAMPLE = 'queues drain-dramatiq --follow --operator --reason "off the old broker"'


@command(queues, "drain-dramatiq", changes=True, by="operators", example=_EXAMPLE)
def drain_dramatiq(
    call: Invocation,
    from_namespace: FromNamespace = NAMESPACE,
    queue: Queues = None,
    dead: Dead = False,
    follow: Follow = False,
    silent_s: SilentS = None,
    dry_run: DryRun = False,
) -> None:
    """Move jobs from Dramatiq's own Redis broker here, while its workers run; see docs/migrating.md. For operators."""
    drained, progress = Drained(), ProgressPrinter(note)
    for drained in call.control.queues.drain_dramatiq(
        call.caller,
        queues=queue or (),
        from_namespace=from_namespace,
        dead=dead,
        follow=follow,
        silent_s=silent_s,
        dry_run=dry_run,
    ):
        if not dry_run:
            progress(drained)
    if call.as_json:
        call.report({"queues": drained.as_json(), "over": drained.is_over(dead=dead)}, "")
        return
    for text in drained.lines() or ["Nothing is there."]:
        out.print(text, highlight=False, markup=False, soft_wrap=True)


@command(queues, "drain-stock", changes=True, by="operators", hidden=True, example=_EXAMPLE)
def drain_by_old_name(
    call: Invocation,
    from_namespace: FromNamespace = NAMESPACE,
    queue: Queues = None,
    dead: Dead = False,
    follow: Follow = False,
    silent_s: SilentS = None,
    dry_run: DryRun = False,
) -> None:
    """See `drain-dramatiq`."""
    old_spelling("queues drain-stock", "queues drain-dramatiq")
    drain_dramatiq(call, from_namespace, queue, dead, follow, silent_s, dry_run)
