"""Cron with real periodiq processes, a real server that goes away, and the system's clock."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import cast

import dramatiq
import pytest
import redis

from tests.middleware.brokers import close, work
from tests.middleware.cron.process_app import RAN, URL_VARIABLE, build
from tests.middleware.own_server import OwnValkey, own_valkey

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]


class Scheduler:
    """One `periodiq` process, with what it logs."""

    def __init__(self, server: OwnValkey, log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [Path(sys.executable).with_name("periodiq"), "tests.middleware.cron.process_app:broker"],
                cwd=ROOT,
                env={**os.environ, URL_VARIABLE: server.url},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def has_logged(self, text: str, *, within_s: float = 20) -> bool:
        """Whether it says so in time."""
        return until(lambda: text in self._log.read_text(), within_s)

    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it, and wait for that."""
        self._process.kill()
        self._process.wait()


@contextmanager
def scheduler(server: OwnValkey, log: Path) -> Iterator[Scheduler]:
    """One process, gone afterwards."""
    made = Scheduler(server, log)
    try:
        yield made
    finally:
        made.stop()


def until(condition: Callable[[], bool], within_s: float) -> bool:
    """Whether the condition comes true in time."""
    pause, end = Event(), time.monotonic() + within_s
    while time.monotonic() < end:
        if condition():
            return True
        pause.wait(0.05)
    return False


@contextmanager
def worker_broker(server: OwnValkey) -> Iterator[dramatiq.Broker]:
    """A worker's broker in this process."""
    made = build(server.url)
    yield made
    close(made)


def ran(broker: dramatiq.Broker) -> Counter[str]:
    """How often each tick ran, after a worker has done all there is."""
    work(broker, "default", threads=4)
    ticks = cast("list[bytes]", broker.client.lrange(RAN, 0, -1))  # type: ignore[attr-defined]
    return Counter(each.decode() for each in ticks)


def sent(broker: dramatiq.Broker) -> int:
    """How many messages wait."""
    return cast("int", broker.do_qsize("default"))  # type: ignore[attr-defined]


def test_two_schedulers_and_a_restart_run_each_minute_once(tmp_path: Path) -> None:
    """Both send at once, one is killed and started again, a minute goes by, and no tick runs twice or never."""
    with own_valkey() as server, worker_broker(server) as broker:
        with scheduler(server, tmp_path / "a") as first, scheduler(server, tmp_path / "b") as second:
            begun = datetime.now(UTC)
            assert until(lambda: sent(broker) >= 2, 20)
            first.stop()
            with scheduler(server, tmp_path / "c") as third:
                assert until(lambda: sent(broker) >= 3, 20)
                assert set(ran(broker).values()) == {1}

                # The minute after the last that may have been sent by then, from both that run.
                assert until(lambda: sent(broker) >= 2, 70)
                assert second.runs()
                assert third.runs()

        counts = ran(broker)
        assert set(counts.values()) == {1}
        minutes = sorted(datetime.fromisoformat(each) for each in counts)
        assert [int((each - minutes[0]).total_seconds()) for each in minutes] == [
            60 * number for number in range(len(minutes))
        ]
        assert len(minutes) >= 2
        assert minutes[0] >= begun.replace(second=0, microsecond=0)


def test_a_scheduler_survives_a_server_that_is_gone_and_sends_when_it_is_back(tmp_path: Path) -> None:
    """Started without a server it repeats its first tick, which is sent once there is one, and runs once."""
    with own_valkey() as server, worker_broker(server) as broker:
        server.stop()
        with scheduler(server, tmp_path / "log") as process:
            assert process.has_logged("could not be sent")
            assert process.runs()
            server.start()
            assert until(lambda: sent(broker) >= 1, 20)
            assert process.runs()

        assert set(ran(broker).values()) == {1}


def test_a_scheduler_that_gave_up_goes_on_and_its_tick_is_found(tmp_path: Path) -> None:
    """A server that is away for long costs the scheduler nothing but the tick, which workers make up for."""
    with own_valkey() as server, worker_broker(server) as broker:
        server.stop()
        with scheduler(server, tmp_path / "log") as process:
            assert process.has_logged("was not sent; workers will find it missed")
            assert process.runs()
        server.start()
        guard = broker.middleware[0]
        client = cast("redis.Redis", broker.client)  # type: ignore[attr-defined]
        assert guard.find_missed(broker) == 0  # type: ignore[attr-defined]
        # Five minutes ago somebody looked last.
        client.hincrby("pressroom:{cron:every_minute}:state", "accounted", -5)
        assert guard.find_missed(broker) in (3, 4)  # type: ignore[attr-defined]

        assert set(ran(broker).values()) == {1}
