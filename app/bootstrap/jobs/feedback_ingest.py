"""Wires `feedback_ingest`."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Generic, TypeVar
from uuid import UUID

import httpx
from sqlalchemy import Engine

from adapters.database.feedback import SqlFeedback
from adapters.database.transactions import SqlTransactions
from adapters.feedback_source import HttpFeedbackSource
from adapters.net.http import HttpExchange
from adapters.threads import in_threads
from app.settings import Settings, SettingsError, variable
from domain.errors import DatabaseUnavailable, InvalidInput, ProviderUnavailable
from domain.feedback import FeedbackPage, FeedbackQuery, FeedbackSource
from domain.feedback_ingest import FeedbackIngest, IngestFeedback, IngestOutcome
from domain.ports import Transactions
from middleware import CircuitBreakers, Parked

from .run import GuardedRun

#: The source's circuit.
BREAKER = "feedback"
#: Connections that the threads of all feedback jobs of a process hold at once: what the pool has beyond one for each
#: worker thread. More would keep other jobs waiting, and then each other.
CONNECTIONS_AT_ONCE = 5

RepoT = TypeVar("RepoT")
T = TypeVar("T")


def feedback_ingest(
    settings: Settings, engine: Engine, http: httpx.Client, breakers: CircuitBreakers
) -> Callable[[FeedbackIngest], IngestOutcome]:
    """The handler, with the source that the settings name."""
    source = _source(settings, http, breakers)
    repository = partial(SqlFeedback, limits=settings.limits)
    gate = threading.BoundedSemaphore(CONNECTIONS_AT_ONCE)

    def handle(job: FeedbackIngest) -> IngestOutcome:
        run = GuardedRun()
        ingest = IngestFeedback(
            run=run,
            transactions=_Gated(SqlTransactions(engine, repository, run.remaining_s), gate, run.remaining_s),
            source=source,
            in_parallel=in_threads,
            limits=settings.limits,
            clock=lambda: datetime.now(UTC),
        )
        return ingest(job)

    return handle


@dataclass(frozen=True)
class _Gated(Generic[RepoT]):
    """Units of work that wait at a gate, and not at the pool, whose patience others need."""

    transactions: Transactions[RepoT]
    gate: threading.BoundedSemaphore
    remaining_s: Callable[[], float | None]

    def __call__(self, org_id: UUID, work: Callable[[RepoT], T], *, timeout_s: float = 30.0) -> T:
        left_s = self.remaining_s()
        if not self.gate.acquire(timeout=timeout_s if left_s is None else min(timeout_s, left_s)):
            raise DatabaseUnavailable(
                "too much feedback is written at once; send less, or start more workers"
            )
        try:
            return self.transactions(org_id, work, timeout_s=timeout_s)
        finally:
            self.gate.release()


@dataclass(frozen=True)
class _BehindBreaker:
    """A source behind the circuit `feedback`: one that is down is not asked by each entity in turn."""

    source: FeedbackSource
    breakers: CircuitBreakers

    def events(self, query: FeedbackQuery, *, timeout_s: float | None) -> FeedbackPage:
        try:
            # The org by name: this is not the thread that knows it.
            with self.breakers.calling(BREAKER, org=str(query.org_id)):
                return self.source.events(query, timeout_s=timeout_s)
        except Parked as parked:
            raise ProviderUnavailable(
                "the feedback source is left alone after repeated failures",
                retry_after_s=parked.delay_ms / 1_000,
            ) from None


class _NoSource:
    def events(self, query: FeedbackQuery, *, timeout_s: float | None) -> FeedbackPage:
        raise InvalidInput(f"no feedback source to sync with; set {variable('feedback_source_url')}")


def _source(settings: Settings, http: httpx.Client, breakers: CircuitBreakers) -> FeedbackSource:
    if settings.feedback_source_url is None:
        return _NoSource()
    exchange = HttpExchange(http, now=lambda: datetime.now(UTC))
    try:
        source = HttpFeedbackSource(
            exchange, base_url=settings.feedback_source_url, token=settings.feedback_source_token
        )
    except ValueError as error:  # its text names the fault and repeats no value
        raise SettingsError(f"{variable('feedback_source_url')} or its token: {error}") from None
    return _BehindBreaker(source, breakers)
