"""What is recorded of jobs: their history, their progress, their dead letters, and what waits in the outbox."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from domain.errors import InvalidInput, ProviderUnavailable
from middleware.base.attempts import AttemptOutcome
from middleware.dead_letters.guard import DeadLetterBox
from middleware.dead_letters.letter import DeadLetter, letter_id
from middleware.history.guard import AttemptRecord
from middleware.progress.guard import JobProgress, ProgressReader

from .errors import redis_answers
from .inspector import Job, JobDetails, JobFilter, JobState, outcome_of, state_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: What a job's progress says of its state, where its history does not know it yet.
_PROGRESS: dict[str, JobState] = {
    "running": "running",
    "parked": "parked",
    "done": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "skipped": "skipped",
}


class JobHistory(Protocol):
    """What is asked of the history beyond what guards ask."""

    def attempts(self, message_id: str, *, org: str | None = None) -> list[AttemptRecord]:
        """Every attempt at a message, oldest first; with `org`, none unless the message is that org's."""
        ...

    def latest(
        self,
        *,
        org: str | None = None,
        actor: str | None = None,
        outcome: AttemptOutcome | None = None,
        before: tuple[datetime, UUID] | None = None,
        limit: int = 100,
    ) -> list[AttemptRecord]:
        """The last attempt at each message, newest first."""
        ...

    def running_by_queue(self, *, org: str | None = None) -> dict[str, int]:
        """How many attempts run."""
        ...


class CountedBox(DeadLetterBox, Protocol):
    """What is asked of a box of letters beyond what guards ask."""

    def open_by_queue(self) -> Mapping[str, int]:
        """How many letters of each queue were neither replayed nor removed."""
        ...


class Letters(Protocol):
    """Where dead letters are kept."""

    def of_org(self, org: str) -> CountedBox:
        """Those of one org."""
        ...

    def of_every_org(self) -> CountedBox:
        """All of them."""
        ...


class RecordedJobs:
    """What databases know of jobs, whatever the broker.

    Parameters:
        history: every attempt.
        progress: what jobs say of themselves.
        letters: those that were dead-lettered.
        unsent: whether a message waits in the outbox, with an org for that org.

    Example:
        >>> recorded.show(message_id, org_id=org_id).state
        'running'
    """

    def __init__(
        self,
        history: JobHistory,
        progress: ProgressReader,
        letters: Letters,
        unsent: Callable[[str, UUID | None], bool],
    ) -> None:
        self._history = history
        self._progress = progress
        self._letters = letters
        self._unsent = unsent

    def list_jobs(self, which: JobFilter, *, after: str | None, limit: int) -> Sequence[Job]:
        """A page of jobs by their last attempt, the last started first. See `Inspector`."""
        found = self._history.latest(
            org=None if which.org_id is None else str(which.org_id),
            actor=which.actor,
            outcome=None if which.state is None else outcome_of(which.state),
            before=None if after is None else _place(after),
            limit=limit,
        )
        return [_job(each) for each in found]

    def show(self, job_id: str, *, org_id: UUID | None) -> JobDetails | None:
        """What is recorded of a job; None when nothing is, or, with `org_id`, when it is another org's."""
        org = None if org_id is None else str(org_id)
        attempts = self._history.attempts(job_id, org=org)
        unknown: list[str] = []
        progress: JobProgress | None = None
        try:
            with redis_answers():
                progress = self._progress.read(job_id, org=org)
        except ProviderUnavailable as error:
            unknown.append(f"its progress: {error}")
        # Its own org's: an operator names none.
        whose = org or (attempts[-1].org if attempts else progress.org if progress else None)
        letter = self._letter(job_id, whose)
        if not attempts and progress is None and letter is None:
            return None
        last = attempts[-1] if attempts else None
        known = last or progress or letter
        results = [each.result for each in attempts if each.outcome == "succeeded"]
        return JobDetails(
            id=job_id,
            actor=known.actor if known else None,
            queue=known.queue if known else None,
            org=whose,
            state=state_of(last.outcome) if last else _PROGRESS[progress.state] if progress else None,
            attempts=tuple(attempts),
            result=results[-1] if results else None,
            progress=progress,
            dead_letter_id=None if letter is None else letter.id,
            unknown=tuple(unknown),
        )

    def is_unsent(self, job_id: str, *, org_id: UUID | None) -> bool:
        """True if it waits in the outbox, to be sent."""
        return self._unsent(job_id, org_id)

    def running_by_queue(self, *, org_id: UUID | None) -> dict[str, int]:
        """How many attempts run, those among them that died with their worker."""
        return self._history.running_by_queue(org=None if org_id is None else str(org_id))

    def open_letters_by_queue(self, *, org_id: UUID | None) -> Mapping[str, int]:
        """How many dead letters wait for somebody to decide, by queue: they were neither replayed nor removed."""
        return self._box(None if org_id is None else str(org_id)).open_by_queue()

    def _letter(self, job_id: str, org: str | None) -> DeadLetter | None:
        return self._box(org).get(letter_id(org, job_id))

    def _box(self, org: str | None) -> CountedBox:
        return self._letters.of_every_org() if org is None else self._letters.of_org(org)


def _job(last: AttemptRecord) -> Job:
    return Job(
        id=last.message_id,
        actor=last.actor,
        queue=last.queue,
        org=last.org,
        state=state_of(last.outcome),
        attempt=last.attempt,
        started_at=last.started_at,
        finished_at=last.finished_at,
        duration_ms=last.duration_ms,
        worker=last.worker,
        error_category=last.error_category,
        error_class=last.error_class,
        cause=last.cause,
        cursor=f"{(last.started_at - _EPOCH) // _MICROSECOND}.{last.id}",
    )


def _place(cursor: str) -> tuple[datetime, UUID]:
    started_us, _, id_ = cursor.partition(".")
    try:
        return _EPOCH + timedelta(microseconds=int(started_us)), UUID(id_)
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"a page goes on after the cursor that the page before ended with, not {cursor!r}"
        ) from None
