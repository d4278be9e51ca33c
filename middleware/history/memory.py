"""The history in memory: for tests, and for trying things out."""

import threading
from bisect import bisect_left, insort
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from ..base.attempts import AttemptOutcome
from .guard import AttemptRecord, check_limit

#: How many attempts are kept.
DEFAULT_MAX_ATTEMPTS = 10_000


class MemoryHistoryStore:
    """Keeps the newest attempts of this process.

    Parameters:
      max_attempts: How many; the oldest make room. Default 10,000.

    Example:
      >>> broker.add_middleware(History(MemoryHistoryStore()))
    """

    def __init__(self, *, max_attempts: int = DEFAULT_MAX_ATTEMPTS) -> None:
        if max_attempts < 1:
            raise ValueError(f"max_attempts must be at least 1, not {max_attempts}")
        self._max_attempts = max_attempts
        self._by_id: dict[UUID, AttemptRecord] = {}
        self._order: list[tuple[datetime, UUID]] = []
        self._lock = threading.Lock()

    def record(self, attempts: Sequence[AttemptRecord]) -> None:
        """See `HistoryStore`."""
        with self._lock:
            for each in attempts:
                known = self._by_id.get(each.id)
                if known is None:
                    insort(self._order, (each.started_at, each.id))
                if known is None or (known.outcome == "running" and each.outcome != "running"):
                    self._by_id[each.id] = each
            over = max(0, len(self._order) - self._max_attempts)
            for _, id_ in self._order[:over]:
                del self._by_id[id_]
            del self._order[:over]

    def attempts(self, message_id: str, *, org: str | None = None) -> list[AttemptRecord]:
        """See `HistoryStore`."""
        with self._lock:
            known = [self._by_id[id_] for _, id_ in self._order]
        return [each for each in known if each.message_id == message_id and org in (None, each.org)]

    def recent(
        self,
        *,
        org: str | None = None,
        actor: str | None = None,
        outcome: AttemptOutcome | None = None,
        before: tuple[datetime, UUID] | None = None,
        limit: int = 100,
    ) -> list[AttemptRecord]:
        """See `HistoryStore`."""
        check_limit(limit)
        with self._lock:
            end = len(self._order) if before is None else bisect_left(self._order, before)
            known = [self._by_id[id_] for _, id_ in reversed(self._order[:end])]
        fitting = (
            each
            for each in known
            if org in (None, each.org) and actor in (None, each.actor) and outcome in (None, each.outcome)
        )
        return [each for each, _ in zip(fitting, range(limit), strict=False)]
