"""Feedback events and their windows in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Text, and_, column, func, literal, select, true
from sqlalchemy.dialects import postgresql

from domain.feedback import Entity, FeedbackEvent, Source, WindowCounts
from domain.limits import Limits

from .tables import feedback_events, feedback_metrics
from .unit_of_work import UnitOfWork

#: What a window counts, in the order of the columns.
SENTIMENTS = ("positive", "negative", "neutral")


class SqlFeedback:
    """`domain.feedback_ingest.FeedbackRepository` within one unit of work.

    Parameters:
        unit: the transaction, and the org.
        limits: `batch_insert_size` is the number of rows in one INSERT.

    Example:
        >>> SqlTransactions(engine, partial(SqlFeedback, limits=limits), run.remaining_s)
    """

    def __init__(self, unit: UnitOfWork, *, limits: Limits) -> None:
        self._connection = unit.connection
        self._org_id = unit.org_id
        self._limits = limits

    def insert_events(self, source: Source, entity: Entity, events: Sequence[FeedbackEvent]) -> None:
        """Add those whose ids the source has not brought before; of two with one id, the first."""
        rows: list[dict[str, object]] = [
            {
                "org_id": self._org_id,
                "source": source,
                "event_id": event.event_id,
                "entity_type": entity.type,
                "entity_id": entity.id,
                "rating": event.rating,
                "sentiment": event.says,
                "comment": event.comment,
                "occurred_at": event.occurred_at,
            }
            # In one order for everybody: two jobs with the same events wait for each other and never in a circle.
            for event in sorted(events, key=lambda each: each.event_id)
        ]
        for batch in self._batches(rows):
            self._connection.execute(
                postgresql.insert(feedback_events)
                .values(batch)
                .on_conflict_do_nothing(index_elements=["org_id", "source", "event_id"])
            )

    def lock_windows(self) -> datetime:
        """Wait until no other job counts for this org, and hold that; the database's time then."""
        name = f"feedback_windows:{self._org_id}"
        self._connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
        # Not now(), which is when the transaction began: whoever held the lock until this moment may have counted
        # events that are younger.
        now: datetime = self._connection.execute(select(func.clock_timestamp())).scalar_one()
        return now

    def count_windows(
        self, entities: Sequence[Entity], windows: Sequence[int], now: datetime
    ) -> list[WindowCounts]:
        """Events after `now` minus so many days, up to and including `now`; entities without any count zero.

        One query for all: each entity's events of the longest window are read once, from the index alone.
        """
        wanted = (
            func.unnest(
                literal([entity.type for entity in entities], postgresql.ARRAY(Text)),
                literal([entity.id for entity in entities], postgresql.ARRAY(Text)),
            )
            .table_valued(column("type", Text), column("id", Text), with_ordinality="place")
            .render_derived(name="wanted")
        )
        events = feedback_events.c
        counted = (
            select(
                *(
                    func.count().filter(
                        and_(events.sentiment == sentiment, events.occurred_at > now - timedelta(days=days))
                    )
                    for days in windows
                    for sentiment in SENTIMENTS
                )
            )
            .where(
                events.org_id == self._org_id,
                events.entity_type == wanted.c.type,
                events.entity_id == wanted.c.id,
                events.occurred_at > now - timedelta(days=max(windows)),
                events.occurred_at <= now,
            )
            .lateral("counted")
        )
        rows = self._connection.execute(
            select(*counted.c).select_from(wanted.join(counted, true())).order_by(wanted.c.place)
        )
        return [
            WindowCounts(
                entity=entity,
                window_days=days,
                positive=row[3 * index],
                negative=row[3 * index + 1],
                neutral=row[3 * index + 2],
            )
            for entity, row in zip(entities, rows, strict=True)
            for index, days in enumerate(windows)
        ]

    def save_windows(self, windows: Sequence[WindowCounts], now: datetime) -> None:
        """Put these counts in the place of those there are, in multi-row statements."""
        rows: list[dict[str, object]] = [
            {
                "org_id": self._org_id,
                "entity_type": window.entity.type,
                "entity_id": window.entity.id,
                "window_days": window.window_days,
                "positive": window.positive,
                "negative": window.negative,
                "neutral": window.neutral,
                "measured_at": now,
            }
            for window in windows
        ]
        for batch in self._batches(rows):
            statement = postgresql.insert(feedback_metrics).values(batch)
            self._connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["org_id", "entity_type", "entity_id", "window_days"],
                    set_={name: statement.excluded[name] for name in (*SENTIMENTS, "measured_at")},
                )
            )

    def _batches(self, rows: list[dict[str, object]]) -> list[list[dict[str, object]]]:
        size = self._limits.batch_insert_size
        return [rows[start : start + size] for start in range(0, len(rows), size)]
