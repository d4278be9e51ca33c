"""Every guard is tested on Dramatiq's stub broker and on a real Redis broker, every store on both backends."""

from collections.abc import Iterator
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker

from app.embedded import Servers
from tests.middleware.brokers import close
from tests.middleware.retrying_jobs import watch

__all__ = ["watch"]


@pytest.fixture(params=["stub", "redis"])
def bare_broker(request: pytest.FixtureRequest) -> Iterator[dramatiq.Broker]:
    """A broker with Dramatiq's stock middleware, and queues of its own."""
    made: dramatiq.Broker
    if request.param == "stub":
        made = StubBroker()
    else:
        servers: Servers = request.getfixturevalue("servers")
        made = RedisBroker(url=servers.redis_url, namespace=uuid4().hex)  # type: ignore[no-untyped-call]
    yield made
    made.flush_all()
    close(made)


@pytest.fixture
def redis_client(servers: Servers) -> Iterator[redis.Redis]:
    """A client of the real server."""
    with redis.Redis.from_url(servers.redis_url) as client:
        yield client
