"""Stores of guards in the database, made when first used: a process that only sends loads no database library."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import UUID

from dramatiq import Broker, Worker
from dramatiq.middleware import Middleware

from app.settings import Settings, SettingsError
from middleware.base.attempts import AttemptOutcome
from middleware.dead_letters.guard import DeadLetterBox, DeadLetterStore
from middleware.dead_letters.letter import DeadLetter
from middleware.history.guard import AttemptRecord, HistoryStore

if TYPE_CHECKING:
    from sqlalchemy import Engine


class Stores(Middleware):
    """The guards' stores in the database, on a few connections of their own.

    What guards write must not wait for what jobs hold. The connections are opened when first used, and closed when
    a worker has stopped; a store that is used after that opens its own again.

    Parameters:
        settings: say where the database is.

    Example:
        >>> stores = Stores(settings)
        >>> [stores, History(stores.history), DeadLetters(stores.dead_letters, spool=spool)]
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        #: `publishing_dlq`.
        self.dead_letters: DeadLetterStore = _LateDeadLetters(self._dead_letters)
        #: `job_attempts`.
        self.history: HistoryStore = _LateHistory(self._history)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        if "_engine" in vars(self):
            self._engine.dispose()

    @cached_property
    def _engine(self) -> "Engine":
        from adapters.database.engine import create_engine

        if self._settings.database_url is None:
            raise SettingsError("no database: set DATABASE_URL, or start `python -m app up`")
        return create_engine(self._settings.database_url.get_secret_value(), pool_size=2, max_overflow=4)

    def _dead_letters(self) -> DeadLetterStore:
        from adapters.database.dead_letters import SqlDeadLetters

        return SqlDeadLetters(self._engine, DeadLetter.from_record)

    def _history(self) -> HistoryStore:
        from adapters.database.history import SqlHistoryStore

        return SqlHistoryStore(self._engine, AttemptRecord)


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
