"""What an export reads of a domain, and the record of the export, in PostgreSQL."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Text, case, cast, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from domain.domain_export import DateRange, DomainExport, ExportOutcome
from domain.errors import LeaseLost, NotFound
from domain.export_records import (
    EXPORT_DATA_VERSION,
    ContentPerformance,
    ContentRow,
    Cursor,
    KeywordPerformance,
    Setting,
    iso,
)

from .tables import (
    content_items,
    content_performance,
    domain_exports,
    domain_registry,
    domain_settings,
    keyword_metrics,
)
from .tables.exports import MAX_REASON_CHARS
from .unit_of_work import UnitOfWork

#: Between these every reader has a calendar, whatever the zone.
_FIRST_MOMENT = datetime(1, 1, 2, tzinfo=UTC)
_LAST_MOMENT = datetime(9999, 12, 30, tzinfo=UTC)


class SqlExports:
    """`domain.export_ports.ExportRepository` within one unit of work.

    Parameters:
        unit: the transaction, and the org.

    Example:
        >>> SqlTransactions(engine, SqlExports, run.remaining_s)
    """

    def __init__(self, unit: UnitOfWork) -> None:
        self._connection = unit.connection
        self._org_id = unit.org_id

    def domain_name(self, domain_id: UUID) -> str | None:
        """The domain's host name; None when the org owns no such domain."""
        domains = domain_registry.c
        return self._connection.scalar(
            select(domains.host).where(domains.org_id == self._org_id, domains.id == domain_id)
        )

    def record_started(self, export_id: UUID, job: DomainExport) -> datetime:
        """Write the export's row as `running`; a second attempt takes over the first one's row.

        Returns:
            The attempt's fence: when it started, and in any case later than every attempt before.
        """
        asked = {
            "domain_id": job.domain_id,
            "written_for": self._org_id,
            "format": job.format,
            "destination": job.destination.type,
            "data_version": EXPORT_DATA_VERSION,
        }
        begun = {
            "status": "running",
            "location": None,
            "size_bytes": 0,
            "row_count": 0,
            "error": None,
            "started_at": func.now(),
            "finished_at": None,
            "expires_at": None,
        }
        # A clock that was set back must not give a later attempt an earlier fence.
        later = func.greatest(func.now(), domain_exports.c.started_at + timedelta(microseconds=1))
        statement = insert(domain_exports).values(org_id=self._org_id, id=export_id, **asked, **begun)
        started_at: datetime = self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["org_id", "id"], set_={**asked, **begun, "started_at": later}
            ).returning(domain_exports.c.started_at)
        ).scalar_one()
        return started_at

    def check_fence(self, export_id: UUID, fence: datetime) -> None:
        """Refuse an attempt that another one has taken over.

        Raises:
            LeaseLost: it has.
            NotFound: the domain, and with it the row, left the org meanwhile.
        """
        exports = domain_exports.c
        started_at = self._connection.scalar(
            select(exports.started_at).where(exports.org_id == self._org_id, exports.id == export_id)
        )
        if started_at is None:
            raise NotFound("export", export_id)
        if started_at != fence:
            raise LeaseLost("another attempt at this export has begun since; what is there is that one's")

    def record_finished(self, outcome: ExportOutcome, fence: datetime) -> None:
        """Mark the row `completed`.

        Raises:
            LeaseLost, NotFound: as `check_fence`.
        """
        self._record_end(
            outcome.export_id,
            fence,
            status="completed",
            location=outcome.location,
            size_bytes=outcome.size_bytes,
            row_count=outcome.rows,
            expires_at=outcome.expires_at,
            error=None,
        )

    def record_ended(
        self, export_id: UUID, fence: datetime, status: Literal["failed", "cancelled"], reason: str
    ) -> None:
        """Mark the row with an end that left nothing behind.

        Raises:
            LeaseLost, NotFound: as `check_fence`.
        """
        self._record_end(
            export_id,
            fence,
            status=status,
            location=None,
            size_bytes=0,
            row_count=0,
            expires_at=None,
            # PostgreSQL's text cannot hold NUL, and a reason may quote anything.
            error=reason.replace("\x00", "")[:MAX_REASON_CHARS],
        )

    def content_page(
        self, domain_id: UUID, date_range: DateRange | None, after: Cursor | None, limit: int
    ) -> list[ContentRow]:
        """The next rows, newest first, that come after the cursor."""
        items = content_items.c
        query = (
            select(
                items.id,
                items.title,
                items.body,
                items.content_type,
                items.status,
                items.url,
                *_readable(items.created_at),
                *_readable(items.published_at),
            )
            .where(items.org_id == self._org_id, items.domain_id == domain_id)
            .order_by(items.created_at.desc(), items.id.desc())
            .limit(limit)
        )
        if date_range is not None:
            query = query.where(items.created_at.between(date_range.start, date_range.end))
        if after is not None:
            created_at = cast(literal(iso(after[0]), Text), DateTime(timezone=True))
            query = query.where(tuple_(items.created_at, items.id) < tuple_(created_at, after[1]))
        return [_content_row(**row) for row in self._connection.execute(query).mappings()]

    def keyword_performance(
        self, domain_id: UUID, start: datetime, end: datetime, limit: int
    ) -> list[KeywordPerformance]:
        """Aggregates per keyword over the UTC days of the range, most clicks first."""
        metrics = keyword_metrics.c
        clicks = func.sum(metrics.clicks)
        rows = self._connection.execute(
            select(metrics.keyword, clicks, func.sum(metrics.impressions), func.avg(metrics.position))
            .where(
                metrics.org_id == self._org_id,
                metrics.domain_id == domain_id,
                metrics.day.between(_utc_day(start), _utc_day(end)),
            )
            .group_by(metrics.keyword)
            .order_by(clicks.desc(), metrics.keyword)
            .limit(limit)
        )
        return [
            KeywordPerformance(
                keyword=keyword, clicks=int(clicks), impressions=int(impressions), average_position=position
            )
            for keyword, clicks, impressions, position in rows
        ]

    def content_performance(
        self, domain_id: UUID, start: datetime, end: datetime, limit: int
    ) -> list[ContentPerformance]:
        """Aggregates per content item over the UTC days of the range, most views first."""
        items, measured = content_items.c, content_performance.c
        views = func.sum(measured.views)
        rows = self._connection.execute(
            select(items.id, items.title, views, func.sum(measured.engaged_seconds))
            .join_from(content_items, content_performance)
            .where(
                items.org_id == self._org_id,
                items.domain_id == domain_id,
                measured.day.between(_utc_day(start), _utc_day(end)),
            )
            .group_by(items.org_id, items.id)
            .order_by(views.desc(), items.id)
            .limit(limit)
        )
        return [
            ContentPerformance(content_id=id_, title=title, views=int(views), engaged_seconds=int(seconds))
            for id_, title, views, seconds in rows
        ]

    def settings(self, domain_id: UUID) -> list[Setting]:
        """The domain's settings by name."""
        settings = domain_settings.c
        rows = self._connection.execute(
            select(settings.name, settings.value)
            .where(settings.org_id == self._org_id, settings.domain_id == domain_id)
            .order_by(settings.name)
        )
        return [Setting(name=name, value=value) for name, value in rows]

    def _record_end(self, export_id: UUID, fence: datetime, **end: object) -> None:
        exports = domain_exports.c
        done = self._connection.execute(
            update(domain_exports)
            .where(exports.org_id == self._org_id, exports.id == export_id, exports.started_at == fence)
            .values(finished_at=func.now(), **end)
        )
        if done.rowcount == 0:
            self.check_fence(export_id, fence)
            raise NotFound("export", export_id)  # it came or went between the two


def _utc_day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _readable(column: ColumnElement[datetime]) -> tuple[ColumnElement[datetime], ColumnElement[str]]:
    # The driver has no value for years beyond the calendar's, and would fail the page for one of them.
    is_near = column.between(_FIRST_MOMENT, _LAST_MOMENT)
    name = column.key
    return (
        case((is_near, column)).label(name),
        case((~is_near, cast(column, Text))).label(f"far_{name}"),
    )


def _content_row(*, far_created_at: str | None, far_published_at: str | None, **row: Any) -> ContentRow:
    row["created_at"] = far_created_at or row["created_at"]
    row["published_at"] = far_published_at or row["published_at"]
    return ContentRow(**row)
