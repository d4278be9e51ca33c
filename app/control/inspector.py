"""What control asks of whatever knows the jobs.

Today that is their history, on any broker; one that can tell more, of what waits for example, implements the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from pydantic import JsonValue

from middleware.attempts import AttemptOutcome
from middleware.history import AttemptRecord
from middleware.progress import ProgressLine

#: What may be known of a job, by its last attempt: `retrying` and `parked` come back by themselves.
JobState = Literal[
    "running", "succeeded", "failed", "retrying", "parked", "skipped", "cancelled", "expired", "died"
]

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
class JobDetails:
    """Everything that is known of a job."""

    id: str
    actor: str | None
    queue: str | None
    org: str | None
    #: None where only a dead letter is left of it.
    state: JobState | None
    #: Oldest first. None yet, where it has only just started.
    attempts: tuple[AttemptRecord, ...]
    #: What the job recorded when it succeeded.
    result: JsonValue
    progress: ProgressLine | None
    dead_letter_id: str | None
    #: What could not be found out, and why.
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class QueueInfo:
    """A queue that actors of this build work on."""

    name: str
    actors: tuple[str, ...]
    #: Attempts that run; those that died with their worker among them.
    running: int


class Inspector(Protocol):
    """Knows jobs, and gets them going.

    Every method may raise a `JobError` whose category is network or database: something does not answer, and it
    may pass later.
    """

    def takes_org(self, actor: str) -> bool:
        """Whether an actor works for one org, named in its payload.

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

    def is_waiting(self, job_id: str, *, org_id: UUID | None) -> bool:
        """Whether a job is known to wait for its first attempt, with `org_id` as that org's.

        False may also mean that nobody knows: stock brokers do not tell what is in their queues.
        """
        ...

    def queues(self, *, org_id: UUID | None) -> Sequence[QueueInfo]:
        """Every queue, with how much of an org's runs on it, or of all orgs'."""
        ...


def state_of(outcome: AttemptOutcome) -> JobState:
    """What the end of its last attempt makes of a job."""
    return "retrying" if outcome == "retried" else outcome


def outcome_of(state: JobState) -> AttemptOutcome:
    """The other way round."""
    return "retried" if state == "retrying" else state
