"""The alarm that ends a process whose Python threads cannot run any more."""

import faulthandler
import math
import threading
from typing import Any

import pytest

from middleware.deadlines.watchdog import Watchdog
from tests.middleware.eventually import PATIENCE_S, eventually


class Alarms:
    """Stands in for the process's one alarm, which would end the tests."""

    def __init__(self) -> None:
        #: Who set it, and to how many seconds; None: it was taken back.
        self.set: list[tuple[threading.Thread, float | None]] = []

    def dump_traceback_later(self, timeout: float, **_: Any) -> None:
        self.set.append((threading.current_thread(), timeout))

    def cancel_dump_traceback_later(self) -> None:
        self.set.append((threading.current_thread(), None))

    def mine(self) -> list[float | None]:
        """Those that this thread set."""
        return [seconds for thread, seconds in self.set if thread is threading.current_thread()]


@pytest.fixture
def alarms(monkeypatch: pytest.MonkeyPatch) -> Alarms:
    """Set and taken back by the watchdog."""
    made = Alarms()
    for name in ("dump_traceback_later", "cancel_dump_traceback_later"):
        monkeypatch.setattr(faulthandler, name, getattr(made, name))
    return made


def test_the_alarm_is_set_before_the_job_begins(alarms: Alarms) -> None:
    """By the job's own thread: one that holds the interpreter's lock at once gives the watchdog's no turn."""
    watchdog = Watchdog(lambda: math.inf, frozen_after_s=2, monotonic=lambda: 0.0)

    watchdog.expect(60)
    watchdog.expect(50)
    watchdog.expect(55)
    watchdog.stop()

    assert alarms.mine() == [62, 52]


def test_no_job_shortens_the_time_that_a_scan_was_allowed(alarms: Alarms) -> None:
    """A replacement that takes long is no frozen process."""
    scanning, go_on = threading.Event(), threading.Event()

    def scan() -> float:
        watchdog.allow(600)
        scanning.set()
        go_on.wait(PATIENCE_S)
        return math.inf

    watchdog = Watchdog(scan, frozen_after_s=2, monotonic=lambda: 0.0)
    watchdog.expect(0)
    assert scanning.wait(PATIENCE_S)
    watchdog.expect(50)
    assert alarms.set[-1][1] == 602

    go_on.set()
    assert eventually(lambda: alarms.set[-1][1] == 52)
    watchdog.stop()

    assert alarms.set[-1][1] is None


def test_the_alarm_is_set_again_after_a_scan_that_failed(
    alarms: Alarms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that scanned is gone, and with it what it was allowed; the next job begins with an alarm."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def scan() -> float:
        raise RuntimeError("bug")

    watchdog = Watchdog(scan, frozen_after_s=2, monotonic=lambda: 0.0)
    watchdog.expect(0)
    assert eventually(lambda: watchdog._thread is not None and not watchdog._thread.is_alive())
    watchdog.expect(50)
    watchdog.stop()

    assert alarms.mine() == [2, 52]
