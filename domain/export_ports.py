"""What an export needs of the outside: rows to read, a format to write, a place to go."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Literal, Protocol
from uuid import UUID

from .domain_export import DateRange, DomainExport, ExportOutcome
from .export_records import (
    ContentPerformance,
    ContentRow,
    Cursor,
    ExportHeader,
    KeywordPerformance,
    Setting,
)


class ExportRepository(Protocol):
    """The domains and exports of an org, within one transaction."""

    def domain_name(self, domain_id: UUID) -> str | None:
        """The domain's host name; None when the org owns no such domain."""

    def record_started(self, export_id: UUID, job: DomainExport) -> datetime:
        """Write the export's row as `running`, and give this attempt its fence: when it started.

        A second attempt takes over the first one's row with a later fence, and the first one's is refused from then on.
        """

    def check_fence(self, export_id: UUID, fence: datetime) -> None:
        """Refuse an attempt that another one has taken over.

        Raises:
            LeaseLost: it has.
        """

    def record_finished(self, outcome: ExportOutcome, fence: datetime) -> None:
        """Mark the row `completed`.

        Raises:
            LeaseLost: as `check_fence`.
        """

    def record_ended(
        self, export_id: UUID, fence: datetime, status: Literal["failed", "cancelled"], reason: str
    ) -> None:
        """Mark the row with an end that left nothing behind.

        Raises:
            LeaseLost: as `check_fence`.
        """

    def content_page(
        self, domain_id: UUID, date_range: DateRange | None, after: Cursor | None, limit: int
    ) -> list[ContentRow]:
        """The next rows, newest first, that come after the cursor."""

    def keyword_performance(
        self, domain_id: UUID, start: datetime, end: datetime, limit: int
    ) -> list[KeywordPerformance]:
        """Aggregates per keyword, most clicks first."""

    def content_performance(
        self, domain_id: UUID, start: datetime, end: datetime, limit: int
    ) -> list[ContentPerformance]:
        """Aggregates per content item, most views first."""

    def settings(self, domain_id: UUID) -> list[Setting]:
        """The domain's settings by name."""


class ExportWriter(Protocol):
    """Writes one file in one format. The calls come in the order they stand here."""

    def begin(self, header: ExportHeader) -> None: ...

    def content(self, rows: Iterator[ContentRow]) -> None: ...

    def analytics(self, keywords: list[KeywordPerformance], content: list[ContentPerformance]) -> None: ...

    def settings(self, settings: list[Setting]) -> None: ...

    def finish(self) -> None:
        """Complete the file; buffered writers render here."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Where a file ended up."""

    location: str
    link: str | None = None


class Destinations(Protocol):
    """The places a finished file can go. Each is all or nothing: a reader never sees half a file."""

    def check(self, job: DomainExport) -> None:
        """Refuse an unsafe or unknown destination before anything is read or written.

        Raises:
            UnsafePath: it leaves the place exports may be written to.
            InvalidInput: it cannot be used, and the message says what to configure.
        """

    def deliver(self, export_id: UUID, job: DomainExport, source: BinaryIO, expires_at: datetime) -> Delivery:
        """Bring the finished file, from its first byte on, to the destination.

        Raises:
            StorageUnavailable: it was not taken; nothing is left there.
        """

    def discard(self, export_id: UUID, job: DomainExport) -> None:
        """Remove what `deliver` of this export may have left."""
