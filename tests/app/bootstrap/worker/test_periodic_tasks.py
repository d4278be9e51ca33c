"""The thread that every worker has beside its jobs, on tasks of the tests' own."""

import threading
from collections.abc import Callable

import pytest

from app.bootstrap.worker.periodic_tasks import PeriodicTaskThread
from tests.middleware.eventually import PATIENCE_S, eventually
from tests.middleware.recorded_metrics import Emitted, handling

HOUR_S = 3_600.0


class Chore:
    """A task that counts, and does as it is asked."""

    def __init__(self, act: Callable[[int], bool] = lambda times: False) -> None:
        self.times = 0
        self.act = act

    def __call__(self) -> bool:
        self.times += 1
        return self.act(self.times)


def fail(times: int) -> bool:
    """What a task does whose database is away."""
    raise ValueError("away")


def test_a_task_that_fails_backs_off_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    """Its failures are counted by its name, and logged once until it works again."""
    broken, fine, moment_s, emitted = Chore(fail), Chore(), [0.0], Emitted()
    tasks = PeriodicTaskThread(
        {"broken": broken, "fine": fine}, uniform=lambda low, high: high, clock_s=lambda: moment_s[0]
    )
    with handling(emitted):
        for moment_s[0] in (0.0, 0.9, 1.0, 2.9, 3.0):
            tasks.run_due()
    assert (broken.times, fine.times) == (3, 5)
    assert emitted.labels_of("worker_duty_failed_total") == [{"duty": "broken"}] * 3
    assert caplog.text.count("Duty broken failed (ValueError): away") == 1


def test_a_back_off_doubles_up_to_half_a_minute() -> None:
    """With jitter that leaves at least half of it; success makes the next one short again."""
    asked: list[tuple[float, float]] = []
    moment_s = [0.0]
    chore = Chore(fail)

    def longest(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    tasks = PeriodicTaskThread({"it": chore}, uniform=longest, clock_s=lambda: moment_s[0])
    for _ in range(7):
        tasks.run_due()
        moment_s[0] += 30
    chore.act = lambda times: False
    tasks.run_due()
    chore.act = fail
    tasks.run_due()
    assert asked == [(high / 2, high) for high in (1, 2, 4, 8, 16, 30, 30, 1)]


def test_a_wake_is_followed_at_once() -> None:
    """Without waiting for the next look, an hour away; one wake is one look."""
    looked = threading.Semaphore(0)

    def look(times: int) -> bool:
        looked.release()
        return False

    chore = Chore(look)
    thread = PeriodicTaskThread({"it": chore}, every_s=HOUR_S)
    thread.start()
    assert looked.acquire(timeout=PATIENCE_S)
    thread.wake()
    assert looked.acquire(timeout=PATIENCE_S)
    assert not looked.acquire(timeout=0.05)
    thread.stop(PATIENCE_S)
    assert chore.times == 3


def test_a_wake_during_a_look_leads_to_another() -> None:
    """What was committed after the look began is not left for the next hour."""
    begun, go_on, again = threading.Event(), threading.Event(), threading.Event()

    def look(times: int) -> bool:
        if times == 1:
            begun.set()
            assert go_on.wait(PATIENCE_S)
        else:
            again.set()
        return False

    thread = PeriodicTaskThread({"it": Chore(look)}, every_s=HOUR_S)
    thread.start()
    assert begun.wait(PATIENCE_S)
    thread.wake()
    go_on.set()
    assert again.wait(PATIENCE_S)
    thread.stop(PATIENCE_S)


def test_a_task_with_more_to_do_is_not_kept_waiting() -> None:
    """It is done again at once until it says that it is through."""
    chore = Chore(lambda times: times < 5)
    thread = PeriodicTaskThread({"it": chore}, every_s=HOUR_S)
    thread.start()
    assert eventually(lambda: chore.times == 5)
    thread.stop(PATIENCE_S)


def test_a_wake_does_not_end_a_back_off() -> None:
    """A broker that is away is not asked more often because more is committed."""
    broken, fine = Chore(fail), Chore()
    thread = PeriodicTaskThread(
        {"broken": broken, "fine": fine}, uniform=lambda low, high: HOUR_S, every_s=HOUR_S
    )
    thread.start()
    for times in range(1, 4):
        assert eventually(lambda times=times: fine.times >= times)  # type: ignore[misc]
        thread.wake()
    assert broken.times == 1
    thread.stop(PATIENCE_S)


def test_it_comes_back_when_the_back_off_is_over() -> None:
    """Not an hour later, when the next look would be."""
    chore = Chore(lambda times: fail(times) if times == 1 else False)
    thread = PeriodicTaskThread({"it": chore}, uniform=lambda low, high: 0.01, every_s=HOUR_S)
    thread.start()
    assert eventually(lambda: chore.times == 2)
    thread.stop(PATIENCE_S)


def test_the_last_look_is_after_the_stop() -> None:
    """What jobs committed before they ended is looked for once more."""
    chore = Chore()
    thread = PeriodicTaskThread({"it": chore}, every_s=HOUR_S)
    thread.start()
    assert eventually(lambda: chore.times == 1)
    thread.stop(PATIENCE_S)
    assert chore.times == 2


def test_a_task_that_hangs_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    """The worker ends in time, and says so."""
    begun, release = threading.Event(), threading.Event()

    def hang(times: int) -> bool:
        begun.set()
        return not release.wait(PATIENCE_S)

    thread = PeriodicTaskThread({"it": Chore(hang)}, every_s=HOUR_S)
    thread.start()
    assert begun.wait(PATIENCE_S)
    thread.stop(0.01)
    assert "left behind" in caplog.text
    release.set()
