"""Beats that go on when no Python can run, and end when the worker does."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded import Servers
from tests.broker.leasing.heartbeat_sender import Beaten, beaten
from tests.broker.supervisor.supervised import is_alive
from tests.middleware.own_server import own_valkey

pytestmark = pytest.mark.slow


@pytest.fixture
def worker(servers: Servers) -> Iterator[Beaten]:
    """A process that is beaten for every 50 ms."""
    with beaten(servers.redis_url) as process:
        yield process


def test_a_held_interpreter_lock_stops_no_beats(worker: Beaten) -> None:
    """Three times the 15 beats that a heartbeat time-out is long, while no Python ran in the worker."""
    worker.say(b"h")
    worker.wait_for("holding")

    worker.await_beats(45)

    worker.say(b".")
    # Another thread may take one turn at either end.
    assert int(worker.wait_for("held")) <= 2


def test_a_frozen_worker_is_beaten_for_until_the_stall_timeout(servers: Servers) -> None:
    """Then the helper says so and keeps silent; when the worker goes on, so do the beats."""
    with beaten(servers.redis_url, stall_timeout_s=0.5) as worker:
        worker.await_beats(1)
        os.kill(worker.pid, signal.SIGSTOP)
        worker.await_beats(2)

        worker.wait_for("has not moved for 0.5 s")
        last_ms = worker.last_beat_ms()
        worker.pause(10 * worker.every_s)

        assert worker.last_beat_ms() == last_ms
        assert is_alive(worker.helper_pid)
        os.kill(worker.pid, signal.SIGCONT)
        worker.await_beats(2)


@pytest.mark.parametrize("with_fork", [False, True])
def test_a_killed_worker_takes_its_helper_along_at_once(servers: Servers, with_fork: bool) -> None:
    """Not with the next beat, which would be in an hour here; even if a child of a job holds the same pipe."""
    with beaten(servers.redis_url, every_s=3_600) as worker:
        worker.await_beats(1)
        if with_fork:
            worker.say(b"f")
            worker.wait_for("forked")
            assert is_alive(worker.helper_pid)

        worker.kill()

        worker.wait_until(lambda: not is_alive(worker.helper_pid))


def test_no_beat_follows_a_kill(worker: Beaten) -> None:
    """The last one is not younger than the death."""
    worker.await_beats(2)
    worker.kill()
    seconds, micros = worker.client.time()

    worker.wait_until(lambda: not is_alive(worker.helper_pid))

    assert worker.last_beat_ms() <= seconds * 1_000 + micros // 1_000


def test_a_worker_that_was_given_up_is_not_brought_back(worker: Beaten) -> None:
    """Beats that come too late change nothing; once it is known again, they count."""
    worker.await_beats(1)
    worker.client.delete(f"{worker.base}:workers")

    worker.pause(10 * worker.every_s)

    assert worker.last_beat_ms() == -1
    worker.register()
    worker.await_beats(1)


def test_a_signal_to_the_whole_group_does_not_end_the_helper(worker: Beaten) -> None:
    """While the worker drains, it lives."""
    worker.await_beats(1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(worker.helper_pid, number)

    worker.await_beats(5)

    worker.say(b"p")
    assert int(worker.wait_for("helper_pid")) == worker.helper_pid


def test_a_helper_that_was_killed_is_replaced(worker: Beaten) -> None:
    """As by a machine that ran out of memory."""
    os.kill(worker.helper_pid, signal.SIGKILL)
    worker.wait_until(lambda: not is_alive(worker.helper_pid))

    worker.await_beats(2)

    worker.say(b"p")
    assert int(worker.wait_for("helper_pid")) != worker.helper_pid


def test_a_frozen_helper_holds_up_nobody(worker: Beaten) -> None:
    """The worker goes on, and stopping ends the helper all the same."""
    os.kill(worker.helper_pid, signal.SIGSTOP)

    worker.say(b"s")
    worker.wait_for("stopped")

    worker.wait_until(lambda: not is_alive(worker.helper_pid))


def test_stopping_ends_the_helper(worker: Beaten) -> None:
    """And a stopped worker is not beaten for."""
    worker.say(b"s")
    worker.wait_for("stopped")

    assert not is_alive(worker.helper_pid)


def test_beats_survive_a_server_that_is_away() -> None:
    """They go on when it is back, without anybody's doing."""
    with own_valkey() as server, beaten(server.url) as worker:
        worker.await_beats(1)
        server.stop()
        server.start()
        worker.register()

        worker.await_beats(2)


def test_the_helper_is_small(worker: Beaten) -> None:
    """One for each worker process must not be felt: the share of memory that is its own."""
    worker.await_beats(2)
    rollup = Path(f"/proc/{worker.helper_pid}/smaps_rollup").read_text()
    pss_kb = next(int(row.split()[1]) for row in rollup.splitlines() if row.startswith("Pss:"))

    assert pss_kb < 10_000
    command = Path(f"/proc/{worker.helper_pid}/cmdline").read_text()
    assert "redis" not in Path(f"/proc/{worker.helper_pid}/maps").read_text()
    assert "redis" not in command, "where the server is may hold a password"
