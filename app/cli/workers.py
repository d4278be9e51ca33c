"""Worker processes on the command line: `pressroom workers --help`."""

from dataclasses import asdict
from typing import Annotated

import typer

from app.cli.commands import Invocation, command
from app.cli.deprecated import QUIETED_WORKER, WORKER
from broker.inspection.views import WorkerView

workers = typer.Typer(
    name="workers",
    no_args_is_help=True,
    help="See which worker processes there are and what each has in flight; quiet one. For operators.",
    epilog="Each command needs --operator --reason WHY; the reason is kept.",
)

Worker = Annotated[str, typer.Argument(help="Its id, or <host>:<process>, as `list` shows them.")]


@command(workers, "list", example='workers list --operator --reason "who has it?"')
def list_(call: Invocation) -> None:
    """List worker processes: what they serve, what each has in flight and for how long, and how large it is."""
    found = call.control.workers.list(call.caller)
    call.table(
        [_fields(each) for each in found], rows=[_row(each) for each in found], title="Workers", names=WORKER
    )


@command(workers, "quiet", changes=True, example='workers quiet web-7:4711 --operator --reason "it swaps"')
def quiet(call: Invocation, worker: Worker) -> None:
    """Have a worker process fetch nothing more, until it is resumed or ends. What it has in flight it runs."""
    found = call.control.workers.quiet(call.caller, worker)
    sentence = f"{found.place} fetches nothing more; {found.leased} jobs are in flight."
    call.report({"quiet": found.id}, sentence, names=QUIETED_WORKER)


@command(
    workers,
    "resume",
    changes=True,
    example='workers resume web-7:4711 --operator --reason "it is well again"',
)
def resume(call: Invocation, worker: Worker) -> None:
    """Let a worker process fetch again, within some seconds."""
    found = call.control.workers.resume(call.caller, worker)
    call.report({"resumed": found.id}, f"{found.place} fetches again.", names=QUIETED_WORKER)


def _fields(worker: WorkerView) -> dict[str, object]:
    fields = {**asdict(worker), "place": worker.place}
    return {**fields, "in_hand": fields["in_flight"]}


def _row(each: WorkerView) -> dict[str, object]:
    longest = each.in_flight[0] if each.in_flight else None
    return {
        "worker": each.place,
        "in flight": each.leased,
        "longest": None if longest is None else f"{longest.actor} {longest.age_s:.0f} s",
        "quiet": "quiet" if each.quiet else None,
        "last beat": f"{each.last_beat_s:.0f} s",
        "MB": None if each.rss_bytes is None else round(each.rss_bytes / 1_000_000),
        "threads": each.threads,
        "version": each.version,
        "region": each.region,
        "queues": ", ".join(each.queues or ()),
    }
