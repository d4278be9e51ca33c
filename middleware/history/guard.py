"""Remembers every attempt: when it ran, where, how it ended, and what it left to be known."""

import os
import socket
from collections.abc import Sequence
from contextvars import Token
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID, uuid4

from dramatiq import Broker, Worker
from dramatiq.broker import MessageProxy
from pydantic import JsonValue

from ..base.attempts import Attempt, AttemptOutcome, trace_id_of
from ..base.messages import org_of
from ..base.observer import Observer, Position
from .batch_writer import BatchWriter
from .results import Recorded, recording

#: Seconds between two batches, records in one, and records that may wait while the store is away.
DEFAULT_FLUSH_EVERY_S = 1.0
DEFAULT_BATCH_SIZE = 100
DEFAULT_BUFFER_SIZE = 10_000

#: How long a worker that stops waits for the last batches, in seconds.
DEFAULT_SHUTDOWN_TIMEOUT_S = 5.0

#: The most records that one call of a reader gives.
MAX_PAGE = 1_000


@dataclass(frozen=True, kw_only=True)
class AttemptRecord:
    """An attempt at a message, as it is kept: first as running, then, under the same id, as it ended."""

    #: The attempt's own, so that writing it twice makes one.
    id: UUID
    message_id: str
    actor: str
    queue: str
    org: str | None
    #: 1 for the first. A park costs none, and neither does a worker that dies: numbers may repeat.
    attempt: int
    outcome: AttemptOutcome
    started_at: datetime
    #: None while it runs.
    finished_at: datetime | None
    duration_ms: float | None
    #: What it raised; never its text.
    error_category: str | None = None
    error_class: str | None = None
    fingerprint: str | None = None
    #: Why it was parked or skipped.
    cause: str | None = None
    #: Host and process.
    worker: str | None = None
    trace_id: str | None = None
    #: What the job recorded with `record_result`.
    result: JsonValue = None


class HistoryStore(Protocol):
    """Keeps attempts and finds them again."""

    def record(self, attempts: Sequence[AttemptRecord]) -> None:
        """Keep them all. One that is known already, by its id, stays as it is, unless it was running and has ended.

        Raises:
            StoreUnavailable: it does not answer; the same call may be made again.
        """

    def attempts(self, message_id: str, *, org: str | None = None) -> list[AttemptRecord]:
        """Return every attempt at a message, oldest first; with `org`, none unless the message is that org's."""

    def recent(
        self,
        *,
        org: str | None = None,
        actor: str | None = None,
        outcome: AttemptOutcome | None = None,
        before: tuple[datetime, UUID] | None = None,
        limit: int = 100,
    ) -> list[AttemptRecord]:
        """Return the attempts that fit, by the time they started, newest first.

        Parameters:
            org: only this org's. Default None: every org's, for the operator's eyes.
            actor: only this actor's. Default None.
            outcome: only those that ended so, or that run. Default None.
            before: `(started_at, id)` of the last one of the page before. Default None: the first page.
            limit: how many, 1 to 1,000. Default 100.

        Raises:
            ValueError: `limit` is out of bounds.
        """


class History(Observer):
    """Keeps one record for each attempt: whose, when, for how long, on which worker, how it ended and why.

    Without it the only trace of a job that ran is what it did, and of one that failed twice and then passed there is
    none. With it `store.attempts(message_id)` tells a job's whole life, and `store.recent(org=...)` what happened
    lately. A job may leave a result with `record_result(...)`; it is kept when the attempt succeeds. The payload
    and the text of errors are never kept.

    An attempt is kept as running from its start, so that `store.recent(outcome="running")` tells what is being done.
    One whose worker is killed stays so: nobody is left to say how it ended.

    Records are written in batches by a thread, so that a job neither waits for the store nor fails with it. While
    the store is away they wait in memory; beyond `buffer_size` they are dropped and counted, as
    `history_dropped_total`. A worker that is killed takes with it the records of its last `flush_every_s` seconds.
    No round trip a job; one for each batch. A job that begins and ends between two batches is written once.

    Parameters:
      store: Keeps the records.
      flush_every_s: Seconds between two batches. Default 1.
      batch_size: Records in one. Default 100.
      buffer_size: Records that may wait. Default 10,000.
      shutdown_timeout_s: How long a worker that stops waits for the last batches, in seconds. Default 5.
      worker: What this process is called. Default its host and process id.

    Example:
      >>> store = RedisHistoryStore(client)
      >>> broker.add_middleware(History(store))
      >>> store.recent(org="acme", outcome="failed")
    """

    position = Position.RECORD

    def __init__(
        self,
        store: HistoryStore,
        *,
        flush_every_s: float = DEFAULT_FLUSH_EVERY_S,
        batch_size: int = DEFAULT_BATCH_SIZE,
        buffer_size: int = DEFAULT_BUFFER_SIZE,
        shutdown_timeout_s: float = DEFAULT_SHUTDOWN_TIMEOUT_S,
        worker: str | None = None,
    ) -> None:
        if flush_every_s <= 0 or shutdown_timeout_s < 0:
            raise ValueError(
                "flush_every_s must be more than 0 and shutdown_timeout_s at least 0; "
                f"not {flush_every_s} and {shutdown_timeout_s}"
            )
        if not 1 <= batch_size <= buffer_size:
            raise ValueError(
                f"batch_size must be at least 1 and at most buffer_size; not {batch_size} and {buffer_size}"
            )
        super().__init__()
        self._store = store
        self._writer: BatchWriter[_Page] = BatchWriter(
            self._write,
            name="history",
            every_s=flush_every_s,
            batch_size=batch_size,
            max_waiting=buffer_size,
        )
        self._shutdown_timeout_s = shutdown_timeout_s
        #: Whether the last stop wrote everything.
        self.flushed = True
        self._worker = worker
        self._host = socket.gethostname()

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        self._writer.start()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self.flushed = self._writer.stop(timeout_s=self._shutdown_timeout_s)

    def began(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        kept = _Kept(_Page(self._record(message, attempt)), Recorded())
        attempt.kept[id(self)] = kept
        kept.token = recording.set(kept.recorded)
        self._writer.put(kept.page)

    def processed(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        kept = attempt.kept.get(id(self))
        if kept is not None and kept.token is not None:
            token, kept.token = kept.token, None
            recording.reset(token)

    def ended(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        kept = attempt.kept.pop(id(self), None)
        final = self._record(message, attempt)
        if kept is not None:
            result = kept.recorded.result if attempt.outcome == "succeeded" else None
            final = replace(final, id=kept.page.record.id, result=result)
        if kept is None or not kept.page.turn_into(final):
            self._writer.put(_Page(final))

    def _record(self, message: MessageProxy, attempt: Attempt) -> AttemptRecord:
        return AttemptRecord(
            id=uuid4(),
            message_id=message.message_id,
            actor=message.actor_name,
            queue=message.queue_name,
            org=org_of(message),
            attempt=attempt.number,
            outcome=attempt.outcome or "running",
            started_at=attempt.started_at,
            finished_at=attempt.finished_at,
            duration_ms=None if attempt.outcome is None else attempt.duration_ms,
            error_category=attempt.error_category,
            error_class=attempt.error_class,
            fingerprint=attempt.fingerprint,
            cause=attempt.cause,
            # Asked here, since a worker is a fork of the process that made the guard.
            worker=self._worker or f"{self._host}:{os.getpid()}",
            trace_id=trace_id_of(message),
        )

    def _write(self, pages: "Sequence[_Page]") -> None:
        # Of an attempt that began and ended within a batch, only its end.
        self._store.record(list({record.id: record for record in (page.take() for page in pages)}.values()))


def check_limit(limit: int) -> int:
    """Return a page's size, if it is one.

    Raises:
        ValueError: it is less than 1 or more than 1,000.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise ValueError(f"limit must be 1 to {MAX_PAGE}, not {limit}")
    return limit


class _Page:
    """A record that waits to be written, and may change until then. Two threads share it, without a lock: an
    interrupt that lands in a job's hook would leave it taken."""

    def __init__(self, record: AttemptRecord) -> None:
        self.record = record
        self._taken = False

    def take(self) -> AttemptRecord:
        """The record, to be written now."""
        # Taken first and read afterwards; the other way round below. So one of the two sees what the other did.
        self._taken = True
        return self.record

    def turn_into(self, record: AttemptRecord) -> bool:
        """Have another written in its place; False when that is not certain any more."""
        self.record = record
        return not self._taken


@dataclass(eq=False)
class _Kept:
    """What the guard keeps of an attempt while it runs."""

    page: _Page
    recorded: Recorded
    token: Token[Recorded | None] | None = None
