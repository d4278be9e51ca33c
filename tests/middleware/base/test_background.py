"""What repeats a step beside the jobs, and how its failures are reported."""

import logging
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from middleware.base.background import Again, Outage, PeriodicThread
from tests.middleware.eventually import PATIENCE_S, eventually
from tests.middleware.recorded_metrics import Emitted, handling

EVERY_S = 60.0

logger = logging.getLogger(__name__)


class Time:
    """Passes when the test says so: a wait ends with `pass_once`, or with its event."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []
        self._passed = threading.Semaphore(0)

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Stand in for `threading.Event.wait`."""
        self.asked_s.append(seconds)
        while not event.is_set() and not self._passed.acquire(timeout=0.001):
            pass

    def pass_once(self, *, times: int) -> None:
        """End the wait that is asked for as `times`-th."""
        assert eventually(lambda: len(self.asked_s) == times)
        self._passed.release()


class Step:
    """Counts its runs, and acts by their number."""

    def __init__(self, act: Callable[[int], Again | None] = lambda times: None) -> None:
        self.times = 0
        self.act = act

    def __call__(self) -> Again | None:
        self.times += 1
        return self.act(self.times)


@pytest.fixture
def name() -> Iterator[str]:
    """A name for a thread, of which none is left at the end."""
    name = uuid4().hex
    yield name
    assert alive(name) == []


@pytest.fixture
def passing() -> Time:
    """Time that passes when the test says so."""
    return Time()


def alive(name: str) -> list[threading.Thread]:
    """The threads of that name."""
    return [each for each in threading.enumerate() if each.name == f"pressroom-{name}"]


def test_it_runs_at_once_and_then_after_each_period(name: str, passing: Time) -> None:
    """When it is asked to; the period counts from the end of a run."""
    step = Step()
    thread = PeriodicThread(name, step, EVERY_S, at_once=True, wait=passing.wait)
    thread.start()
    passing.pass_once(times=1)
    passing.pass_once(times=2)
    assert eventually(lambda: len(passing.asked_s) == 3)
    assert (step.times, passing.asked_s) == (3, [EVERY_S] * 3)
    assert thread.stop(PATIENCE_S)


def test_it_waits_before_the_first_run(name: str, passing: Time) -> None:
    """Where it is not asked to begin at once."""
    step = Step()
    thread = PeriodicThread(name, step, EVERY_S, wait=passing.wait)
    thread.start()
    assert eventually(lambda: passing.asked_s == [EVERY_S])
    assert step.times == 0
    passing.pass_once(times=1)
    assert eventually(lambda: step.times == 1)
    assert thread.stop(PATIENCE_S)


def test_a_wake_ends_a_wait(name: str) -> None:
    """Once: it is no state that stays."""
    step = Step()
    thread = PeriodicThread(name, step, EVERY_S)
    thread.start()
    thread.wake()
    assert eventually(lambda: step.times == 1)
    thread.wake()
    assert eventually(lambda: step.times == 2)
    assert thread.stop(PATIENCE_S)
    assert step.times == 2


def test_a_wake_during_a_run_leads_to_another(name: str, passing: Time) -> None:
    """What came after the run had looked is not left for the next period."""
    step = Step(lambda times: thread.wake() if times == 1 else None)
    thread = PeriodicThread(name, step, EVERY_S, at_once=True, wait=passing.wait)
    thread.start()
    assert eventually(lambda: step.times == 2)
    assert thread.stop(PATIENCE_S)
    assert step.times == 2


def test_a_wake_of_what_does_not_run_does_nothing(name: str) -> None:
    """Neither before the start nor after the stop."""
    step = Step()
    thread = PeriodicThread(name, step, EVERY_S)
    thread.wake()
    thread.start()
    assert thread.stop(PATIENCE_S)
    thread.wake()
    assert (step.times, alive(name)) == (0, [])


def test_a_step_says_when_it_wants_to_run_again(name: str, passing: Time) -> None:
    """At once without any wait, or after so many seconds."""
    step = Step(lambda times: [Again(), Again(after_s=1.5), None][times - 1])
    thread = PeriodicThread(name, step, EVERY_S, at_once=True, wait=passing.wait)
    thread.start()
    passing.pass_once(times=1)
    assert eventually(lambda: len(passing.asked_s) == 2)
    assert (step.times, passing.asked_s) == (3, [1.5, EVERY_S])
    assert thread.stop(PATIENCE_S)


def test_a_step_that_fails_is_retried_ever_more_slowly(
    name: str, passing: Time, caplog: pytest.LogCaptureFixture
) -> None:
    """Every failure is counted; the log says once that it fails and once that it works, without the error's text."""
    emitted = Emitted()
    outage = Outage(logger, "The %s fails: %s", "The %s works.", "thing", counter="thing_failed_total")
    thread = PeriodicThread(
        name,
        Step(lambda times: fail(times) if times <= 5 else None),
        1.0,
        at_once=True,
        max_wait_s=10.0,
        outage=outage,
        wait=passing.wait,
    )
    with handling(emitted), caplog.at_level(logging.INFO):
        thread.start()
        for times in range(1, 7):
            passing.pass_once(times=times)
        assert eventually(lambda: len(passing.asked_s) == 7)
        assert thread.stop(PATIENCE_S)
    assert passing.asked_s == [2.0, 4.0, 8.0, 10.0, 10.0, 1.0, 1.0]
    assert emitted.of("thing_failed_total") == [1] * 5
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("WARNING", "The thing fails: ValueError"),
        ("INFO", "The thing works."),
    ]


def test_a_step_that_fails_is_retried_after_its_period(
    name: str, passing: Time, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no longer wait is allowed; and an error that nobody takes is logged by the thread's name."""
    thread = PeriodicThread(
        name,
        Step(lambda times: fail(times) if times <= 2 else None),
        EVERY_S,
        at_once=True,
        wait=passing.wait,
    )
    with caplog.at_level(logging.INFO):
        thread.start()
        for times in range(1, 4):
            passing.pass_once(times=times)
        assert eventually(lambda: len(passing.asked_s) == 4)
        assert thread.stop(PATIENCE_S)
    assert passing.asked_s == [EVERY_S] * 4
    assert caplog.messages == [
        f"Thread pressroom-{name} failed (ValueError); it goes on.",
        f"Thread pressroom-{name} works again.",
    ]


def test_a_thousand_failures_are_no_overflow(name: str, passing: Time) -> None:
    """An outage of weeks ends neither the thread nor its back-off."""
    outage = Outage(logger, "It fails: %s", "It works.")
    outage.failures = 5_000
    thread = PeriodicThread(
        name, Step(fail), 1.0, at_once=True, max_wait_s=30.0, outage=outage, wait=passing.wait
    )
    thread.start()
    assert eventually(lambda: passing.asked_s == [30.0])
    assert thread.stop(PATIENCE_S)


def test_a_stop_ends_the_wait_and_runs_no_more(name: str, passing: Time) -> None:
    """It does not take a period to stop, and twice does no harm."""
    step = Step()
    thread = PeriodicThread(name, step, EVERY_S, at_once=True, wait=passing.wait)
    thread.start()
    assert eventually(lambda: len(passing.asked_s) == 1)
    assert thread.stop(PATIENCE_S)
    assert thread.stop(PATIENCE_S)
    assert step.times == 1


def test_the_last_run_begins_after_the_stop(name: str) -> None:
    """Where one is asked for, once: what came during the run under way is not left behind."""
    begun, go_on = threading.Event(), threading.Event()

    def act(times: int) -> None:
        begun.set()
        assert go_on.wait(PATIENCE_S)

    step = Step(act)
    thread = PeriodicThread(name, step, EVERY_S, at_once=True, last_run=True)
    thread.start()
    assert begun.wait(PATIENCE_S)
    stopping = threading.Thread(target=thread.stop, args=(PATIENCE_S,))
    stopping.start()
    go_on.set()
    stopping.join()
    assert step.times == 2


def test_the_last_run_waits_for_no_back_off_and_may_fail(name: str, passing: Time) -> None:
    """What cannot be done by the end is tried once more and holds nobody up."""
    step = Step(fail)
    thread = PeriodicThread(
        name, step, EVERY_S, at_once=True, last_run=True, max_wait_s=3_600, wait=passing.wait
    )
    thread.start()
    assert eventually(lambda: passing.asked_s == [2 * EVERY_S])
    assert thread.stop(PATIENCE_S)
    assert step.times == 2


def test_a_step_that_hangs_is_left_behind(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The stop takes its time-out and says so, in the log too; the step that comes back is the last of that thread."""
    begun, go_on = threading.Event(), threading.Event()

    def hang(times: int) -> None:
        begun.set()
        assert go_on.wait(PATIENCE_S)

    step = Step(hang)
    thread = PeriodicThread(name, step, EVERY_S, at_once=True)
    thread.start()
    assert begun.wait(PATIENCE_S)
    assert not thread.stop(0.01)
    assert caplog.messages == [f"Thread pressroom-{name} did not end within 0.0 s; it is left behind."]

    (left_behind,) = alive(name)
    thread.start()
    assert eventually(lambda: step.times == 2)
    go_on.set()
    left_behind.join(PATIENCE_S)
    assert not left_behind.is_alive()
    assert thread.stop(PATIENCE_S)
    assert step.times == 2


def test_what_was_never_started_is_stopped_at_once(name: str) -> None:
    """A worker that did not boot shuts down all the same."""
    assert PeriodicThread(name, Step(), EVERY_S, last_run=True).stop(PATIENCE_S)


def test_there_is_one_thread_however_often_it_is_started(name: str) -> None:
    """A daemon, so that a process that forgets it ends nevertheless; and another one after a stop."""
    thread = PeriodicThread(name, Step(), EVERY_S)
    thread.start()
    thread.start()
    (first,) = alive(name)
    assert first.daemon
    assert thread.stop(PATIENCE_S)
    thread.start()
    (second,) = alive(name)
    assert second is not first
    assert thread.stop(PATIENCE_S)


def test_a_step_stops_its_own_thread(name: str) -> None:
    """Without waiting for itself; and whoever needs it next starts another."""
    stopped: list[bool] = []
    step = Step(lambda times: stopped.append(thread.stop(PATIENCE_S)))
    thread = PeriodicThread(name, step, EVERY_S, at_once=True)
    for times in (1, 2):
        thread.start()
        assert eventually(lambda times=times: step.times == times and not alive(name))  # type: ignore[misc]
    assert stopped == [False, False]


def test_a_forked_process_starts_its_own() -> None:
    """It inherits the object without the thread; the start that finds none alive makes one."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
                import os, threading
                from middleware.base.background import PeriodicThread
                ran = threading.Event()
                thread = PeriodicThread("forked", ran.set, 0.001, at_once=True)
                thread.start()
                assert ran.wait(10)
                child = os.fork()
                if child == 0:
                    ran.clear()
                    thread.start()
                    os._exit(0 if ran.wait(10) and thread.stop(10) else 1)
                assert thread.stop(10)
                raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            """),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_period_of_nothing_is_refused() -> None:
    """The mistake is named where it was made, and burns no processor."""
    with pytest.raises(ValueError, match=r"every_s must be more than 0, not 0"):
        PeriodicThread("it", Step(), 0)


def test_an_attempt_returns_whether_it_worked(caplog: pytest.LogCaptureFixture) -> None:
    """What it raises is described as its owner wants, and an outage after the first is reported anew."""
    outage = Outage(logger, "It fails: %s", "It works.", describe=str)
    with caplog.at_level(logging.INFO):
        results = [outage.attempt(step) for step in (Step(fail), Step(fail), Step(), Step(), Step(fail))]
    assert results == [False, False, True, True, False]
    assert caplog.messages == ["It fails: away", "It works.", "It fails: away"]


def fail(times: int) -> None:
    """What a step does whose store is away."""
    raise ValueError("away")
