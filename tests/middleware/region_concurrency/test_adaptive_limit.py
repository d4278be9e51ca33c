"""How many jobs a process runs at once."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.region_concurrency.adaptive_limit import MIN_SAMPLE, RESET_AFTER_JOBS, AdaptiveConcurrency


def run(slots: AdaptiveConcurrency, count: int, *, failed: bool) -> None:
    """Let so many jobs end one way."""
    for number in range(count):
        assert slots.enter(f"job-{number}", timeout_s=0)
        slots.leave(f"job-{number}", failed=failed)


@given(
    done=st.integers(0, 200), failed=st.integers(0, 200), backlog=st.integers(0, 100), most=st.integers(1, 40)
)
def test_the_limit_follows_failures_first_and_then_the_backlog(
    done: int, failed: int, backlog: int, most: int
) -> None:
    """Half over a tenth of failures, three quarters over twice the places waiting, never none."""
    slots = AdaptiveConcurrency(max_concurrency=most, backlog=lambda: backlog)
    run(slots, failed, failed=True)
    run(slots, done, failed=False)

    total = done + failed
    if total >= MIN_SAMPLE and failed / total > 0.1:
        expected = max(1, most // 2)
    elif backlog > 2 * most:
        expected = max(1, most * 3 // 4)
    else:
        expected = most
    assert slots.load().limit == expected
    assert slots.load().backpressure == (expected < most)


def test_there_are_never_more_jobs_than_slots() -> None:
    """However many threads ask."""
    slots = AdaptiveConcurrency(max_concurrency=3)
    at_once, most_at_once, lock = 0, 0, threading.Lock()

    def work(number: int) -> None:
        nonlocal at_once, most_at_once
        assert slots.enter(f"job-{number}", timeout_s=30)
        with lock:
            at_once += 1
            most_at_once = max(most_at_once, at_once)
        with lock:
            at_once -= 1
        slots.leave(f"job-{number}", failed=False)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most_at_once <= 3
    assert slots.load().in_flight == 0


def test_who_waits_gets_the_place_that_is_given_back() -> None:
    """Without polling."""
    slots = AdaptiveConcurrency(max_concurrency=1)
    assert slots.enter("first", timeout_s=0)
    entered = threading.Event()

    def wait() -> None:
        assert slots.enter("second", timeout_s=30)
        entered.set()

    thread = threading.Thread(target=wait)
    thread.start()
    slots.leave("first", failed=False)

    assert entered.wait(30)
    thread.join()


def test_who_waits_too_long_goes_without() -> None:
    """And leaves no trace."""
    slots = AdaptiveConcurrency(max_concurrency=1)
    assert slots.enter("first", timeout_s=0)

    assert not slots.enter("second", timeout_s=0)

    assert slots.load().in_flight == 1
    assert not slots.running("second")


def test_a_job_that_runs_for_too_long_loses_its_place() -> None:
    """A stuck job does not shrink the process for ever."""
    now = [0.0]
    slots = AdaptiveConcurrency(max_concurrency=1, stale_after_s=600, monotonic=lambda: now[0])
    assert slots.enter("stuck", timeout_s=0)
    now[0] = 599.0
    assert slots.clean_stale() == []

    now[0] = 600.0
    assert slots.clean_stale() == ["stuck"]
    assert slots.enter("next", timeout_s=0)


def test_counters_start_anew_after_an_hour() -> None:
    """An old outage is forgotten."""
    now = [0.0]
    slots = AdaptiveConcurrency(monotonic=lambda: now[0])
    run(slots, 20, failed=True)
    assert slots.load().error_rate == 1.0

    now[0] = 3_600.0
    run(slots, 1, failed=False)
    assert slots.load().error_rate == 0.0


def test_counters_start_anew_after_many_jobs() -> None:
    """So that they follow what happens now."""
    slots = AdaptiveConcurrency()
    slots._done = RESET_AFTER_JOBS - 1
    slots._failed = RESET_AFTER_JOBS - 1

    run(slots, 1, failed=True)

    assert slots.load().error_rate == 0.0


def test_a_job_that_did_not_run_counts_neither_way() -> None:
    """Parked and skipped ones say nothing about the region."""
    slots = AdaptiveConcurrency()
    run(slots, MIN_SAMPLE, failed=True)
    assert slots.enter("parked", timeout_s=0)

    slots.leave("parked", failed=None)

    assert slots.load().error_rate == 1.0


@pytest.mark.parametrize(
    "options", [{"max_concurrency": 0}, {"max_error_rate": 2.0}, {"stale_after_s": 0}], ids=str
)
def test_nonsense_is_refused(options: dict[str, float]) -> None:
    """With the parameter's name."""
    with pytest.raises(ValueError, match=next(iter(options))):
        AdaptiveConcurrency(**options)  # type: ignore[arg-type]
