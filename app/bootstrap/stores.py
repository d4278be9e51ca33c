"""Stores of guards in the database, made when first used: a process that only sends loads no database library."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import UUID

from app.settings import Settings, SettingsError
from middleware.attempts import AttemptOutcome
from middleware.dead_letter_entry import DeadLetter
from middleware.dead_letters import DeadLetterBox, DeadLetterStore
from middleware.history import AttemptRecord, HistoryStore

if TYPE_CHECKING:
    from sqlalchemy import Engine


def dead_letter_store(settings: Settings) -> DeadLetterStore:
    """`publishing_dlq`."""

    def make() -> DeadLetterStore:
        from adapters.database.dead_letters import SqlDeadLetters

        return SqlDeadLetters(_engine(settings), DeadLetter.from_record)

    return _LateDeadLetters(make)


def history_store(settings: Settings) -> HistoryStore:
    """`job_attempts`."""

    def make() -> HistoryStore:
        from adapters.database.history import SqlHistoryStore

        return SqlHistoryStore(_engine(settings), AttemptRecord)

    return _LateHistory(make)


def _engine(settings: Settings) -> "Engine":
    from adapters.database.engine import create_engine

    if settings.database_url is None:
        raise SettingsError("no database: set DATABASE_URL, or start `python -m app up`")
    # Their own few connections: what guards write must not wait for what jobs hold.
    return create_engine(settings.database_url.get_secret_value(), pool_size=2, max_overflow=2)


class _LateDeadLetters:
    def __init__(self, make: Callable[[], DeadLetterStore]) -> None:
        self._make = make

    @cached_property
    def _store(self) -> DeadLetterStore:
        return self._make()

    def put(self, letters: Sequence[DeadLetter]) -> int:
        return self._store.put(letters)

    def of_org(self, org: str) -> DeadLetterBox:
        return self._store.of_org(org)

    def of_every_org(self) -> DeadLetterBox:
        return self._store.of_every_org()


class _LateHistory:
    def __init__(self, make: Callable[[], HistoryStore]) -> None:
        self._make = make

    @cached_property
    def _store(self) -> HistoryStore:
        return self._make()

    def record(self, attempts: Sequence[AttemptRecord]) -> None:
        self._store.record(attempts)

    def attempts(self, message_id: str, *, org: str | None = None) -> list[AttemptRecord]:
        return self._store.attempts(message_id, org=org)

    def recent(
        self,
        *,
        org: str | None = None,
        actor: str | None = None,
        outcome: AttemptOutcome | None = None,
        before: tuple[datetime, UUID] | None = None,
        limit: int = 100,
    ) -> list[AttemptRecord]:
        return self._store.recent(org=org, actor=actor, outcome=outcome, before=before, limit=limit)
