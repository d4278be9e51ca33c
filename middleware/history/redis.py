"""The history in Redis: one hash for each attempt, and indexes by time for all, by org and by message."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

import redis
from pydantic import TypeAdapter

from ..base.attempts import AttemptOutcome
from ..base.redis_scripts import Script
from .guard import MAX_PAGE, AttemptRecord, check_limit

#: How long attempts are kept, in seconds, and how many.
DEFAULT_KEEP_S = 7 * 24 * 60 * 60.0
DEFAULT_MAX_ATTEMPTS = 100_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RedisHistoryStore:
    """Keeps attempts under `{<prefix>:history}:...`, in one hash slot. For more than fits into memory take a database.

    A batch is one round trip, and so is a page. A page that asks for an actor or an outcome reads as much of its org,
    or of all, as it takes to fill it, 1,000 attempts a round trip.

    Parameters:
      client: A redis-py client.
      prefix: Begins every key. Default `pressroom`.
      keep_s: How long an attempt is kept, in seconds. Default seven days.
      max_attempts: How many are kept; the oldest make room. Default 100,000, some 100 MB without results.

    Example:
      >>> broker.add_middleware(History(RedisHistoryStore(redis.Redis())))
    """

    def __init__(
        self,
        client: "redis.Redis",
        *,
        prefix: str = "pressroom",
        keep_s: float = DEFAULT_KEEP_S,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    ) -> None:
        if keep_s <= 0 or max_attempts < 1:
            raise ValueError(
                f"keep_s must be more than 0, max_attempts at least 1; not {keep_s}, {max_attempts}"
            )
        self._base = f"{{{prefix}:history}}:"
        self._newest = f"{self._base}newest"
        self._keep_ms = max(1, int(keep_s * 1_000))
        self._max_attempts = max_attempts
        self._record = Script(client, __package__, "record")
        self._page = Script(client, __package__, "page")
        self._adapter = TypeAdapter(AttemptRecord)

    def record(self, attempts: Sequence[AttemptRecord]) -> None:
        """See `HistoryStore`."""
        args: list[str | int | bytes] = [self._base, self._keep_ms, self._max_attempts]
        for each in attempts:
            member = _member(each.started_at, each.id)
            over = int(each.outcome != "running")
            args += [
                str(each.id),
                member,
                each.org or "",
                each.message_id,
                self._adapter.dump_json(each),
                over,
            ]
        self._record(keys=[self._newest], args=args)

    def attempts(self, message_id: str, *, org: str | None = None) -> list[AttemptRecord]:
        """See `HistoryStore`."""
        found = list(self._read(f"{self._base}message:{message_id}", None, MAX_PAGE))
        return [each for each in reversed(found) if org is None or each.org == org]

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
        index = self._newest if org is None else f"{self._base}org:{org}"
        unfiltered = actor is None and outcome is None
        found: list[AttemptRecord] = []
        for each in self._read(index, before, limit if unfiltered else MAX_PAGE):
            if actor in (None, each.actor) and outcome in (None, each.outcome):
                found.append(each)
                if len(found) == limit:
                    break
        return found

    def _read(
        self, index: str, before: tuple[datetime, UUID] | None, page_size: int
    ) -> Iterator[AttemptRecord]:
        below = "+" if before is None else f"({_member(*before)}"
        while True:
            page = self._page(keys=[index], args=[self._base, below, page_size])
            for body in page[1::2]:
                # Gone in the meantime: an index is trimmed when it is written.
                if body is not None:
                    yield self._adapter.validate_json(body)
            if len(page) < 2 * page_size:
                return
            below = "(" + (page[-2].decode() if isinstance(page[-2], bytes) else page[-2])


def _member(started_at: datetime, id_: UUID) -> str:
    """Sorts as text the way attempts sort by time."""
    since = started_at - _EPOCH
    started_us = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return f"{max(0, started_us):016d}:{id_}"
