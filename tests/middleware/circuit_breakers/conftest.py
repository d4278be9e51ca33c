"""What the tests of breakers share."""

from uuid import uuid4

import pytest
import redis

from middleware.circuit_breakers.memory import MemoryCircuitBreakerStore
from middleware.circuit_breakers.redis import RedisCircuitBreakerStore
from tests.middleware.circuit_breakers.breaker_helpers import age
from tests.middleware.circuit_breakers.store_stages import Stage
from tests.middleware.circuit_breakers.subjects import Subject, Theirs, in_memory, on_server


@pytest.fixture(params=["pybreaker", "memory", "redis"])
def subject(request: pytest.FixtureRequest) -> Subject:
    """pybreaker's own class, and ours in memory and on a real server."""
    if request.param == "pybreaker":
        return Theirs()
    return in_memory() if request.param == "memory" else on_server(request.getfixturevalue("redis_client"))


@pytest.fixture(params=["memory", "redis"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Both stores; on the server, time passes by moving everything that is dated into the past."""
    if request.param == "memory":
        now_ms = [1_700_000_000_000]

        def later(seconds: float) -> None:
            now_ms[0] += round(seconds * 1_000)

        return Stage(MemoryCircuitBreakerStore(now_ms=lambda: now_ms[0]), later)
    client: redis.Redis = request.getfixturevalue("redis_client")
    prefix = uuid4().hex
    return Stage(RedisCircuitBreakerStore(client, prefix=prefix), lambda s: age(client, prefix, s))
