"""Several things at once, in threads that know their job and leave nothing behind."""

import contextvars
import threading
import time
from collections.abc import Iterator

import pytest

from adapters.threads import in_threads
from domain.feedback_ingest import InParallel

#: Bound on everything waited for, so that a broken test ends.
PATIENCE_S = 10.0

job: contextvars.ContextVar[str] = contextvars.ContextVar("job", default="none")


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def quiet(done: int) -> None:
    """Nobody asks between."""


def test_results_come_in_the_order_of_the_items() -> None:
    """However long each takes."""
    last_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert last_is_done.wait(PATIENCE_S)
        if item == 4:
            last_is_done.set()
        return item * item

    parallel: InParallel = in_threads  # the assignment is a test for type checkers: this is the domain's port
    assert parallel(work, range(5), at_once=5, between=quiet) == [0, 1, 4, 9, 16]


def test_nothing_to_do_takes_no_thread() -> None:
    """And no error."""
    assert in_threads(str, [], at_once=3, between=quiet) == []


def test_so_many_at_once_and_no_more() -> None:
    """All of the threads are used, and none beyond."""
    together = threading.Barrier(3, timeout=PATIENCE_S)
    running, most, lock = 0, 0, threading.Lock()

    def work(item: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()
        with lock:
            running -= 1
        together.wait()

    in_threads(work, range(9), at_once=3, between=quiet)
    assert most == 3


def test_each_thread_knows_the_job() -> None:
    """What the caller's context says, all threads are told, and what they say stays theirs."""
    token = job.set("mine")
    try:

        def work(item: int) -> str:
            reported = job.get()
            job.set("other")
            return reported

        assert in_threads(work, range(20), at_once=4, between=quiet) == ["mine"] * 20
        assert job.get() == "mine"
    finally:
        job.reset(token)


def test_between_is_reported_how_many_are_done() -> None:
    """In the caller's own thread, also while nothing is finished."""
    reported: list[int] = []
    go_on = threading.Event()

    def between(done: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        reported.append(done)
        if len(reported) == 3:  # three looks, and nothing is done yet
            go_on.set()

    in_threads(lambda item: go_on.wait(PATIENCE_S), [1, 2], at_once=2, between=between)
    assert reported[:3] == [0, 0, 0]
    assert reported == sorted(reported)
    assert reported[-1] == 2


def test_what_ends_the_whole_leaves_the_rest_untouched() -> None:
    """Raised between, it waits for what is in hand and begins nothing else."""
    begun: list[int] = []
    stop = threading.Event()

    def work(item: int) -> None:
        begun.append(item)
        stop.wait(PATIENCE_S)

    def between(done: int) -> None:
        stop.set()
        raise InterruptedError("enough")

    with pytest.raises(InterruptedError):
        in_threads(work, range(100), at_once=2, between=between)
    assert len(begun) < 10


def test_the_first_failure_ends_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reaches the caller as it was raised, and what had not begun never does."""
    monkeypatch.setattr("adapters.threads.FAREWELL_S", 0.05)
    begun: list[int] = []
    stop = threading.Event()

    def work(item: int) -> None:
        begun.append(item)
        if item == 0:
            raise ZeroDivisionError(item)
        stop.wait(PATIENCE_S)

    with pytest.raises(ZeroDivisionError):
        in_threads(work, range(9), at_once=2, between=quiet)
    stop.set()
    assert set(begun) <= {0, 1, 2}


def test_what_hangs_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller has its error in time, whatever a thread is up to."""
    monkeypatch.setattr("adapters.threads.FAREWELL_S", 0.05)
    stop = threading.Event()

    def between(done: int) -> None:
        raise InterruptedError("enough")

    began = time.monotonic()
    with pytest.raises(InterruptedError):
        in_threads(lambda item: stop.wait(PATIENCE_S), [1], at_once=1, between=between)
    assert time.monotonic() - began < PATIENCE_S / 2
    stop.set()
