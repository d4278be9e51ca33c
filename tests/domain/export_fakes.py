"""The surroundings of an export, as plain as can be: dictionaries and lists."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, Literal, TypeVar
from uuid import UUID, uuid4

from domain.domain_export import DateRange, DomainExport, ExportOutcome
from domain.errors import DeadlineExceeded, LeaseLost
from domain.export_handler import ExportDomain
from domain.export_ports import Delivery, ExportRepository
from domain.export_records import (
    ContentPerformance,
    ContentRow,
    Cursor,
    ExportHeader,
    KeywordPerformance,
    Setting,
)
from domain.export_size import Sink
from domain.limits import Limits

T = TypeVar("T")

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


@dataclass
class Attempt:
    """`Run` that remembers progress and stops at the checkpoint it is told to."""

    job_id: UUID
    stop_at: int | None = None
    stop_with: BaseException | None = None
    percents: list[int] = field(default_factory=list)
    checkpoints: int = 0
    stopped: bool = False

    def remaining_s(self) -> float | None:
        return None

    def progress(self, percent: int, note: str) -> None:
        self.percents.append(percent)

    def checkpoint(self) -> None:
        self.checkpoints += 1
        if self.checkpoints == self.stop_at and self.stop_with:
            self.stopped = True
            raise self.stop_with


@dataclass
class Database:
    """One org's rows; `Transactions` and `ExportRepository` at once."""

    org_id: UUID
    domain_id: UUID
    content: list[ContentRow]
    exports: dict[UUID, str] = field(default_factory=dict)
    reasons: dict[UUID, str] = field(default_factory=dict)
    sizes_bytes: dict[UUID, int] = field(default_factory=dict)
    fences: dict[UUID, datetime] = field(default_factory=dict)
    page_limits: list[int] = field(default_factory=list)
    windows: list[tuple[datetime, datetime]] = field(default_factory=list)
    settings_reads: int = 0

    def __call__(self, org_id: UUID, work: Callable[[ExportRepository], T], *, timeout_s: float = 30.0) -> T:
        return work(self if org_id == self.org_id else Database(org_id, uuid4(), []))

    def domain_name(self, domain_id: UUID) -> str | None:
        return "bakery.example" if domain_id == self.domain_id else None

    def record_started(self, export_id: UUID, job: DomainExport) -> datetime:
        self.exports[export_id] = "running"
        self.fences[export_id] = self.fences.get(export_id, NOW) + timedelta(microseconds=1)
        return self.fences[export_id]

    def check_fence(self, export_id: UUID, fence: datetime) -> None:
        if self.fences[export_id] != fence:
            raise LeaseLost("another attempt took it over")

    def record_finished(self, outcome: ExportOutcome, fence: datetime) -> None:
        self.check_fence(outcome.export_id, fence)
        self.exports[outcome.export_id] = "completed"
        self.sizes_bytes[outcome.export_id] = outcome.size_bytes

    def record_ended(
        self, export_id: UUID, fence: datetime, status: Literal["failed", "cancelled"], reason: str
    ) -> None:
        self.check_fence(export_id, fence)
        self.exports[export_id] = status
        self.reasons[export_id] = reason

    def content_page(
        self, domain_id: UUID, date_range: DateRange | None, after: Cursor | None, limit: int
    ) -> list[ContentRow]:
        self.page_limits.append(limit)
        newest_first = sorted(self.content, key=lambda row: row.cursor, reverse=True)
        return [row for row in newest_first if after is None or row.cursor < after][:limit]

    def keyword_performance(
        self, domain_id: UUID, start: datetime, end: datetime, limit: int
    ) -> list[KeywordPerformance]:
        self.windows.append((start, end))
        return [KeywordPerformance(keyword="rye", clicks=3, impressions=9, average_position=1.5)]

    def content_performance(
        self, domain_id: UUID, start: datetime, end: datetime, limit: int
    ) -> list[ContentPerformance]:
        return [ContentPerformance(content_id=UUID(int=1), title="Rye", views=5, engaged_seconds=60)]

    def settings(self, domain_id: UUID) -> list[Setting]:
        self.settings_reads += 1
        return [Setting(name="language", value="el")]


class RowWriter:
    """A format of one line a record."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def begin(self, header: ExportHeader) -> None:
        self._row(f"{header.domain_name} v{header.version}")

    def content(self, rows: Iterator[ContentRow]) -> None:
        for row in rows:
            self._row(row.title)

    def analytics(self, keywords: list[KeywordPerformance], content: list[ContentPerformance]) -> None:
        self._row(f"{len(keywords)} keywords, {len(content)} items")

    def settings(self, settings: list[Setting]) -> None:
        self._row(f"{len(settings)} settings")

    def finish(self) -> None:
        self._row("end")

    def _row(self, text: str) -> None:
        self._sink.write(f"{text}\n".encode())


@dataclass
class Shelf:
    """`Destinations` that is a dictionary by export."""

    files: dict[UUID, bytes] = field(default_factory=dict)
    refuse_with: Exception | None = None
    fail_with: BaseException | None = None
    fail_discard_with: Exception | None = None

    def check(self, job: DomainExport) -> None:
        if self.refuse_with:
            raise self.refuse_with

    def deliver(self, export_id: UUID, job: DomainExport, source: BinaryIO, expires_at: datetime) -> Delivery:
        self.files[export_id] = source.read()
        if self.fail_with:
            raise self.fail_with
        return Delivery(location=f"shelf/{export_id}", link="https://shelf.example")

    def discard(self, export_id: UUID, job: DomainExport) -> None:
        if self.fail_discard_with:
            raise self.fail_discard_with
        self.files.pop(export_id, None)


class World:
    """Everything one export job needs, and what it leaves behind."""

    def __init__(self, *, rows: int = 3, limits: Limits | None = None) -> None:
        self.org_id, self.domain_id, self.job_id = uuid4(), uuid4(), uuid4()
        self.database = Database(self.org_id, self.domain_id, [_row(number) for number in range(rows)])
        self.shelf = Shelf()
        self.limits = limits or Limits()
        self.open_spools = 0
        self.attempt = Attempt(self.job_id)

    def job(self, **fields: object) -> DomainExport:
        """A job of this org; `fields` replace its defaults."""
        return DomainExport.model_validate(
            {"org_id": self.org_id, "domain_id": self.domain_id, "format": "csv"} | fields
        )

    def export(
        self,
        job: DomainExport | None = None,
        *,
        stop_at: int | None = None,
        stop_with: BaseException | None = None,
    ) -> ExportOutcome:
        """One attempt, which stops at its `stop_at`-th checkpoint."""
        self.attempt = Attempt(self.job_id, stop_at, stop_with)
        return ExportDomain(
            run=self.attempt,
            transactions=self._until_the_deadline,
            closing=self.database,
            writers=dict.fromkeys(("json", "csv", "markdown", "pdf"), RowWriter),
            destinations=self.shelf,
            spool=self._spool,
            limits=self.limits,
            clock=lambda: NOW,
        )(job or self.job())

    def add_row(self) -> None:
        """Give the domain one more content item."""
        self.database.content.append(_row(len(self.database.content)))

    @property
    def leftovers(self) -> tuple[dict[UUID, bytes], int]:
        """Files at the destination, spools still open."""
        return self.shelf.files, self.open_spools

    def _until_the_deadline(
        self, org_id: UUID, work: Callable[[ExportRepository], T], *, timeout_s: float = 30.0
    ) -> T:
        if self.attempt.stopped and isinstance(self.attempt.stop_with, DeadlineExceeded):
            raise DeadlineExceeded("no transaction is begun after the deadline")
        return self.database(org_id, work, timeout_s=timeout_s)

    @contextmanager
    def _spool(self) -> Iterator[BinaryIO]:
        self.open_spools += 1
        try:
            yield io.BytesIO()
        finally:
            self.open_spools -= 1


def _row(number: int) -> ContentRow:
    return ContentRow(
        id=UUID(int=number),
        title=f"Bread {number}",
        body="…",
        content_type="article",
        status="published",
        url=None,
        # Pairs share a time, so that pages must also tell them apart by id.
        created_at=NOW + timedelta(minutes=number // 2),
        published_at=None,
    )
