"""The one poll a process has for all guards."""

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from middleware.base.poller import Poller, shared_poller


class Source:
    """Something to refresh, which counts and may fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.refreshed = 0
        self.threads: list[threading.Thread] = []
        self.again = threading.Semaphore(0)

    def refresh(self) -> None:
        """Count, then fail when told to."""
        self.refreshed += 1
        self.threads.append(threading.current_thread())
        self.again.release()
        if self.error is not None:
            raise self.error


@pytest.fixture
def flags() -> Poller:
    """A poll that only moves when told to."""
    return Poller(interval_s=3_600)


@pytest.fixture
def added(flags: Poller) -> Iterator[Callable[[Source], Source]]:
    """Adds sources, and removes them afterwards."""
    sources: list[Source] = []

    def add(source: Source) -> Source:
        sources.append(source)
        flags.add("things", source.refresh)
        return source

    yield add
    for source in sources:
        flags.remove(source.refresh)


def running() -> list[threading.Thread]:
    """The poll threads of this process."""
    return [each for each in threading.enumerate() if each.name == "pressroom-flags"]


def test_adding_refreshes_before_it_returns(added: Callable[[Source], Source]) -> None:
    """No job begins in ignorance of what was set before its process."""
    assert added(Source()).refreshed == 1


def test_everything_is_refreshed_in_one_round(flags: Poller, added: Callable[[Source], Source]) -> None:
    """Each source once."""
    one, two = added(Source()), added(Source())

    flags.poll_now()

    assert (one.refreshed, two.refreshed) == (2, 2)


def test_one_that_fails_holds_up_nobody(flags: Poller, added: Callable[[Source], Source]) -> None:
    """The others are refreshed all the same."""
    bad, good = added(Source(RuntimeError("no"))), added(Source())

    flags.poll_now()

    assert (bad.refreshed, good.refreshed) == (2, 2)


def test_an_outage_is_logged_once_and_so_is_its_end(
    flags: Poller, added: Callable[[Source], Source], caplog: pytest.LogCaptureFixture
) -> None:
    """A store that is away for an hour makes one line, not 3,600; its error's text, which may quote, is in none."""
    caplog.set_level(logging.INFO, logger="middleware.base.poller")
    source = added(Source(RuntimeError("hunter2")))
    flags.poll_now()
    flags.poll_now()
    source.error = None
    flags.poll_now()
    flags.poll_now()

    assert caplog.messages == [
        "Cannot refresh things (RuntimeError); what was known last stays in force.",
        "Refreshing things works again.",
    ]


def test_it_polls_by_itself_on_one_thread() -> None:
    """Any number of sources share it, and none is asked by a job's thread."""
    flags, one, two = Poller(interval_s=0.005), Source(), Source()
    before = running()
    flags.add("one", one.refresh)
    flags.add("two", two.refresh)
    try:
        for source in (one, two):
            for _ in range(3):
                assert source.again.acquire(timeout=10)
        (thread,) = [each for each in running() if each not in before]
        assert set(one.threads[1:] + two.threads[1:]) == {thread}
    finally:
        flags.remove(one.refresh)
        assert thread.is_alive()
        flags.remove(two.refresh)

    assert not thread.is_alive()


def test_it_starts_again_after_it_stopped(flags: Poller, added: Callable[[Source], Source]) -> None:
    """A worker that boots after another one stopped is polled for too."""
    first, before = Source(), running()
    flags.add("first", first.refresh)
    flags.remove(first.refresh)

    added(Source())

    assert len([each for each in running() if each not in before]) == 1


def test_what_was_removed_is_not_refreshed(flags: Poller) -> None:
    """Nor does removing it twice do any harm."""
    source = Source()
    flags.add("things", source.refresh)
    flags.remove(source.refresh)
    flags.remove(source.refresh)

    flags.poll_now()

    assert source.refreshed == 1


def test_a_process_has_one_poll() -> None:
    """Guards that are given none share it."""
    assert shared_poller() is shared_poller()


def test_a_nonsensical_interval_is_refused() -> None:
    """The mistake is named where it was made."""
    with pytest.raises(ValueError, match="interval_s must be more than 0, not 0"):
        Poller(interval_s=0)
