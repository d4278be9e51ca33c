"""Feedback in the database: how tests put it there and look at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Engine, event, select

from adapters.database.feedback import SqlFeedback
from adapters.database.tables import feedback_events, feedback_metrics
from adapters.database.transactions import SqlTransactions
from adapters.database.unit_of_work import UnitOfWork
from domain.feedback import Entity, FeedbackEvent, WindowCounts
from domain.feedback_ingest import FeedbackRepository
from domain.limits import Limits
from domain.ports import Transactions
from tests.tenants import Tenant

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
WINDOWS = (7, 30, 90)
POST, ANN = Entity("content", "post-1"), Entity("user", "ann")


@contextmanager
def noted_inserts(engine: Engine) -> Iterator[list[str]]:
    """The table of each INSERT that the driver is given; with an asterisk where it is one of many."""
    seen: list[str] = []

    def note(
        connection: object, cursor: object, statement: str, parameters: object, context: object, many: bool
    ) -> None:
        if statement.startswith("INSERT INTO "):
            seen.append(statement.split()[2] + "*" * many)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def said(event_id: str, **fields: object) -> FeedbackEvent:
    """An event just before NOW; positive, unless told otherwise."""
    given: dict[str, object] = {"event_id": event_id, "occurred_at": NOW - timedelta(minutes=1), **fields}
    if not {"rating", "sentiment"} & fields.keys():
        given["rating"] = 5.0
    return FeedbackEvent.model_validate(given)


def window(entity: Entity, days: int, positive: int = 0, negative: int = 0, neutral: int = 0) -> WindowCounts:
    return WindowCounts(
        entity=entity, window_days=days, positive=positive, negative=negative, neutral=neutral
    )


def transactions(engine: Engine, limits: Limits | None = None) -> Transactions[FeedbackRepository]:
    # The assignment is a test for type checkers: this is the domain's port.
    return SqlTransactions(engine, partial(SqlFeedback, limits=limits or Limits()), lambda: None)


def stored(engine: Engine, tenant: Tenant) -> list[dict[str, object]]:
    """The org's events."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        return [dict(row) for row in unit.connection.execute(select(feedback_events)).mappings()]


def metrics(engine: Engine, tenant: Tenant) -> list[WindowCounts]:
    """The org's windows."""
    kept = feedback_metrics.c
    with UnitOfWork(engine, tenant.org_id) as unit:
        rows = unit.connection.execute(
            select(
                kept.entity_type, kept.entity_id, kept.window_days, kept.positive, kept.negative, kept.neutral
            ).order_by(kept.entity_type, kept.entity_id, kept.window_days)
        )
        return [window(Entity(kind, identity), days, *counts) for kind, identity, days, *counts in rows]
