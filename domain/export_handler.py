"""The export of a domain, step by step."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO, Literal
from uuid import UUID

from .closing import close_reliably
from .domain_export import DomainExport, Download, ExportOutcome, Format
from .errors import Cancelled, JobError, LeaseLost, NotFound
from .export_ports import Destinations, ExportRepository, ExportWriter
from .export_records import (
    EXPORT_DATA_VERSION,
    ContentPerformance,
    ContentRow,
    Cursor,
    ExportHeader,
    KeywordPerformance,
)
from .export_size import Sink, SizeLimit
from .limits import Limits
from .ports import Clock, Run, T, Transactions

#: Days of analytics when the job names no range.
ANALYTICS_WINDOW_DAYS = 90
#: Rows read in one transaction; the job can stop, and memory stays flat, between two pages.
PAGE_ROWS = 100


@dataclass(frozen=True, kw_only=True)
class ExportDomain:
    """The handler.

    The file is written to a spool first and delivered when it is complete, so a cancelled, oversized or failed
    export leaves nothing at the destination. The export's id is the job's id: a redelivered job replaces its own
    file and row instead of adding another. Each attempt raises the row's fence, so that of two workers that have the
    job, one of them frozen for a while, the later one's row and file stay.

    Parameters:
        run: the surroundings of this attempt.
        transactions: units of work over the org's exports.
        closing: the same with a few seconds of their own, so that a job whose time is up can still write how
            it ended.
        writers: for each format, what makes its writer on a binary sink.
        destinations: where finished files go.
        spool: opens a private binary file that vanishes when closed, whatever happens.
        limits: sizes, rows and expiry.
        clock: the time now.
    """

    run: Run
    transactions: Transactions[ExportRepository]
    closing: Transactions[ExportRepository]
    writers: Mapping[Format, Callable[[Sink], ExportWriter]]
    destinations: Destinations
    spool: Callable[[], AbstractContextManager[BinaryIO]]
    limits: Limits
    clock: Clock

    def __call__(self, job: DomainExport) -> ExportOutcome:
        """Export one domain.

        Raises:
            NotFound: the org has no such domain. Nothing was written.
            UnsafePath, InvalidInput: the destination cannot be used. Nothing was written.
            SizeLimitExceeded: the file would be too large. A `failed` row tells, nothing else is left.
            StorageUnavailable, DatabaseUnavailable: worth another attempt.
            Cancelled, DeadlineExceeded: between two steps, nothing half-written stays.
            LeaseLost: another attempt has begun since; what is there is that one's.
        """
        self.destinations.check(job)
        try:
            return self._attempt(job)
        except _Overtaken:
            # Our file may lie over the one that the other's row describes: an attempt after both settles it.
            return self._attempt(job)

    def _attempt(self, job: DomainExport) -> ExportOutcome:
        start = self._do(job, lambda repository: _start(repository, self.run.job_id, job))
        try:
            self.run.progress(10, "started")
            return self._export(job, start)
        except LeaseLost:
            raise
        except BaseException as error:  # interrupts too must leave nothing behind
            close_reliably(lambda reason: self._clean_up(job, start.fence, reason), error)
            raise

    def _export(self, job: DomainExport, start: "_Start") -> ExportOutcome:
        now = self.clock()
        download = isinstance(job.destination, Download)
        days = self.limits.download_expiry_days if download else self.limits.export_expiry_days
        limit_bytes = self.limits.max_download_size if download else self.limits.max_export_size
        with self.spool() as spool:
            sink = SizeLimit(spool, limit_bytes)
            header = ExportHeader(
                version=EXPORT_DATA_VERSION,
                export_id=self.run.job_id,
                domain_id=job.domain_id,
                domain_name=start.domain_name,
                exported_at=now,
            )
            rows = self._write(job, header, self.writers[job.format](sink))
            self.run.progress(80, "written")
            self.run.checkpoint()
            spool.seek(0)
            expires_at = now + timedelta(days=days)
            self._do(job, lambda repository: repository.check_fence(self.run.job_id, start.fence))
            delivery = self.destinations.deliver(self.run.job_id, job, spool, expires_at)
        outcome = ExportOutcome(
            export_id=self.run.job_id,
            location=delivery.location,
            link=delivery.link,
            size_bytes=sink.size_bytes,
            rows=rows,
            expires_at=expires_at,
        )
        try:
            self._do(job, lambda repository: repository.record_finished(outcome, start.fence))
        except LeaseLost as error:
            raise _Overtaken(str(error)) from error
        self.run.progress(100, "done")
        return outcome

    def _write(self, job: DomainExport, header: ExportHeader, writer: ExportWriter) -> int:
        rows = _Counted(self._content(job) if job.include_content else iter(()))
        writer.begin(header)
        if job.include_content:
            writer.content(rows)
        self.run.progress(30, f"{rows.count} content items")
        self.run.checkpoint()
        if job.include_analytics:
            writer.analytics(*self._do(job, lambda repository: self._analytics(repository, job, header)))
        self.run.progress(50, "analytics")
        self.run.checkpoint()
        if job.include_settings:
            writer.settings(self._do(job, lambda repository: repository.settings(job.domain_id)))
        self.run.progress(70, "settings")
        self.run.checkpoint()
        writer.finish()
        return rows.count

    def _content(self, job: DomainExport) -> Iterator[ContentRow]:
        left = self.limits.max_csv_rows
        after: Cursor | None = None
        while left > 0:
            self.run.checkpoint()
            page = self._page(job, after, min(PAGE_ROWS, left))
            yield from page
            if len(page) < min(PAGE_ROWS, left):
                return
            left -= len(page)
            after = page[-1].cursor

    def _page(self, job: DomainExport, after: Cursor | None, limit: int) -> list[ContentRow]:
        return self._do(
            job, lambda repository: repository.content_page(job.domain_id, job.date_range, after, limit)
        )

    def _analytics(
        self, repository: ExportRepository, job: DomainExport, header: ExportHeader
    ) -> tuple[list[KeywordPerformance], list[ContentPerformance]]:
        if job.date_range:
            start, end = job.date_range.start, job.date_range.end
        else:
            start, end = header.exported_at - timedelta(days=ANALYTICS_WINDOW_DAYS), header.exported_at
        most = self.limits.max_csv_rows
        return (
            repository.keyword_performance(job.domain_id, start, end, most),
            repository.content_performance(job.domain_id, start, end, most),
        )

    def _clean_up(self, job: DomainExport, fence: datetime, error: BaseException) -> None:
        status: Literal["failed", "cancelled"] = "cancelled" if isinstance(error, Cancelled) else "failed"
        # Texts of foreign errors may quote what they were given; only ours are known not to.
        reason = str(error) if isinstance(error, JobError) else type(error).__name__
        export_id = self.run.job_id
        steps: tuple[Callable[[], None], ...] = (
            lambda: self.closing(job.org_id, lambda repository: repository.check_fence(export_id, fence)),
            lambda: self.destinations.discard(export_id, job),
            lambda: self.closing(
                job.org_id, lambda repository: repository.record_ended(export_id, fence, status, reason)
            ),
        )
        for step in steps:  # each on its own: a store that is down must not leave the row `running`
            try:
                step()
            except LeaseLost:  # what is there now is another attempt's
                return
            except Exception as second:  # noqa: BLE001  # the first error is the one that explains the job's end
                error.add_note(f"clean-up failed as well: {second}")

    def _do(self, job: DomainExport, work: Callable[[ExportRepository], T]) -> T:
        return self.transactions(job.org_id, work)


@dataclass(frozen=True, kw_only=True)
class _Start:
    domain_name: str
    fence: datetime


class _Overtaken(LeaseLost):
    """It happened after the file was delivered."""


class _Counted(Iterator[ContentRow]):
    def __init__(self, rows: Iterator[ContentRow]) -> None:
        self._rows = rows
        self.count = 0

    def __next__(self) -> ContentRow:
        row = next(self._rows)
        self.count += 1
        return row


def _start(repository: ExportRepository, export_id: UUID, job: DomainExport) -> _Start:
    name = repository.domain_name(job.domain_id)
    if name is None:
        raise NotFound("domain", job.domain_id)
    return _Start(domain_name=name, fence=repository.record_started(export_id, job))
