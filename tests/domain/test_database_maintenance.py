"""Daily maintenance, on plain fakes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar
from uuid import UUID, uuid4

import pytest

from domain.database_maintenance import (
    BATCH_ROWS,
    Aged,
    ExpiredExport,
    MaintainDatabase,
    MaintenanceReport,
    MaintenanceRepository,
)
from domain.domain_export import DomainExport
from domain.errors import Cancelled, StorageUnavailable
from domain.limits import Limits
from tests.domain.export_fakes import Attempt

T = TypeVar("T")


@dataclass
class World:
    """Old rows, files, and what was asked; `SystemTransactions`, repository and files at once."""

    expired: list[ExpiredExport] = field(default_factory=list)
    aged: dict[Aged, int] = field(default_factory=dict)
    windows: dict[Aged, timedelta] = field(default_factory=dict)
    discarded: list[UUID] = field(default_factory=list)
    stuck: set[UUID] = field(default_factory=set)
    attempt: Attempt = field(default_factory=lambda: Attempt(uuid4()))

    def maintain(self) -> MaintenanceReport:
        return MaintainDatabase(run=self.attempt, transactions=self, files=self, limits=Limits())()

    def __call__(self, work: Callable[[MaintenanceRepository], T], *, timeout_s: float = 30.0) -> T:
        return work(self)

    def expired_exports(self, after: UUID | None, limit: int) -> list[ExpiredExport]:
        later = [each for each in self.expired if after is None or each.export_id > after]
        return sorted(later, key=lambda each: each.export_id)[:limit]

    def forget_exports(self, export_ids: list[UUID]) -> int:
        self.expired = [each for each in self.expired if each.export_id not in export_ids]
        return len(export_ids)

    def delete_aged(self, what: Aged, older_than: timedelta, limit: int) -> int:
        self.windows[what] = older_than
        removed = min(limit, self.aged.get(what, 0))
        self.aged[what] = self.aged.get(what, 0) - removed
        return removed

    def discard(self, export_id: UUID, job: DomainExport) -> None:
        if export_id in self.stuck:
            raise StorageUnavailable("the store is down")
        self.discarded.append(export_id)


def an_export() -> ExpiredExport:
    job = DomainExport(org_id=uuid4(), domain_id=uuid4(), format="csv")
    return ExpiredExport(export_id=uuid4(), job=job)


def test_everything_past_its_retention_goes_in_batches() -> None:
    """And the report says how much of each."""
    world = World(
        expired=[an_export() for _ in range(BATCH_ROWS + 1)],
        aged={"dead_letters": 2 * BATCH_ROWS, "attempts": 3, "audit": 1, "failed_exports": 7},
    )

    report = world.maintain()

    assert report == MaintenanceReport(
        exports=BATCH_ROWS + 1,
        failed_exports=7,
        dead_letters=2 * BATCH_ROWS,
        idempotency_keys=0,
        attempts=3,
        audit=1,
        errors=(),
    )
    assert (world.expired, len(world.discarded)) == ([], BATCH_ROWS + 1)
    assert set(world.aged.values()) == {0}


def test_each_kind_is_kept_as_long_as_the_limits_say() -> None:
    """Keys count from their expiry."""
    world = World()

    world.maintain()

    assert {what: window.days for what, window in world.windows.items()} == {
        "failed_exports": 30,
        "dead_letters": 30,
        "idempotency_keys": 0,
        "attempts": 30,
        "audit": 365,
    }


def test_a_file_that_cannot_be_removed_keeps_its_row_and_stops_nothing() -> None:
    """It is reported, and the next run tries it again."""
    stuck, fine = an_export(), an_export()
    world = World(expired=[stuck, fine], stuck={stuck.export_id}, aged={"audit": 1})

    report = world.maintain()

    assert (report.exports, report.audit) == (1, 1)
    assert report.errors == (f"{stuck.export_id}: the store is down",)
    assert world.expired == [stuck]


def test_it_stops_between_two_batches() -> None:
    """What was removed by then stays removed."""
    world = World(expired=[an_export()], attempt=Attempt(uuid4(), stop_at=2, stop_with=Cancelled("stop")))

    with pytest.raises(Cancelled):
        world.maintain()

    assert world.expired == []
    assert world.windows == {}


def test_progress_never_goes_back() -> None:
    """And ends at 100."""
    world = World()

    world.maintain()

    assert world.attempt.percents == sorted(world.attempt.percents)
    assert world.attempt.percents[-1] == 100
