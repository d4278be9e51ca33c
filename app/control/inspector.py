"""What control asks of whatever knows the jobs, the queues and the workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from pydantic import JsonValue

from broker.inspection.admin import Moved
from broker.inspection.views import Lane, QueueDepth, WaitingMessage, WaitingState, WorkerView
from broker.inspection.why import Cause, Reason
from middleware.base.attempts import AttemptOutcome
from middleware.history.guard import AttemptRecord
from middleware.progress.guard import JobProgress

#: What may be known of a job, by its last attempt: `retrying` and `parked` come back by themselves.
JobState = Literal[
    "running", "succeeded", "failed", "retrying", "parked", "skipped", "cancelled", "expired", "died"
]

#: The same of one job, which may also wait for its first attempt.
ShownState = JobState | Literal["waiting"]

#: Why a job does not run: what the broker knows, or that it is still to be sent, runs, or has ended.
JobCause = Cause | Literal["unsent", "running", "ended"]

#: States after which nothing more comes.
ENDED: frozenset[JobState] = frozenset({"succeeded", "failed", "skipped", "cancelled", "expired"})

#: The most jobs of one page.
MAX_PAGE = 1_000


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which jobs are meant; None is any."""

    org_id: UUID | None = None
    actor: str | None = None
    state: JobState | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as its last attempt left it."""

    #: The message's.
    id: str
    actor: str
    queue: str
    org: str | None
    state: JobState
    #: Number of the attempt, 1 for the first.
    attempt: int
    started_at: datetime
    #: None while it runs, and for ever where its worker died.
    finished_at: datetime | None
    duration_ms: float | None
    #: Host and process.
    worker: str | None
    #: What it raised; never its text.
    error_category: str | None
    error_class: str | None
    #: Why it was parked or skipped.
    cause: str | None
    #: To list on from here.
    cursor: str


@dataclass(frozen=True, kw_only=True)
class JobWhy:
    """Why a job does not run."""

    id: str
    cause: JobCause
    #: For people.
    text: str
    #: What the broker knows, the main thing first; empty where it does not have the job.
    reasons: tuple[Reason, ...] = ()
    actor: str | None = None
    queue: str | None = None
    org: str | None = None
    priority: int | None = None
    concurrency_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class JobDetails:
    """Everything that is known of a job."""

    id: str
    actor: str | None
    queue: str | None
    org: str | None
    #: None where only a dead letter is left of it.
    state: ShownState | None
    #: Oldest first. None yet, where it waits for its first one or has only just started.
    attempts: tuple[AttemptRecord, ...]
    #: What the job recorded when it succeeded.
    result: JsonValue
    progress: JobProgress | None
    dead_letter_id: str | None
    #: Why it does not run, where it is to.
    why: JobWhy | None = None
    #: What could not be found out, and why.
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class QueueInfo:
    """A queue that actors of this build work on, or that has messages."""

    name: str
    #: Who works on it, whatever the region.
    actors: tuple[str, ...]
    #: Attempts that run; those that died with their worker among them.
    running: int
    #: What waits, and what is in flight. `dead` counts the letters that are open: neither replayed nor removed.
    depth: QueueDepth
    #: How many are held back, by what in one word. Not told to orgs.
    parked_by_cause: Mapping[str, int]


class Inspector(Protocol):
    """Knows jobs, and gets them going.

    Every method may raise a `JobError` whose category is network or database: something does not answer, and it
    may pass later.
    """

    def takes_org(self, actor: str) -> bool:
        """True if an actor works for one org, named in its payload.

        Raises:
            InvalidInput: no such actor.
        """
        ...

    def enqueue(self, actor: str, payload: Mapping[str, JsonValue], *, delay_ms: int = 0) -> str:
        """Send a job; its message's id.

        Raises:
            InvalidInput: no such actor, or the payload does not fit its contract; nothing was sent.
        """
        ...

    def list_jobs(self, which: JobFilter, *, after: str | None, limit: int) -> Sequence[Job]:
        """A page of jobs that fit, the last started first.

        Parameters:
            after: the `cursor` of the last job of the page before; None, from the newest.
            limit: 1 to 1,000.

        Raises:
            InvalidInput: `after` is no cursor.
        """
        ...

    def show(self, job_id: str, *, org_id: UUID | None) -> JobDetails | None:
        """Everything that is known of a job; None when nothing is, or, with `org_id`, when it is another org's."""
        ...

    def why(self, job_id: str, *, org_id: UUID | None) -> JobWhy | None:
        """Why a job does not run; None when nothing is known of it, or, with `org_id`, when it is another org's."""
        ...

    def held_back_ms(self, job_id: str, *, org_id: UUID | None) -> int | None:
        """For how long a job does not start at the least, in milliseconds; 0 where it may at once, or runs.

        None when it neither waits nor is in flight, or is not `org_id`'s: neither the outbox nor the broker has it.
        """
        ...

    def waiting(
        self, queue: str | None, *, org_id: UUID | None, actor: str | None, limit: int
    ) -> Sequence[WaitingMessage]:
        """Jobs that wait, of one queue or of all: those that are due first.

        Parameters:
            limit: 1 to 1,000.
        """
        ...

    def set_priority(self, job_id: str, priority: int, *, org_id: UUID | None) -> Moved:
        """Give a job that waits another priority; what became of that."""
        ...


class QueueInspector(Protocol):
    """Knows queues, and drops what waits in them. Every method may raise a `JobError`, as `Inspector`'s."""

    def queues(self, *, org_id: UUID | None) -> Sequence[QueueInfo]:
        """Every queue by name, with how much of an org's is in it, or of all orgs'."""
        ...

    def lanes(self, queue: str, *, org_id: UUID | None, limit: int) -> Sequence[Lane]:
        """A queue's lanes that are not empty, in the order in which they would run."""
        ...

    def clean(
        self,
        queue: str,
        *,
        org_id: UUID | None,
        actor: str | None,
        older_than_ms: int | None,
        states: frozenset[WaitingState],
        dry_run: bool,
    ) -> int:
        """Drop what waits and fits, or only count it; how many."""
        ...


class Fleet(Protocol):
    """Knows the worker processes. Every method may raise a `JobError`, as `Inspector`'s."""

    def workers(self) -> Sequence[WorkerView]:
        """All of them, with what they have in flight."""
        ...

    def quiet(self, worker_id: str) -> bool:
        """Have one fetch nothing more; whether there is such a worker."""
        ...

    def unquiet(self, worker_id: str) -> bool:
        """Let it fetch again; whether it was quiet."""
        ...


def state_of(outcome: AttemptOutcome) -> JobState:
    """What the end of its last attempt makes of a job."""
    return "retrying" if outcome == "retried" else outcome


def outcome_of(state: JobState) -> AttemptOutcome:
    """The other way round."""
    return "retried" if state == "retrying" else state
