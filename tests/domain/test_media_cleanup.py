"""What the job `media_cleanup` promises, over plain stand-ins for its ports."""

import sys
import threading
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from types import FrameType
from uuid import uuid4

import pytest
from dramatiq.threading import raise_thread_exception

from domain.errors import Cancelled, DeadlineExceeded, StorageUnavailable
from domain.media_cleanup import BATCH_ITEMS, ITEMS_AT_ONCE, MAX_REPORTED, CleanupReport, MediaFailure
from tests.middleware.eventually import eventually

from .export_fakes import Attempt
from .media_fakes import LONG_AGO, NOW, Killed, World

DAY = timedelta(days=1)


def test_media_nobody_looks_at_goes_to_cold_storage() -> None:
    """After `cold_media_days`; what was looked at since stays where it is."""
    world = World()
    world.add("seen", accessed=NOW - 29 * DAY)
    world.add("unseen", accessed=NOW - 30 * DAY)

    report = world.clean_up()

    assert (report.cold_moved, report.orphaned_deleted, report.errors) == (1, 0, ())
    assert world.state("seen") == ("hot", True, False)
    assert world.state("unseen") == ("cold", False, True)


def test_media_that_nothing_shows_is_deleted() -> None:
    """After `orphan_media_days`, from wherever it is; what something refers to stays, however old."""
    world = World()
    world.add("young", accessed=NOW, unreferenced_since=NOW - 6 * DAY)
    world.add("old", accessed=NOW, unreferenced_since=NOW - 7 * DAY)
    world.add("shown", accessed=NOW)
    world.add("cold", storage="cold", unreferenced_since=LONG_AGO)
    world.cold.add("cold")

    report = world.clean_up()

    assert (report.cold_moved, report.orphaned_deleted, report.errors) == (0, 2, ())
    assert set(world.rows) == world.hot == {"young", "shown"}
    assert world.cold == set()


def test_an_orphan_is_not_moved_first() -> None:
    """What is both is deleted, and copied nowhere."""
    world = World()
    world.add("a", unreferenced_since=LONG_AGO)

    assert world.clean_up() == CleanupReport(cold_moved=0, orphaned_deleted=1, failed=0, errors=())


def test_three_of_a_thousand_fail_and_the_rest_is_done() -> None:
    """Each is told with its kind of fault, tried once in a run, and done by the next one."""
    world = World()
    for number in range(1000):
        world.add(f"{number:03}", unreferenced_since=LONG_AGO if number % 2 else None)
    failing = ["004", "005", "996"]
    world.broken = {key: StorageUnavailable("the store is down") for key in failing}
    rows = {key: world.rows[key] for key in failing}

    report = world.clean_up()

    assert (report.cold_moved + report.orphaned_deleted, report.failed) == (997, 3)
    assert {(each.media_id, each.category, each.message) for each in report.errors} == {
        (row.media_id, "network", "the store is down") for row in rows.values()
    }
    assert set(world.rows) - set(failing) == {f"{number:03}" for number in range(0, 1000, 2)} - set(failing)

    world.broken = {}
    assert world.clean_up() == CleanupReport(cold_moved=2, orphaned_deleted=1, failed=0, errors=())
    assert {row.storage for row in world.rows.values()} == {"cold"}
    assert world.hot == set()
    assert world.cold == set(world.rows)


def test_batches_have_a_hundred_items() -> None:
    """And the next one begins after the last one's end, whatever became of it."""
    world = World(broken={})
    for number in range(BATCH_ITEMS + 1):
        world.broken[world.add(f"{number}").object_key] = StorageUnavailable("no")

    report = world.clean_up()

    assert world.pages == [0, BATCH_ITEMS, 1, 0]
    assert report.failed == BATCH_ITEMS + 1
    assert len(report.errors) == MAX_REPORTED


def test_ten_are_handled_at_once() -> None:
    """No fewer: each of ten copies waits for the other nine."""
    together = threading.Barrier(ITEMS_AT_ONCE, timeout=10)
    world = World(on_copy=lambda key: together.wait())
    for number in range(2 * ITEMS_AT_ONCE):
        world.add(f"{number}")

    assert world.clean_up().cold_moved == 2 * ITEMS_AT_ONCE


def test_a_fault_of_the_program_is_reported_without_its_text() -> None:
    """It may quote anything; one item's stops no other's."""
    world = World(broken={"a": ValueError("s3cret")})
    row = world.add("a")
    world.add("b")

    report = world.clean_up()

    reported = MediaFailure(
        media_id=row.media_id, category="unknown", message="a fault of the program (ValueError)"
    )
    assert (report.cold_moved, report.errors) == (1, (reported,))


def test_what_is_looked_at_while_it_is_copied_stays_hot() -> None:
    """And the copy that nobody needs is removed."""
    world = World()
    world.add("a")
    world.on_copy = lambda key: world.rows.update(a=replace(world.rows["a"], accessed=NOW))

    assert world.clean_up().cold_moved == 0
    assert world.state("a") == ("hot", True, False)


def test_what_another_run_moved_meanwhile_keeps_its_cold_copy() -> None:
    """A run that was frozen with its copy half made does not remove the other one's."""
    world = World()
    world.add("a")

    def other(key: str) -> None:
        world.hot.discard(key)
        world.rows[key] = replace(world.rows[key], storage="cold")

    world.on_copy = other

    assert world.clean_up().cold_moved == 0
    assert world.state("a") == ("cold", False, True)


def test_what_is_gone_when_it_was_copied_leaves_no_copy() -> None:
    """Nothing would ever lead to it."""
    world = World()
    world.add("a")

    def gone(key: str) -> None:
        world.rows.clear()
        world.hot.clear()

    world.on_copy = gone

    world.clean_up()

    assert world.state("a") == (None, False, False)


def test_media_without_any_copy_is_reported() -> None:
    """It stays as it is, for somebody to look into."""
    world = World()
    world.add("a")
    world.hot.clear()

    (reported,) = world.clean_up().errors

    assert (reported.category, "object a not found" in reported.message) == ("validation", True)
    assert world.state("a") == ("hot", False, False)


@pytest.mark.parametrize("error", [Cancelled("stop"), DeadlineExceeded("late")], ids=type)
def test_it_stops_between_two_batches(error: Exception) -> None:
    """What was done by then stays done, and the next run does the rest."""
    world = World(attempt=Attempt(uuid4(), stop_at=4, stop_with=error))
    for number in range(BATCH_ITEMS + 1):
        world.add(f"{number:03}")

    with pytest.raises(type(error)):
        world.clean_up()
    assert sum(row.storage == "cold" for row in world.rows.values()) == BATCH_ITEMS

    world.attempt = Attempt(uuid4())
    assert world.clean_up().cold_moved == 1


def test_a_run_that_is_cut_short_anywhere_loses_nothing_and_the_next_one_finishes() -> None:
    """After every single step there is a copy where each row says there is one."""
    whole = _mixed()
    whole.clean_up()
    assert whole.steps == 10

    for point in range(1, whole.steps + 1):
        world = _mixed()
        world.killed_after = point
        with pytest.raises(Killed):
            world.clean_up()
        for key, row in world.rows.items():
            assert row.storage == "deleting" or key in (world.hot if row.storage == "hot" else world.cold)

        world.killed_after = None
        report = world.clean_up()

        assert report.errors == ()
        assert (world.rows.keys(), world.hot, world.cold) == (whole.rows.keys(), whole.hot, whole.cold), point
        assert {row.storage for row in world.rows.values()} == {"hot", "cold"}


def test_what_has_not_begun_when_an_interrupt_comes_never_begins() -> None:
    """And the run ends at once, without waiting for what has begun."""
    world = World()
    for number in range(3 * ITEMS_AT_ONCE):
        world.add(f"{number:02}")
    begun, go_on = threading.Semaphore(0), threading.Event()

    def hang(key: str) -> None:
        begun.release()
        go_on.wait()

    def clean_up() -> None:
        with suppress(Killed):
            world.clean_up()

    world.on_copy = hang
    run = threading.Thread(target=clean_up)
    run.start()
    try:
        for _ in range(ITEMS_AT_ONCE):
            assert begun.acquire(timeout=10)
        assert eventually(lambda: waits(run))
        raise_thread_exception(run.ident, Killed)  # type: ignore[no-untyped-call]
        run.join(10)
        assert not run.is_alive()
    finally:
        go_on.set()
    for thread in threading.enumerate():
        if thread.name.startswith("media-cleanup"):
            thread.join(10)

    assert len(world.cold) == ITEMS_AT_ONCE


def waits(thread: threading.Thread) -> bool:
    """Whether it has handed out all of a batch, and waits for the items to be done."""
    frame: FrameType | None = sys._current_frames()[thread.ident or 0]
    while frame is not None and frame.f_code is not wait.__code__:
        frame = frame.f_back
    return frame is not None


def test_progress_never_goes_back() -> None:
    """And ends at 100."""
    world = _mixed()

    world.clean_up()

    assert world.attempt.percents == sorted(world.attempt.percents)
    assert world.attempt.percents[-1] == 100


def _mixed() -> World:
    world = World()
    world.add("kept", accessed=NOW)
    world.add("unseen")
    world.add("orphan", unreferenced_since=LONG_AGO)
    world.add("cold orphan", storage="cold", unreferenced_since=LONG_AGO)
    world.hot.discard("cold orphan")
    world.cold.add("cold orphan")
    return world
