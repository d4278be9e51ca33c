"""Attempts in the history, as workers leave them there."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine

from adapters.database.history import SqlHistoryStore
from middleware.base.attempts import AttemptOutcome
from middleware.history.guard import AttemptRecord

#: When the first one started.
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def an_attempt(
    org_id: UUID | None, *, at_s: float = 0, outcome: AttemptOutcome = "succeeded", **over: Any
) -> AttemptRecord:
    """One that started so many seconds after the first."""
    started_at = START + timedelta(seconds=at_s)
    over_now = outcome != "running"
    known: dict[str, Any] = {
        "id": uuid4(),
        "message_id": str(uuid4()),
        "actor": "resize",
        "queue": "images",
        "org": None if org_id is None else str(org_id),
        "attempt": 1,
        "outcome": outcome,
        "started_at": started_at,
        "finished_at": started_at + timedelta(seconds=1) if over_now else None,
        "duration_ms": 1_000.0 if over_now else None,
        "worker": "host:7",
    }
    return AttemptRecord(**{**known, **over})


def put_attempt(engine: Engine, org_id: UUID | None, **fields: Any) -> AttemptRecord:
    """It, in the database."""
    record = an_attempt(org_id, **fields)
    SqlHistoryStore(engine, AttemptRecord).record([record])
    return record
