"""Wires `publish_execution`: the saga, and remote services behind a circuit breaker each."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from sqlalchemy import Engine

from adapters.database.publishing import SqlPublishing
from adapters.database.transactions import SqlTransactions
from adapters.ids import uuid7
from adapters.net.replies import PassingRefusal
from app.settings import Settings
from domain.errors import JobError, LeaseHeld, LeaseLost, ProviderUnavailable
from domain.publish_execution import PublishExecution, PublishOutcome
from domain.publish_saga import ExecutePublish
from domain.publishing import Found, Journal, Post, Publisher, Publishers, PublishTarget, RetryOptions
from middleware import CircuitBreakers, Parked, is_final_attempt

from .run import GuardedRun

#: Seconds that a job whose time is up still gets, to write how it ended.
CLOSING_S = 5.0
#: How long a job is parked that lost its lease: whoever has it is at work, and may be done soon.
LOST_LEASE_MS = 1_000
#: What all of them wait for, as metrics and `why` name it.
LEASE_KEY = "lease:publish_execution"

T = TypeVar("T")


def publish_execution(
    settings: Settings, engine: Engine, publishers: Publishers, breakers: CircuitBreakers
) -> Callable[[PublishExecution], PublishOutcome]:
    """The handler. A lease that is held or lost parks the job, at no charge.

    Parameters:
        settings: `publish_lease_s`.
        engine: connects as the worker role.
        publishers: ways to remote services, without breakers.
        breakers: the process's own.
    """
    guarded = BehindBreakers(publishers, breakers)

    def handle(job: PublishExecution) -> PublishOutcome:
        run = GuardedRun()
        execute = ExecutePublish(
            run=run,
            transactions=SqlTransactions(engine, SqlPublishing, run.remaining_s),
            closing=SqlTransactions(engine, SqlPublishing, lambda: CLOSING_S),
            publishers=guarded,
            is_final=is_final_attempt,
            new_id=uuid7,
            monotonic=time.monotonic,
            lease_s=settings.publish_lease_s,
        )
        try:
            return execute(job)
        except LeaseHeld as held:
            # A millisecond more: at the very end of its lease the other one would still have it.
            delay_ms = int(held.wait_s * 1_000) + 1
            raise Parked("another worker has it in hand", delay_ms=delay_ms, key=LEASE_KEY) from None
        except LeaseLost:
            raise Parked("another worker took it over", delay_ms=LOST_LEASE_MS, key=LEASE_KEY) from None

    return handle


@dataclass(frozen=True)
class BehindBreakers:
    """`domain.publishing.Publishers` with circuits, so that a remote service that is down stops no other.

    There are two: the target's own, and its host's, whoever else publishes there. One that answers 503 and names a
    time, as a site does while it is updated, speaks for its target alone.

    Only what the remote service does wrong counts: an outage, or an error that nobody foresaw. A lease that was lost or
    a database that is down while a call is prepared says nothing about it.

    Parameters:
        publishers: the ways themselves.
        breakers: the process's own.
    """

    publishers: Publishers
    breakers: CircuitBreakers

    def __call__(self, target: PublishTarget, retry: RetryOptions) -> Publisher:
        publisher = self.publishers(target, retry)
        return _BehindBreaker(publisher, self.breakers, breaker_key(target), target_key(target))


def target_key(target: PublishTarget) -> str:
    """The circuit of a target alone, below its host's: what an operator forces on the host holds for it.

    Example:
        >>> target_key(target)
        'publish:wordpress:site.example:6ba7b810-9dad-11d1-80b4-00c04fd430c8'
    """
    return f"{breaker_key(target)}:{target.target_id}"


def breaker_key(target: PublishTarget) -> str:
    """The circuit of a target's host and port, whoever else publishes there.

    Example:
        >>> breaker_key(target)  # at http://[2001:db8::1]:8080/blog
        'publish:wordpress:[2001-db8--1]:8080'
    """
    try:
        parts = urlsplit(target.address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if ":" in host:
        host = f"[{host}]"
    host = re.sub(r"[^a-z0-9_.~\[\]-]", "-", host.rstrip(".")) or "unknown"
    return f"publish:{target.adapter}:{host}" + (f":{port}" if port is not None else "")


@dataclass(frozen=True)
class _BehindBreaker:
    publisher: Publisher
    breakers: CircuitBreakers
    host: str
    target: str

    def find(self, post: Post, journal: Journal) -> Found | None:
        return self._call(lambda: self.publisher.find(post, journal))

    def publish(self, post: Post, journal: Journal) -> Found:
        return self._call(lambda: self.publisher.publish(post, journal))

    def _call(self, work: Callable[[], T]) -> T:
        try:
            with self.breakers.calling(self.target):
                return self._call_host(work)
        except _SaysNothing as nothing:
            raise nothing.error from nothing.error.__cause__

    def _call_host(self, work: Callable[[], T]) -> T:
        try:
            with self.breakers.calling(self.host):
                try:
                    return work()
                except ProviderUnavailable as error:
                    if _is_about_itself(error):
                        raise _AsksForTime(error) from error
                    raise
                except JobError as error:
                    raise _SaysNothing(error) from error
        except _AsksForTime as asking:
            raise asking.error from asking.error.__cause__


def _is_about_itself(error: ProviderUnavailable) -> bool:
    """Whether it speaks for one site, and not, as a rate limit does, for the server."""
    return isinstance(error, PassingRefusal) and error.status == 503 and error.retry_after_s is not None


class _SaysNothing(BaseException):
    """Carries an error past the breaker, which takes what is no `Exception` for neither failure nor success."""

    def __init__(self, error: JobError) -> None:
        self.error = error


class _AsksForTime(BaseException):
    """The same past the host's breaker only, for a site that speaks for itself."""

    def __init__(self, error: ProviderUnavailable) -> None:
        self.error = error
