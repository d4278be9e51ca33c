"""Guards that keep what they know in a server at its `maxmemory`: no job waits for room that its end would make."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import dramatiq
import pytest

from broker import FairRedisBroker
from broker.delegation import Rule
from middleware import (
    CircuitBreakers,
    DeadLetters,
    OrgLimits,
    Rate,
    Retries,
    progress,
    standard_guards,
)
from middleware.circuit_breakers.redis import RedisCircuitBreakerStore
from middleware.dead_letters.redis import RedisDeadLetterStore
from middleware.dead_letters.redis_spool import RedisDeadLetterSpool
from middleware.org_limits.redis import RedisOrgLimitsStore
from tests.broker.test_full_server import full
from tests.broker.workers import PATIENCE_MS, started
from tests.middleware.eventually import eventually
from tests.middleware.own_server import own_valkey

pytestmark = pytest.mark.slow

#: Jobs that wait; each of them ends while the server is full.
JOBS = 500


class LeavesLimitsToGuards(FairRedisBroker):
    """So that guards write what they do on any broker."""

    def enforce(self, rule: Rule) -> bool:
        return False


@contextmanager
def guarded(kind: type[FairRedisBroker]) -> Iterator[tuple[FairRedisBroker, RedisDeadLetterStore]]:
    """A broker with all guards, on a server of its own that holds all that they keep."""
    with own_valkey() as server:
        broker = kind(url=server.url, namespace=uuid4().hex, middleware=[])
        letters = RedisDeadLetterStore(broker.client)
        for each in standard_guards(
            broker.client,
            retries=Retries(max_retries=1, min_backoff=1, max_backoff=2),
            dead_letters=DeadLetters(letters, spool=RedisDeadLetterSpool(broker.client), move_interval_ms=50),
            org_limits=OrgLimits(RedisOrgLimitsStore(broker.client), max_active=3, wait_ms=50),
            circuit_breakers=CircuitBreakers(RedisCircuitBreakerStore(broker.client)),
        ):
            broker.add_middleware(each)
        try:
            yield broker, letters
        finally:
            broker.close()


@pytest.mark.parametrize("kind", [FairRedisBroker, LeavesLimitsToGuards])
def test_jobs_with_every_guard_end_on_a_full_server(kind: type[FairRedisBroker]) -> None:
    """Each runs, those that fail again and again are letters, and claims hold: what is sent twice ran once."""
    ran: list[int] = []
    with guarded(kind) as (broker, letters):

        @dramatiq.actor(broker=broker, rate=Rate(100_000, per="1s", burst=1_000), concurrency=("door", 2))
        def job(payload: dict[str, Any]) -> None:
            progress(50, "half")
            ran.append(payload["number"])
            if payload["number"] % 50 == 0:
                raise RuntimeError

        for number in range(JOBS):
            for _ in range(2 if number % 5 == 1 else 1):
                payload = {
                    "org_id": f"org {number % 3}",
                    "number": number,
                    "idempotency_key": f"key {number}",
                }
                job.send(payload)
        with full(broker), started(broker, threads=8):
            broker.join("default", timeout=3 * PATIENCE_MS)
            kept = letters.of_every_org()
            assert eventually(lambda: len(kept.list(limit=100)) == JOBS // 50)

    retried = [number for number in range(JOBS) if number % 50 == 0]
    assert sorted(ran) == sorted([*range(JOBS), *retried])
