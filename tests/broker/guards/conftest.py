"""The guards' own tests, with the fair broker in the place of Dramatiq's two."""

from collections.abc import Iterator
from uuid import uuid4

import dramatiq
import pytest

from app.embedded import Servers
from broker import FairRedisBroker
from tests.middleware.conftest import redis_client
from tests.middleware.retrying import watch

__all__ = ["redis_client", "watch"]


@pytest.fixture(params=["fair"])
def bare_broker(request: pytest.FixtureRequest, servers: Servers) -> Iterator[dramatiq.Broker]:
    """A broker with Dramatiq's stock middleware, and queues of its own."""
    made = FairRedisBroker(url=servers.redis_url, namespace=uuid4().hex)
    made.emit_after("process_boot")
    yield made
    made.flush_all()
    made.close()
    made.client.close()
