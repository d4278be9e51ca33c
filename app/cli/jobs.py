"""Jobs on the command line: `pressroom jobs --help`."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.cli.commands import After, Invocation, Limit, command
from app.cli.deprecated import CANCEL_REQUEST, JOB, JOB_DETAILS, JOB_WHY, SENT_JOB, WAITING_JOB
from app.control.inspector import Job, JobDetails, JobState, JobWhy
from app.output import CommandError
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
Queue = Annotated[str | None, typer.Option(help="Only jobs on this queue.")]


@command(jobs, "list", example="jobs list --org 7c9e6679-... --state failed --limit 20")
def list_(
    call: Invocation, actor: Actor = None, state: State = None, limit: Limit = 50, after: After = None
) -> None:
    """List jobs by their last attempt, the last started first. Those that wait for their first: `waiting`."""
    page = call.control.jobs.list(call.caller, actor=actor, state=state, after=after, limit=limit)
    call.page(
        [{name: value for name, value in asdict(job).items() if name != "cursor"} for job in page],
        rows=[_row(job) for job in page],
        title="Jobs",
        cursors=[job.cursor for job in page],
        limit=limit,
        names=JOB,
    )


@command(jobs, "show", example="jobs show 0192f1c4-... --org 7c9e6679-...")
def show_(call: Invocation, job_id: JobId) -> None:
    """Show what is known of a job: attempts, result, progress, its dead letter's id, what it waits for."""
    details = call.control.jobs.show(call.caller, job_id)
    call.fields(asdict(details), shown=_fields(details), title="Job", names=JOB_DETAILS)
    if not call.as_json:
        call.rows([_attempt(each) for each in details.attempts], title="Attempts")


@command(jobs, "why", example="jobs why 0192f1c4-... --org 7c9e6679-...")
def why(call: Invocation, job_id: JobId) -> None:
    """Say why a job does not run: the exact cause, and whatever else holds it back at the same time."""
    answer = call.control.jobs.why(call.caller, job_id)
    call.fields(asdict(answer), shown=_why_fields(answer), title="Why", names=JOB_WHY)


@command(jobs, "waiting", example="jobs waiting --queue exports --org 7c9e6679-...")
def waiting(call: Invocation, queue: Queue = None, actor: Actor = None, limit: Limit = 50) -> None:
    """List jobs that wait: queue by queue those that are due, then the others by when they are."""
    found = call.control.jobs.waiting(call.caller, queue=queue, actor=actor, limit=limit)
    call.table(
        [asdict(each) for each in found],
        rows=[_waiting_row(each) for each in found],
        title="Waiting",
        names=WAITING_JOB,
        none="No job waits.",
    )


@command(
    jobs,
    "priority",
    changes=True,
    ignore_unknown_options=True,  # a priority may begin with a minus
    example='jobs priority 0192f1c4-... -60 --org 7c9e6679-... --reason "a person waits"',
)
def priority(
    call: Invocation,
    job_id: JobId,
    priority: Annotated[int, typer.Argument(help="0 for most; the lower, the sooner: a second a step.")],
) -> None:
    """Let a job that waits precede others of its org, or be queued behind them."""
    call.control.jobs.set_priority(call.caller, job_id, priority)
    answer = {"job_id": job_id, "priority": priority}
    call.report(answer, f"Job {job_id} has priority {priority}.", names=SENT_JOB)


@command(
    jobs,
    "enqueue",
    changes=True,
    example='jobs enqueue domain_export \'{"domain_id": "...", "format": "csv"}\' --org 7c9e6679-... '
    '--reason "ticket 4711"',
)
def enqueue(
    call: Invocation,
    actor: Annotated[str, typer.Argument(help="Name of the actor, like domain_export.")],
    payload: Annotated[str, typer.Argument(help="Its contract as JSON, or - for standard input.")],
    delay_ms: Annotated[int, typer.Option(min=0, help="Start no sooner than this.")] = 0,
) -> None:
    """Send a job; with --org its payload's `org_id` is the org's and may be left out."""
    try:
        data = json.loads(sys.stdin.read() if payload == "-" else payload)
    except ValueError as error:
        raise CommandError(f"the payload is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise CommandError("the payload is a JSON object, like {}")
    job_id = call.control.jobs.enqueue(call.caller, actor, data, delay_ms=delay_ms)
    call.report({"job_id": job_id}, f"Enqueued {actor} as {job_id}.", names=SENT_JOB)


@command(
    jobs,
    "cancel",
    changes=True,
    example=(
        'jobs cancel 0192f1c4-... --org 7c9e6679-... --reason "sent twice"',
        'jobs cancel --all --actor domain_export --org 7c9e6679-... --reason "ticket 4711"',
    ),
)
def cancel(
    call: Invocation,
    job_id: Annotated[str | None, typer.Argument(help="One job; without it, those that fit.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every job of the org's sent until now; narrow it down as below.")
    ] = False,
    actor: Actor = None,
    queue: Queue = None,
) -> None:
    """Stop one job, or with --all those that fit: running ones at their next checkpoint, waiting ones unstarted."""
    if every == (job_id is not None) or (job_id is not None and (actor, queue) != (None, None)):
        raise typer.BadParameter("name one job, or say --all, and which with --actor and --queue")
    if job_id is None:
        request_id = call.control.jobs.cancel_all(call.caller, actor=actor, queue=queue)
    else:
        request_id = call.control.jobs.cancel(call.caller, job_id)
    what = "Jobs that fit" if job_id is None else f"Job {job_id}"
    sentence = f"{what} will be stopped. To take it back: jobs withdraw {request_id}"
    call.report({"request_id": request_id}, sentence)


@command(jobs, "requests", example="jobs requests --org 7c9e6679-...")
def requests(call: Invocation) -> None:
    """List requests to cancel that are in force, oldest first."""
    found = [_request(each) for each in call.control.jobs.requests(call.caller)]
    call.table(found, title="Requests to cancel", names=CANCEL_REQUEST)


@command(
    jobs,
    "withdraw",
    changes=True,
    example='jobs withdraw 0192f1c4-... --org 7c9e6679-... --reason "wrong job"',
)
def withdraw(
    call: Invocation,
    request_id: Annotated[
        str, typer.Argument(help="Id of the request, as `requests` shows it, or of the job.")
    ],
) -> None:
    """Take a request to cancel back. What was cancelled meanwhile stays so."""
    request = call.control.jobs.withdraw(call.caller, request_id)
    answer = {"withdrawn": request.request_id}
    call.report(answer, f"Took {request.request_id} back.", names=CANCEL_REQUEST)


def _row(job: Job) -> dict[str, object]:
    shown = ("id", "state", "actor", "attempt", "error_category", "cause", "started_at", "duration_ms", "org")
    row = asdict(job)
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
        "actor": each.actor,
        "due": datetime.fromtimestamp(each.due_ms / 1_000, UTC),
        "cause": each.cause,
        "queue": each.queue,
        "org": each.org,
        "priority": each.priority,
        "key": each.key,
    }


def _attempt(attempt: AttemptRecord) -> dict[str, object]:
    return {
        "attempt": attempt.attempt,
        "outcome": attempt.outcome,
        "started_at": attempt.started_at,
        "duration_ms": _whole(attempt.duration_ms),
        "category": attempt.error_category,
        "error": attempt.error_class,
        "cause": attempt.cause,
        "worker": attempt.worker,
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


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
