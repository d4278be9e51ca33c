"""The stage of a test."""

from collections.abc import Iterator

import pytest

from app.embedded import Servers
from tests.broker.supervisor.supervised import Stage, staged


@pytest.fixture
def stage(servers: Servers) -> Iterator[Stage]:
    """For supervisors, on the shared Valkey."""
    with staged(servers.redis_url) as on_it:
        yield on_it
