"""What is known of jobs on any broker: their history, their progress, their dead letters.

A job that was sent and has not started yet lies in the broker alone, and stock brokers do not tell what lies there.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from dramatiq import Actor, Broker
from pydantic import JsonValue

from domain.errors import InvalidInput, ProviderUnavailable
from middleware import GuardError, RateLimited
from middleware.attempts import AttemptOutcome
from middleware.contracts import contract_of
from middleware.dead_letter_entry import DeadLetter, letter_id
from middleware.dead_letters import DeadLetterStore
from middleware.history import AttemptRecord
from middleware.progress import ProgressLine, ProgressReader

from .inspector import Job, JobDetails, JobFilter, JobState, QueueInfo, outcome_of, state_of
from .outages import redis_answers

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


class StockInspector:
    """`Inspector` for stock brokers; nothing of their internals is looked at.

    Parameters:
        broker: gives the broker with every actor declared; called when a job or queue is first asked for.
        history: every attempt.
        progress: what jobs say of themselves.
        letters: those that were given up.
        unsent: whether a message waits in the outbox, with an org for that org.

    Example:
        >>> inspector.show(message_id, org_id=org_id).state
        'running'
    """

    def __init__(
        self,
        broker: Callable[[], Broker],
        history: JobHistory,
        progress: ProgressReader,
        letters: DeadLetterStore,
        unsent: Callable[[str, UUID | None], bool],
    ) -> None:
        self._broker = broker
        self._history = history
        self._progress = progress
        self._letters = letters
        self._unsent = unsent

    def takes_org(self, actor: str) -> bool:
        """See `Inspector`."""
        contract = contract_of(self._actor(actor))
        return contract is not None and "org_id" in contract.model_fields

    def enqueue(self, actor: str, payload: Mapping[str, JsonValue], *, delay_ms: int = 0) -> str:
        """See `Inspector`."""
        if delay_ms < 0:
            raise InvalidInput(f"delay_ms must be at least 0, not {delay_ms}")
        receiver = self._actor(actor)
        takes_payload = contract_of(receiver) is not None
        if payload and not takes_payload:
            raise InvalidInput(f"{actor} takes no payload; send it {{}}")
        message = receiver.message_with_options(args=(dict(payload),) if takes_payload else ())
        with redis_answers():
            try:
                return self._broker().enqueue(message, delay=delay_ms or None).message_id
            except RateLimited as error:
                raise ProviderUnavailable(str(error), retry_after_s=error.retry_after_s) from None
            except GuardError as error:
                raise InvalidInput(str(error)) from None

    def list_jobs(self, which: JobFilter, *, after: str | None, limit: int) -> Sequence[Job]:
        """See `Inspector`."""
        found = self._history.latest(
            org=None if which.org_id is None else str(which.org_id),
            actor=which.actor,
            outcome=None if which.state is None else outcome_of(which.state),
            before=None if after is None else _place(after),
            limit=limit,
        )
        return [_job(each) for each in found]

    def show(self, job_id: str, *, org_id: UUID | None) -> JobDetails | None:
        """See `Inspector`."""
        org = None if org_id is None else str(org_id)
        attempts = self._history.attempts(job_id, org=org)
        unknown: list[str] = []
        line: ProgressLine | None = None
        try:
            with redis_answers():
                line = self._progress.read(job_id, org=org)
        except ProviderUnavailable as error:
            unknown.append(f"its progress: {error}")
        # Its own org's: an operator names none.
        whose = org or (attempts[-1].org if attempts else line.org if line else None)
        letter = self._letter(job_id, whose)
        if not attempts and line is None and letter is None:
            return None
        last = attempts[-1] if attempts else None
        known = last or line or letter
        results = [each.result for each in attempts if each.outcome == "succeeded"]
        return JobDetails(
            id=job_id,
            actor=known.actor if known else None,
            queue=known.queue if known else None,
            org=whose,
            state=state_of(last.outcome) if last else _PROGRESS[line.state] if line else None,
            attempts=tuple(attempts),
            result=results[-1] if results else None,
            progress=line,
            dead_letter_id=None if letter is None else letter.id,
            unknown=tuple(unknown),
        )

    def is_waiting(self, job_id: str, *, org_id: UUID | None) -> bool:
        """See `Inspector`."""
        return self._unsent(job_id, org_id)

    def queues(self, *, org_id: UUID | None) -> Sequence[QueueInfo]:
        """See `Inspector`."""
        running = self._history.running_by_queue(org=None if org_id is None else str(org_id))
        actors: dict[str, list[str]] = {}
        for name, actor in sorted(self._broker().actors.items()):
            actors.setdefault(actor.queue_name, []).append(name)
        return [
            QueueInfo(name=queue, actors=tuple(names), running=running.get(queue, 0))
            for queue, names in sorted(actors.items())
        ]

    def _letter(self, job_id: str, org: str | None) -> DeadLetter | None:
        box = self._letters.of_every_org() if org is None else self._letters.of_org(org)
        return box.get(letter_id(org, job_id))

    def _actor(self, name: str) -> "Actor[..., Any]":
        actors = self._broker().actors
        if name not in actors:
            close = difflib.get_close_matches(name, actors, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(actors))}"
            raise InvalidInput(f"no actor {name}; {hint}")
        return actors[name]


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
