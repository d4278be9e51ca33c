"""The two stages of each scenario."""

from collections.abc import Iterator

import pytest

from app.embedded import Servers
from tests.broker.promises.scenario import Stage, staged


@pytest.fixture
def vanilla(servers: Servers) -> Iterator[Stage]:
    """Dramatiq's own Redis broker."""
    with staged("vanilla", servers.redis_url) as stage:
        yield stage


@pytest.fixture
def ours(servers: Servers) -> Iterator[Stage]:
    """The `FairRedisBroker`."""
    with staged("ours", servers.redis_url) as stage:
        yield stage
