"""Jobs on the command line: `python -m app jobs --help`."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.cli.options import (
    After,
    AsJson,
    AsOperator,
    Limit,
    Org,
    Reason,
    caller_of,
    controlling,
    readable,
    show_fields,
    show_page,
    show_rows,
    tell,
)
from app.control.inspector import Job, JobDetails, JobState, JobWhy
from app.output import CommandError, out
from broker.inspection.views import WaitingMessage
from middleware.cancellation.requests import CancelRequest
from middleware.history.guard import AttemptRecord

jobs = typer.Typer(
    name="jobs",
    no_args_is_help=True,
    help="Send jobs, see what became of them and why one does not run, and stop them.",
    epilog="Each command works for one org (--org), or, with a reason that is kept, for all (--operator --reason).",
)

JobId = Annotated[str, typer.Argument(help="Id of the job, as `list` and `enqueue` show it.")]
Actor = Annotated[str | None, typer.Option(help="Only jobs of this actor.")]
State = Annotated[JobState | None, typer.Option(help="Only jobs in this state.")]


@jobs.command("list", epilog="Example: python -m app jobs list --org 7c9e6679-... --state failed --limit 20")
def list_(
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    actor: Actor = None,
    state: State = None,
    limit: Limit = 50,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """List jobs by their last attempt, the last started first. Those that wait for their first: `waiting`."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        page = control.jobs.list(caller, actor=actor, state=state, after=after, limit=limit)
    show_page(
        [_row(job, as_json) for job in page],
        as_json=as_json,
        title="Jobs",
        cursors=[job.cursor for job in page],
        limit=limit,
    )


@jobs.command("show", epilog="Example: python -m app jobs show 0192f1c4-... --org 7c9e6679-...")
def show_(
    job_id: JobId,
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Show what is known of a job: attempts, result, progress, its dead letter's id, what it waits for."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        details = control.jobs.show(caller, job_id)
    if as_json:
        out.print_json(json.dumps(asdict(details), default=str))
        return
    show_fields(_fields(details), as_json=False, title="Job")
    show_rows([_attempt(each) for each in details.attempts], title="Attempts")


@jobs.command(epilog="Example: python -m app jobs why 0192f1c4-... --org 7c9e6679-...")
def why(
    job_id: JobId,
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Say why a job does not run: the exact cause, and whatever else holds it back at the same time."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        answer = control.jobs.why(caller, job_id)
    if as_json:
        out.print_json(json.dumps(asdict(answer), default=str))
        return
    show_fields(_why_fields(answer), as_json=False, title="Why")


@jobs.command(epilog="Example: python -m app jobs waiting --queue exports --org 7c9e6679-...")
def waiting(
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    queue: Annotated[str | None, typer.Option(help="Only jobs on this queue.")] = None,
    actor: Actor = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List jobs that wait: queue by queue those that are due, then the others by when they are."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        found = control.jobs.waiting(caller, queue=queue, actor=actor, limit=limit)
    if as_json:
        out.print_json(json.dumps([asdict(each) for each in found]))
    else:
        show_rows([_waiting_row(each) for each in found], title="Waiting")


@jobs.command(
    context_settings={"ignore_unknown_options": True},  # a priority may begin with a minus
    epilog='Example: python -m app jobs priority 0192f1c4-... -60 --org 7c9e6679-... --reason "a person waits"',
)
def priority(
    job_id: JobId,
    priority: Annotated[int, typer.Argument(help="0 for most; the lower, the sooner: a second a step.")],
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Let a job that waits go before or after others of its org."""
    caller = caller_of(org, operator, reason, changes=True)
    with controlling() as control:
        control.jobs.set_priority(caller, job_id, priority)
    tell({"job_id": job_id, "priority": priority}, f"Job {job_id} has priority {priority}.", as_json)


@jobs.command(
    epilog='Example: python -m app jobs enqueue domain_export \'{"domain_id": "...", "format": "csv"}\' '
    '--org 7c9e6679-... --reason "ticket 4711"'
)
def enqueue(
    actor: Annotated[str, typer.Argument(help="Name of the actor, like domain_export.")],
    payload: Annotated[str, typer.Argument(help="Its contract as JSON, or - for standard input.")],
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    delay_ms: Annotated[int, typer.Option(min=0, help="Start no sooner than this.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Send a job; with --org its payload's `org_id` is the org's and may be left out."""
    caller = caller_of(org, operator, reason, changes=True)
    try:
        data = json.loads(sys.stdin.read() if payload == "-" else payload)
    except ValueError as error:
        raise CommandError(f"the payload is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise CommandError("the payload is a JSON object, like {}")
    with controlling() as control:
        job_id = control.jobs.enqueue(caller, actor, data, delay_ms=delay_ms)
    tell({"job_id": job_id}, f"Enqueued {actor} as {job_id}.", as_json)


@jobs.command(
    epilog='Examples: python -m app jobs cancel 0192f1c4-... --org 7c9e6679-... --reason "sent twice"; '
    'python -m app jobs cancel --all --actor domain_export --org 7c9e6679-... --reason "ticket 4711"'
)
def cancel(
    job_id: Annotated[str | None, typer.Argument(help="One job; without it, those that fit.")] = None,
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every job of the org's sent until now; narrow it down as below.")
    ] = False,
    actor: Actor = None,
    queue: Annotated[str | None, typer.Option(help="Only jobs on this queue.")] = None,
    as_json: AsJson = False,
) -> None:
    """Stop one job, or with --all those that fit: running ones at their next checkpoint, waiting ones unstarted."""
    if every == (job_id is not None) or (job_id is not None and (actor, queue) != (None, None)):
        raise typer.BadParameter("name one job, or say --all, and which with --actor and --queue")
    caller = caller_of(org, operator, reason, changes=True)
    with controlling() as control:
        if job_id is None:
            request_id = control.jobs.cancel_all(caller, actor=actor, queue=queue)
        else:
            request_id = control.jobs.cancel(caller, job_id)
    what = "Jobs that fit" if job_id is None else f"Job {job_id}"
    sentence = f"{what} will be stopped. To take it back: jobs withdraw {request_id}"
    tell({"request_id": request_id}, sentence, as_json)


@jobs.command(epilog="Example: python -m app jobs requests --org 7c9e6679-...")
def requests(
    org: Org = None, operator: AsOperator = False, reason: Reason = None, as_json: AsJson = False
) -> None:
    """List requests to cancel that are in force, oldest first."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        found = control.jobs.requests(caller)
    rows = [_request(each) for each in found]
    if as_json:
        out.print_json(json.dumps(rows))
    else:
        show_rows(rows, title="Requests to cancel")


@jobs.command(
    epilog='Example: python -m app jobs withdraw 0192f1c4-... --org 7c9e6679-... --reason "wrong job"'
)
def withdraw(
    request_id: Annotated[
        str, typer.Argument(help="Id of the request, as `requests` shows it, or of the job.")
    ],
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Take a request to cancel back. What was cancelled meanwhile stays so."""
    caller = caller_of(org, operator, reason, changes=True)
    with controlling() as control:
        request = control.jobs.withdraw(caller, request_id)
    tell({"withdrawn": request.request_id}, f"Took {request.request_id} back.", as_json)


def _row(job: Job, as_json: bool) -> dict[str, object]:
    row = {name: value for name, value in asdict(job).items() if name != "cursor"}
    if as_json:
        return row
    shown = ("id", "state", "actor", "org", "attempt", "started_at", "duration_ms", "error_category", "cause")
    return {**{name: row[name] for name in shown}, "duration_ms": _whole(job.duration_ms)}


def _fields(details: JobDetails) -> dict[str, object]:
    progress = details.progress
    return {
        "id": details.id,
        "state": details.state,
        "actor": details.actor,
        "queue": details.queue,
        "org": details.org,
        "progress": None if progress is None else f"{progress.percent} % {progress.note}".strip(),
        "result": details.result,
        "dead letter": details.dead_letter_id,
        "why": None if details.why is None else details.why.text,
        "not known": "; ".join(details.unknown),
    }


def _why_fields(answer: JobWhy) -> dict[str, object]:
    return {
        "job": answer.id,
        "cause": answer.cause,
        "why": answer.text,
        "also": ", ".join(each.cause for each in answer.reasons[1:]),
        "queue": answer.queue,
        "actor": answer.actor,
        "org": answer.org,
        "priority": answer.priority,
        "concurrency key": answer.concurrency_key,
    }


def _waiting_row(each: WaitingMessage) -> dict[str, object]:
    return {
        "id": each.message_id,
        "state": each.state,
        "queue": each.queue,
        "actor": each.actor,
        "org": each.org,
        "priority": each.priority,
        "key": each.key,
        "due": datetime.fromtimestamp(each.due_ms / 1_000, UTC),
        "cause": each.cause,
    }


def _attempt(attempt: AttemptRecord) -> dict[str, object]:
    return {
        "attempt": attempt.attempt,
        "outcome": attempt.outcome,
        "started_at": attempt.started_at,
        "duration_ms": _whole(attempt.duration_ms),
        "worker": attempt.worker,
        "category": attempt.error_category,
        "error": attempt.error_class,
        "cause": attempt.cause,
    }


def _request(request: CancelRequest) -> dict[str, object]:
    return {
        "request_id": request.request_id,
        "job_id": request.message_id,
        "org": request.org,
        "actor": request.actor,
        "queue": request.queue,
        "in_force_for_s": request.keep_for_ms // 1_000,
    }


def _whole(value: float | None) -> str:
    return "" if value is None else readable(round(value))
