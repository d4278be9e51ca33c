"""Worker processes on the command line: `python -m app workers --help`."""

from dataclasses import asdict
from typing import Annotated

import typer

from app.cli.options import AsJson, AsOperator, Org, Reason, caller_of, controlling, show_rows, tell
from app.output import show
from broker.inspection.views import WorkerView

workers = typer.Typer(
    name="workers",
    no_args_is_help=True,
    help="See which worker processes there are and what each has in hand; have one fetch nothing more. For operators.",
    epilog="Each command needs --operator --reason WHY; the reason is kept.",
)

Worker = Annotated[str, typer.Argument(help="Its id, or <host>:<process>, as `list` shows them.")]


@workers.command("list", epilog='Example: python -m app workers list --operator --reason "who has it?"')
def list_(
    org: Org = None, operator: AsOperator = False, reason: Reason = None, as_json: AsJson = False
) -> None:
    """List worker processes: what they serve, what they have in hand and for how long, and how large they are."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        found = control.workers.list(caller)
    if as_json:
        show([_fields(each) for each in found], as_json=True)
    else:
        show_rows([_row(each) for each in found], title="Workers")


@workers.command(epilog='Example: python -m app workers quiet web-7:4711 --operator --reason "it swaps"')
def quiet(
    worker: Worker,
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Have a worker process fetch nothing more, until it is resumed or ends. What it has in hand it runs."""
    caller = caller_of(org, operator, reason, changes=True)
    with controlling() as control:
        found = control.workers.quiet(caller, worker)
    tell(
        {"quiet": found.id}, f"{found.place} fetches nothing more; {found.leased} jobs are in hand.", as_json
    )


@workers.command(
    epilog='Example: python -m app workers resume web-7:4711 --operator --reason "it is well again"'
)
def resume(
    worker: Worker,
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Let a worker process fetch again, within some seconds."""
    caller = caller_of(org, operator, reason, changes=True)
    with controlling() as control:
        found = control.workers.resume(caller, worker)
    tell({"resumed": found.id}, f"{found.place} fetches again.", as_json)


def _fields(worker: WorkerView) -> dict[str, object]:
    fields = {**asdict(worker), "place": worker.place}
    fields["in_hand"] = fields.pop("in_flight")  # what it has been called since 0.1.0
    return fields


def _row(each: WorkerView) -> dict[str, object]:
    longest = each.in_flight[0] if each.in_flight else None
    return {
        "worker": each.place,
        "version": each.version,
        "region": each.region,
        "queues": ", ".join(each.queues or ()),
        "threads": each.threads,
        "in hand": each.leased,
        "longest": "" if longest is None else f"{longest.actor} {longest.age_s:.0f} s",
        "MB": "" if each.rss_bytes is None else str(round(each.rss_bytes / 1_000_000)),
        "quiet": "quiet" if each.quiet else "",
        "last beat": f"{each.last_beat_s:.0f} s",
    }
