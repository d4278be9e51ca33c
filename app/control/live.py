"""What is known of jobs on the platform's own broker: what waits there and why, beside all that is recorded."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from dramatiq import Actor, Broker
from pydantic import JsonValue

from broker.errors import MessageTooLarge, QueueFull
from broker.inspection.admin import Moved, Operations
from broker.inspection.inspector import Inspector as Look
from broker.inspection.views import Lane, WaitingMessage, WaitingState, WorkerView
from broker.inspection.why import Why
from domain.errors import InvalidInput, ProviderUnavailable
from middleware import GuardError, RateLimited
from middleware.contracts.guard import contract_of

from .errors import redis_answers
from .inspector import ENDED, Job, JobDetails, JobFilter, JobWhy, QueueInfo
from .recorded import RecordedJobs

#: An attempt that began so many milliseconds before its lease, by two machines' clocks, may still be the same.
CLOCKS_MS: Final = 5_000

#: Causes of messages that nobody will run.
GONE: Final = frozenset({"unknown", "dead"})


class FairInspector:
    """`Inspector`, `QueueInspector` and `Fleet` for `FairRedisBroker`.

    Parameters:
        broker: gives the broker with every actor declared; called when an actor or queue is first asked for.
        recorded: what is recorded of jobs.
        look: looks into the broker.
        operations: changes what waits there.

    Example:
        >>> inspector.why(message_id, org_id=org_id).text
        'Its org runs as much as it may: 10 of 10.'
    """

    def __init__(
        self, broker: Callable[[], Broker], recorded: RecordedJobs, look: Look, operations: Operations
    ) -> None:
        self._broker = broker
        self._recorded = recorded
        self._look = look
        self._operations = operations

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
            except (RateLimited, QueueFull) as error:
                raise ProviderUnavailable(str(error), retry_after_s=error.retry_after_s) from None
            except (GuardError, MessageTooLarge) as error:
                raise InvalidInput(str(error)) from None

    def list_jobs(self, which: JobFilter, *, after: str | None, limit: int) -> Sequence[Job]:
        """See `Inspector`."""
        return self._recorded.list_jobs(which, after=after, limit=limit)

    def show(self, job_id: str, *, org_id: UUID | None) -> JobDetails | None:
        """See `Inspector`."""
        recorded = self._recorded.show(job_id, org_id=org_id)
        try:
            why = self._why(job_id, org_id, recorded)
        except ProviderUnavailable as error:
            if recorded is None:
                raise
            return replace(recorded, unknown=(*recorded.unknown, f"what the broker has of it: {error}"))
        if recorded is not None:
            return recorded if why is None or not why.reasons else replace(recorded, why=why)
        if why is None:
            return None
        return JobDetails(
            id=job_id,
            actor=why.actor,
            queue=why.queue,
            org=why.org,
            state="waiting",
            attempts=(),
            result=None,
            progress=None,
            dead_letter_id=None,
            why=why,
        )

    def why(self, job_id: str, *, org_id: UUID | None) -> JobWhy | None:
        """See `Inspector`."""
        return self._why(job_id, org_id, self._recorded.show(job_id, org_id=org_id))

    def held_back_ms(self, job_id: str, *, org_id: UUID | None) -> int | None:
        """See `Inspector`."""
        if self._recorded.is_unsent(job_id, org_id=org_id):
            return 0
        with redis_answers():
            found = self._look.why(job_id, _org(org_id))
        return None if found.cause in GONE else found.held_back_ms

    def waiting(
        self, queue: str | None, *, org_id: UUID | None, actor: str | None, limit: int
    ) -> Sequence[WaitingMessage]:
        """See `Inspector`."""
        found: list[WaitingMessage] = []
        with redis_answers():
            for name in self._look.queues() if queue is None else [queue]:
                found += self._look.waiting(name, _org(org_id), actor=actor, limit=limit - len(found))
                if len(found) >= limit:
                    break
        return found

    def set_priority(self, job_id: str, priority: int, *, org_id: UUID | None) -> Moved:
        """See `Inspector`."""
        with redis_answers():
            return self._operations.set_priority(job_id, priority, org=_org(org_id))

    def queues(self, *, org_id: UUID | None) -> Sequence[QueueInfo]:
        """See `QueueInspector`."""
        actors: dict[str, list[str]] = {}
        for name, actor in sorted(self._broker().actors.items()):
            actors.setdefault(actor.queue_name, []).append(name)
        running = self._recorded.running_by_queue(org_id=org_id)
        letters = self._recorded.open_letters_by_queue(org_id=org_id)
        with redis_answers():
            names = {*actors, *self._look.queues()}
            depths = self._look.depth(*names, org=_org(org_id)) if names else []
            waiting = {name: self._look.parked_by_cause(name) if org_id is None else {} for name in names}
        return [
            QueueInfo(
                name=each.queue,
                # A region's queue is worked on by the same actors.
                actors=tuple(actors.get(each.queue) or actors.get(each.queue.rpartition(".")[0]) or ()),
                running=running.get(each.queue, 0),
                # The broker's own copies say nothing of what was replayed since.
                depth=replace(each, dead=letters.get(each.queue, 0)),
                parked_by_cause=waiting.get(each.queue, {}),
            )
            for each in depths
        ]

    def lanes(self, queue: str, *, org_id: UUID | None, limit: int) -> Sequence[Lane]:
        """See `QueueInspector`."""
        with redis_answers():
            return self._look.lanes(queue, _org(org_id), limit=limit)

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
        """See `QueueInspector`."""
        with redis_answers():
            return self._operations.clean(
                queue,
                org=_org(org_id),
                actor=actor,
                older_than_ms=older_than_ms,
                states=states,
                dry_run=dry_run,
            )

    def workers(self) -> Sequence[WorkerView]:
        """See `Fleet`."""
        with redis_answers():
            return self._look.workers()

    def quiet(self, worker_id: str) -> bool:
        """See `Fleet`."""
        with redis_answers():
            return self._operations.quiet(worker_id)

    def unquiet(self, worker_id: str) -> bool:
        """See `Fleet`."""
        with redis_answers():
            return self._operations.resume(worker_id)

    def _why(self, job_id: str, org_id: UUID | None, recorded: JobDetails | None) -> JobWhy | None:
        with redis_answers():
            found = self._look.why(job_id, _org(org_id))
        if found.cause != "unknown":
            return _of_broker(found, recorded)
        if self._recorded.is_unsent(job_id, org_id=org_id):
            return JobWhy(id=job_id, cause="unsent", text="It is in the outbox: no relay has sent it yet.")
        return None if recorded is None else _of_record(recorded)

    def _actor(self, name: str) -> "Actor[..., Any]":
        actors = self._broker().actors
        if name not in actors:
            close = difflib.get_close_matches(name, actors, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(actors))}"
            raise InvalidInput(f"no actor {name}; {hint}")
        return actors[name]


def _of_broker(found: Why, recorded: JobDetails | None) -> JobWhy:
    answer = JobWhy(
        id=found.message_id,
        cause=found.cause,
        text=found.text,
        reasons=found.reasons,
        actor=found.actor,
        queue=found.queue,
        org=found.org,
        priority=found.priority,
        concurrency_key=found.concurrency_key,
    )
    last = recorded.attempts[-1] if recorded is not None and recorded.attempts else None
    leased_ms = found.reasons[0].since_ms
    if found.cause != "leased" or last is None or last.outcome != "running" or leased_ms is None:
        return answer
    # Of a worker that died an attempt is left that runs for ever.
    if last.started_at.timestamp() * 1_000 < leased_ms - CLOCKS_MS:
        return answer
    text = f"It runs: attempt {last.attempt}, on {last.worker}, since {last.started_at:%Y-%m-%d %H:%M:%S}Z."
    return replace(answer, cause="running", text=text)


def _of_record(recorded: JobDetails) -> JobWhy:
    answer = JobWhy(
        id=recorded.id,
        cause="unknown",
        text=f"The broker does not have it; the last that is recorded of it is: {recorded.state}.",
        actor=recorded.actor,
        queue=recorded.queue,
        org=recorded.org,
    )
    if recorded.dead_letter_id is not None:
        text = f"It was given up, and is a dead letter: `dlq show {recorded.dead_letter_id}` says why."
        return replace(answer, cause="dead", text=text)
    if recorded.state in ENDED:
        return replace(answer, cause="ended", text=f"It has ended, as {recorded.state}.")
    return answer


def _org(org_id: UUID | None) -> str | None:
    return None if org_id is None else str(org_id)
