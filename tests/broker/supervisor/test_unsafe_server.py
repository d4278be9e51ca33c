"""Workers on a server that may drop messages."""

import pytest
import redis

from tests.broker.supervisor.supervised import staged
from tests.middleware.own_server import own_valkey

pytestmark = pytest.mark.slow


def test_a_server_that_may_evict_ends_the_start() -> None:
    """Trying for ever would not mend it; the exit code is that of modules that cannot be loaded."""
    with own_valkey() as server, staged(server.url) as stage:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")

        assert stage.command(module="tests.broker.supervisor.fair_jobs").code() == 2
