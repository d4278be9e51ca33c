"""A database and keys that no other test has anything to do with."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
import redis

from adapters.database.migrate import upgrade
from app.embedded import Servers
from tests.databases import Database


@pytest.fixture
def database(new_database: Callable[[], Database]) -> Database:
    """Migrated, and one test's own: what holds for orgs holds for all of a database's."""
    fresh = new_database()
    upgrade(fresh.owner_url)
    return fresh


@pytest.fixture
def prefix() -> str:
    """Begins the test's own keys."""
    return f"t{uuid4().hex}"


@pytest.fixture
def client(servers: Servers) -> Iterator[redis.Redis]:
    """Of the server that all tests share."""
    with redis.Redis.from_url(servers.redis_url) as made:
        yield made
