"""What the broker asks of the server, in commands: idle next to nothing, busy a fraction of a call a job."""

import threading
from collections.abc import Iterator

import dramatiq
import pytest
from redis import Redis

from app.embedded.folders import find_server_folders
from broker import FairRedisBroker
from tests.broker.workers import PATIENCE_MS, run_all, started
from tests.folders import open_folder
from tests.middleware.eventually import eventually
from tests.middleware.own_server import OwnValkey

pytestmark = pytest.mark.slow

#: How long an idle worker is watched, in seconds.
WATCHED_S = 5


@pytest.fixture
def only() -> Iterator[FairRedisBroker]:
    """On a server that nobody else talks to, so that its counts are ours."""
    with open_folder() as folder:
        server = OwnValkey(find_server_folders(folder))
        broker = FairRedisBroker(url=server.url)
        try:
            yield broker
        finally:
            broker.close()
            server.stop()


def test_an_idle_worker_asks_less_than_twice_a_second(only: FairRedisBroker) -> None:
    """With one queue; a far-away delayed message changes nothing."""
    actor = dramatiq.actor(broker=only)(lambda: None)
    actor.send()
    actor.send_with_options(delay=10_000_000)
    with started(only):
        assert eventually(lambda: only.client.hget(f"{only.base}:n", "default") == b"1")
        assert eventually(lambda: bool(only.client.exists(f"{only.base}:wi")))
        before = _commands(only.client)
        threading.Event().wait(WATCHED_S)
        asked = _commands(only.client) - before

    # The asking itself is a command.
    assert asked - 1 <= 2 * WATCHED_S


def test_a_busy_worker_makes_a_fraction_of_a_call_a_job(only: FairRedisBroker) -> None:
    """Fetches bring many, and take the ends of many along."""
    actor = dramatiq.actor(broker=only)(lambda: None)
    jobs = 2_000
    for _ in range(jobs):
        actor.send()
    before = _script_calls(only.client)
    run_all(only, threads=8)

    assert (_script_calls(only.client) - before) / jobs <= 0.2


def test_no_worker_asks_for_messages_that_it_could_not_begin(only: FairRedisBroker) -> None:
    """One whose threads are all busy waits for one of them, and asks nobody."""
    gate, begun = threading.Event(), threading.Event()

    @dramatiq.actor(broker=only)
    def long() -> None:
        begun.set()
        gate.wait(PATIENCE_MS / 1_000)

    for _ in range(5):
        long.send()
    with started(only):
        assert begun.wait(10)
        assert eventually(lambda: int(only.client.llen(f"{only.base}:l:default::long:0")) == 4)
        before = _commands(only.client)
        threading.Event().wait(WATCHED_S)
        asked = _commands(only.client) - before
        gate.set()
        only.join("default", timeout=PATIENCE_MS)

    assert asked - 1 <= 2 * WATCHED_S


def _commands(client: "Redis") -> int:
    """What clients have sent; what scripts call inside the server is not among it."""
    stats = client.info("commandstats")
    sent = {"eval", "evalsha", "blpop", "lpush", "info", "ping", "auth", "select", "hello", "client|setinfo"}
    return sum(int(each["calls"]) for name, each in stats.items() if name[8:] in sent)


def _script_calls(client: "Redis") -> int:
    stats = client.info("commandstats")
    return sum(int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in ("eval", "evalsha"))
