"""A worker whose calls fail although the server answers is not well, and says so to whoever asks."""

import dramatiq
import pytest
import redis
from dramatiq.errors import ConnectionClosed

from broker import FairRedisBroker, Inspector
from broker.leasing.call_failures import CallFailures
from tests.broker.workers import started
from tests.middleware.eventually import eventually
from tests.middleware.own_server import own_valkey

#: Of the worker, in milliseconds.
TIMEOUT_MS = 3_000


class Clock:
    """Seconds that go forward when they are told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def failing(failures: CallFailures, what: str, error: Exception) -> None:
    """One more failure."""
    with pytest.raises(type(error)), failures.watched(what):
        raise error


def test_what_fails_for_long_enough_is_named_until_it_succeeds() -> None:
    """What else succeeds meanwhile changes nothing."""
    clock = Clock()
    failures = CallFailures(5.0, monotonic=clock)
    failing(failures, "fetching", ValueError("no"))
    clock.now_s = 4.9
    failing(failures, "fetching", ValueError("still no"))
    said = [failures.text]
    clock.now_s = 5.0
    with failures.watched("reporting"):
        pass
    said.append(failures.text)
    with failures.watched("fetching"):
        pass
    said.append(failures.text)

    assert said == [None, "fetching fails, although the server answers: ValueError: still no", None]


def test_a_server_that_is_away_makes_nobody_unwell() -> None:
    """It is the server's own affair."""
    clock = Clock()
    failures = CallFailures(5.0, monotonic=clock)
    failing(failures, "fetching", ConnectionClosed(OSError()))  # type: ignore[no-untyped-call]
    clock.now_s = 60.0

    assert failures.text is None


@pytest.mark.slow
def test_a_worker_that_may_not_fetch_says_so_and_recovers() -> None:
    """To its process, to `why` and in the list of workers, while it beats as ever."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as admin:
        admin.acl_setuser("worker", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all"])
        client = redis.Redis.from_url(server.url, username="worker", password="secret")
        fair = FairRedisBroker(client=client, heartbeat_timeout=TIMEOUT_MS, middleware=[])
        ran: list[int] = []
        actor = dramatiq.actor(broker=fair)(ran.append)
        look = Inspector(admin, fair.base, heartbeat_timeout_ms=TIMEOUT_MS)
        with started(fair):
            assert eventually(lambda: any(each.queues for each in look.workers()))
            admin.execute_command("ACL", "SETUSER", "worker", "-incrby")
            sent = actor.send(1)
            assert eventually(lambda: fair.unwell is not None)
            assert eventually(lambda: look.why(sent.message_id).cause == "workers_unwell")
            [worker] = look.workers()
            assert "fetching from queue default fails, although the server answers" in (worker.unwell or "")
            assert worker.last_beat_s < TIMEOUT_MS / 1_000

            admin.execute_command("ACL", "SETUSER", "worker", "+incrby")
            assert eventually(lambda: ran == [1])
            assert eventually(lambda: fair.unwell is None)
        fair.close()
        client.close()
