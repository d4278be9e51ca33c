"""A server of the model's own: it reads all keys after each call."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis

from tests.broker.model.fleet import Fleet
from tests.middleware.own_server import own_valkey


@pytest.fixture(scope="session")
def quiet_server() -> Iterator["redis.Redis"]:
    """A client of a server that nobody else uses."""
    with own_valkey() as server, redis.Redis.from_url(server.url, socket_timeout=None) as client:
        yield client


@pytest.fixture
def fleet(quiet_server: "redis.Redis") -> Fleet:
    """Three workers and an empty shard."""
    return Fleet(quiet_server, f"{uuid4().hex}:{{0}}")
