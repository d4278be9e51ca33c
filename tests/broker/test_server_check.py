"""Which servers a worker refuses to work on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.errors import ConnectionClosed

from broker import FairRedisBroker
from broker.errors import UnsafeServer
from broker.server_check import check_server
from tests.middleware.crash.scenario import ROOT
from tests.middleware.own_server import own_valkey

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of a server whose configuration these tests may spoil."""
    with own_valkey() as server:
        yield server.url


@pytest.fixture
def client(url: str) -> Iterator["redis.Redis"]:
    """As an administrator, with everything as it should be."""
    with redis.Redis.from_url(url) as connected:
        connected.config_set("maxmemory-policy", "noeviction")
        yield connected


def test_a_server_that_keeps_what_it_has_passes(client: "redis.Redis") -> None:
    """Full, it refuses to take more, and senders learn of it."""
    check_server(client)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
def test_a_server_that_may_evict_is_refused(client: "redis.Redis", policy: str) -> None:
    """Whatever it would choose from; the error says what to do."""
    client.config_set("maxmemory-policy", policy)

    with pytest.raises(UnsafeServer, match=f"is {policy}.*CONFIG SET maxmemory-policy noeviction"):
        check_server(client)


def test_a_worker_does_not_start_on_such_a_server(client: "redis.Redis", url: str) -> None:
    """Whoever starts it: who sends may go on, for it loses nothing that was not lost."""
    client.config_set("maxmemory-policy", "allkeys-lru")
    broker = FairRedisBroker(url=url, namespace=uuid4().hex)
    broker.declare_queue("default")

    with pytest.raises(UnsafeServer):
        dramatiq.Worker(broker).start()

    broker.close()


def test_its_supervisor_does_not_try_again_and_again(client: "redis.Redis", url: str) -> None:
    """It ends with the code for what is wrong from the start, and says why in one line."""
    client.config_set("maxmemory-policy", "allkeys-lru")

    done = subprocess.run(
        [sys.executable, "-m", "broker", "worker", "tests.broker.supervisor.fair_jobs"],
        cwd=ROOT,
        env={**os.environ, "SUPERVISED_URL": url, "SUPERVISED_SPACE": uuid4().hex},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    (row,) = [each for each in done.stderr.splitlines() if "CRITICAL" in each]
    assert "CONFIG SET maxmemory-policy noeviction" in row
    assert "Traceback" not in done.stderr


def test_who_may_not_configure_may_look(client: "redis.Redis", url: str) -> None:
    """Managed servers forbid CONFIG; INFO says the same."""
    client.config_set("maxmemory-policy", "allkeys-lru")

    with _restricted(client, url, "-config") as restricted, pytest.raises(UnsafeServer):
        check_server(restricted)


def test_a_server_that_does_not_say_is_let_pass_with_a_warning(
    client: "redis.Redis", url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be well set up; nobody is kept from working by a rule about who may ask."""
    with _restricted(client, url, "-info") as restricted:
        check_server(restricted)

    assert "does not say its maxmemory-policy" in caplog.text


def test_a_server_that_is_away_is_no_unsafe_one() -> None:
    """Workers wait for it as they always do."""
    with (
        redis.Redis.from_url("redis://127.0.0.1:1", socket_timeout=1) as nobody,
        pytest.raises(ConnectionClosed),
    ):
        check_server(nobody)


def _restricted(client: "redis.Redis", url: str, rule: str) -> "redis.Redis":
    name = uuid4().hex
    client.acl_setuser(name, enabled=True, nopass=True, keys=["*"], commands=["+@all", rule])
    return redis.Redis.from_url(url, username=name, password="any", protocol=2)
