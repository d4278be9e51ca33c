"""Publishing what is due, on plain fakes."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar
from uuid import UUID, uuid4

import pytest

from domain.content_scheduler import (
    CHUNK_ITEMS,
    MAX_LISTED,
    NO_TARGET,
    DueItem,
    ScheduleContent,
    SchedulerReport,
    SchedulingRepository,
)
from domain.errors import Cancelled, DatabaseUnavailable, DeadlineExceeded, InvalidInput, PermanentError
from tests.domain.export_fakes import NOW, Attempt

T = TypeVar("T")


@dataclass
class Rows:
    """What a transaction changes."""

    status: dict[UUID, str] = field(default_factory=dict)
    runs: list[UUID] = field(default_factory=list)


@dataclass
class World:
    """Content that is due; `SystemTransactions` and repository at once."""

    items: list[DueItem] = field(default_factory=list)
    without_target: set[UUID] = field(default_factory=set)
    bad: dict[UUID, Exception] = field(default_factory=dict)
    unmarkable: dict[UUID, Exception] = field(default_factory=dict)
    attempt: Attempt = field(default_factory=lambda: Attempt(uuid4()))
    rows: Rows = field(default_factory=Rows)
    chunks: list[int] = field(default_factory=list)
    #: How often a chunk is run before it is committed.
    tries: int = 1

    def add(self, count: int) -> list[UUID]:
        for _ in range(count):
            at = NOW + timedelta(minutes=len(self.items))
            item = DueItem(org_id=uuid4(), content_id=uuid4(), domain_id=uuid4(), publish_at=at)
            self.items.append(item)
            self.rows.status[item.content_id] = "scheduled"
        return [each.content_id for each in self.items[-count:]]

    def schedule_content(self) -> SchedulerReport:
        return ScheduleContent(run=self.attempt, transactions=self)()

    def __call__(self, work: Callable[[SchedulingRepository], T], *, timeout_s: float = 30.0) -> T:
        before = deepcopy(self.rows)
        for left in reversed(range(self.tries)):
            try:
                done = work(self)
            except BaseException:
                self.rows = before
                raise
            if left:
                self.rows = deepcopy(before)
        return done

    def due(self, after: DueItem | None, limit: int) -> Sequence[DueItem]:
        found = [
            each
            for each in self.items
            if self.rows.status[each.content_id] == "scheduled"
            and (after is None or each.publish_at > after.publish_at)
        ][:limit]
        self.chunks.append(len(found))
        return found

    def schedule(self, item: DueItem, *, run_id: UUID) -> int:
        if item.content_id in self.bad:
            raise self.bad[item.content_id]
        if item.content_id in self.without_target:
            return 0
        self.rows.runs.append(run_id)
        self.rows.status[item.content_id] = "publishing"
        return 1

    def fail(self, item: DueItem) -> None:
        if item.content_id in self.unmarkable:
            raise self.unmarkable[item.content_id]
        self.rows.status[item.content_id] = "failed"

    def with_status(self, status: str) -> list[UUID]:
        return [content_id for content_id, each in self.rows.status.items() if each == status]


def test_everything_due_is_scheduled_in_chunks() -> None:
    """Under the id of this run; the report counts all and lists the first hundred."""
    world = World()
    ids = world.add(2 * CHUNK_ITEMS + 1)

    report = world.schedule_content()

    assert (report.processed, report.failed, len(report.items)) == (201, 0, MAX_LISTED)
    assert [item.content_id for item in report.items] == ids[:MAX_LISTED]
    assert world.with_status("publishing") == ids
    assert set(world.rows.runs) == {world.attempt.job_id}
    assert world.chunks == [CHUNK_ITEMS, CHUNK_ITEMS, 1]


def test_nothing_due_is_nothing_done() -> None:
    """One look, an empty report."""
    world = World()

    assert world.schedule_content() == SchedulerReport(processed=0, failed=0, items=())
    assert world.chunks == [0]


def test_content_without_a_target_fails_and_says_what_to_do() -> None:
    """The others go on; the failed one is listed before them."""
    world = World()
    first, lost, last = world.add(3)
    world.without_target = {lost}

    report = world.schedule_content()

    assert (report.processed, report.failed) == (2, 1)
    assert (report.items[0].content_id, report.items[0].error) == (lost, NO_TARGET)
    assert "add one" in NO_TARGET
    assert (world.with_status("failed"), world.with_status("publishing")) == ([lost], [first, last])


def test_failed_ones_are_listed_however_many_went_well() -> None:
    """A hundred good ones before it do not hide the bad one."""
    world = World()
    *_, lost = world.add(MAX_LISTED + 1)
    world.without_target = {lost}

    report = world.schedule_content()

    assert (report.items[0].content_id, len(report.items)) == (lost, MAX_LISTED)


def test_a_bad_item_stops_no_other() -> None:
    """What the database refuses of one is that one's failure."""
    world = World()
    first, bad, last = world.add(3)
    world.bad = {bad: InvalidInput("the database refused a value")}

    report = world.schedule_content()

    assert report.items[0].error == "the database refused a value"
    assert (world.with_status("failed"), world.with_status("publishing")) == ([bad], [first, last])


def test_a_fault_of_the_platforms_is_not_blamed_on_the_content() -> None:
    """It is reported, stays due for the next run, and is looked at once in this one."""
    world = World()
    ids = world.add(CHUNK_ITEMS + 1)
    world.bad = {each: PermanentError("no actor publish_execution") for each in ids}

    report = world.schedule_content()

    assert (report.processed, report.failed) == (0, CHUNK_ITEMS + 1)
    assert world.with_status("scheduled") == ids


def test_an_item_that_cannot_even_be_marked_stops_no_other() -> None:
    """Both reasons are told."""
    world = World()
    first, stuck, last = world.add(3)
    world.without_target = {stuck}
    world.unmarkable = {stuck: InvalidInput("a trigger says no")}

    report = world.schedule_content()

    assert str(report.items[0].error).startswith(NO_TARGET)
    assert "a trigger says no" in str(report.items[0].error)
    assert world.with_status("publishing") == [first, last]


@pytest.mark.parametrize("stop", [Cancelled("stop"), DeadlineExceeded("over")], ids=lambda each: str(each))
def test_an_abort_stops_before_the_next_item_and_loses_nothing(stop: Exception) -> None:
    """What was decided by then is committed; the rest is due as before."""
    world = World(attempt=Attempt(uuid4(), stop_at=3, stop_with=stop))
    ids = world.add(5)

    with pytest.raises(type(stop)):
        world.schedule_content()

    assert (world.with_status("publishing"), world.with_status("scheduled")) == (ids[:2], ids[2:])


def test_an_abort_in_a_later_chunk_keeps_the_chunks_before() -> None:
    """And stops at once, not at the end of its chunk."""
    world = World(attempt=Attempt(uuid4(), stop_at=CHUNK_ITEMS + 11, stop_with=Cancelled("stop")))
    ids = world.add(2 * CHUNK_ITEMS)

    with pytest.raises(Cancelled):
        world.schedule_content()

    assert world.with_status("publishing") == ids[: CHUNK_ITEMS + 10]


def test_a_lost_database_ends_the_run() -> None:
    """The chunk is undone as a whole, and nothing is marked as failed."""
    world = World()
    ids = world.add(3)
    world.bad = {ids[1]: DatabaseUnavailable("lost")}

    with pytest.raises(DatabaseUnavailable):
        world.schedule_content()

    assert world.with_status("scheduled") == ids


def test_a_chunk_that_is_run_again_is_counted_once() -> None:
    """After a deadlock the whole of it is decided anew."""
    world = World(tries=3)
    ids = world.add(4)
    world.without_target = {ids[0]}

    report = world.schedule_content()

    assert (report.processed, report.failed, len(report.items)) == (3, 1, 4)


def test_progress_ends_at_a_hundred() -> None:
    """And never goes back."""
    world = World()
    world.add(CHUNK_ITEMS + 1)

    world.schedule_content()

    assert world.attempt.percents == sorted(world.attempt.percents)
    assert world.attempt.percents[-1] == 100
