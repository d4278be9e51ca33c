"""Dead letters in Redis."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis

from ..base.redis_scripts import Script, answering, text_of
from .letter import COUNTED_BY, DeadLetter, Stats, check_org, check_page, counted

#: How long letters are kept, in milliseconds: 90 days.
DEFAULT_KEEP_MS = 90 * 24 * 60 * 60 * 1_000
#: Letters that are removed, or put, by one call.
BATCH = 500


class RedisDeadLetterStore:
    """A `DeadLetterStore` on one Redis; all of its keys are in one hash slot.

    Parameters:
      client: A redis-py client.
      prefix: Begins every key. Default "pressroom".
      keep_ms: Milliseconds after which a letter may go; they go when others come. Default 90 days.
      now_ms: Milliseconds since 1970; for tests. Default: this machine's clock.

    Example:
      >>> store = RedisDeadLetterStore(redis.Redis())
      >>> store.of_org("acme").stats()["category"]
      {'network': 3}
    """

    def __init__(
        self,
        client: "redis.Redis",
        *,
        prefix: str = "pressroom",
        keep_ms: int = DEFAULT_KEEP_MS,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        if keep_ms < 1:
            raise ValueError(f"keep_ms must be at least 1, not {keep_ms}")
        self._client = client
        self._base = f"{{{prefix}:dead_letters}}"
        self._keep_ms = keep_ms
        self._now_ms = now_ms
        self._put = Script(client, __package__, "put")

    def put(self, letters: Sequence[DeadLetter]) -> int:
        new = 0
        for at in range(0, len(letters), BATCH):
            args: list[str | int] = [self._keep_ms]
            for letter in letters[at : at + BATCH]:
                index = {"org": letter.org or "", "cursor": letter.cursor, "counted": counted(letter)}
                args += [letter.id, letter.cursor, letter.org or "", letter.category]
                args += [json.dumps(index), json.dumps(letter.as_record())]
            new += int(self._put(keys=[self._base], args=args))
        if new:
            self.of_every_org().purge(self._now_ms() - self._keep_ms)
        return new

    def of_org(self, org: str) -> "RedisDeadLetterBox":
        check_org(org)
        return RedisDeadLetterBox(self._client, self._base, org)

    def of_every_org(self) -> "RedisDeadLetterBox":
        return RedisDeadLetterBox(self._client, self._base, "")


class RedisDeadLetterBox:
    """A `DeadLetterBox` of a `RedisDeadLetterStore`, which makes it."""

    def __init__(self, client: "redis.Redis", base: str, org: str) -> None:
        self._client: Any = client
        self._base = base
        self._org = org
        self._scope = f"org:{org}" if org else "all"
        self._page_script = Script(client, __package__, "page")
        self._swap = Script(client, __package__, "swap")
        self._delete = Script(client, __package__, "delete")

    def list(self, *, after: str | None = None, limit: int = 100) -> Sequence[DeadLetter]:
        return self._page(self._scope, after, limit)

    def list_by_category(
        self, category: str, *, after: str | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        return self._page(f"category:{category}:{self._scope}", after, limit)

    def get(self, letter_id: str) -> DeadLetter | None:
        found = self._find(letter_id)
        return found[1] if found else None

    def mark_replayed(
        self,
        letter_id: str,
        message_id: str | None,
        *,
        at_ms: int,
        instead_of: str | None,
        changes: Sequence[Mapping[str, object]] = (),
    ) -> bool:
        found = self._find(letter_id)
        if found is None or found[1].replayed_as != instead_of:
            return False
        data, letter = found
        marked = letter.marked(message_id, at_ms, changes)
        # Nothing of a letter changes but its mark: when it is another one by now, somebody else was first.
        return bool(self._swap(keys=[self._base], args=[letter_id, data, json.dumps(marked.as_record())]))

    def delete(self, letter_id: str) -> bool:
        return bool(self._delete(keys=[self._base], args=[self._org, letter_id]))

    def purge(self, before_ms: int) -> int:
        gone = 0
        newest = f"({max(0, before_ms):016d}:"
        while True:
            with answering(self._client, "dead letters, purge"):
                old = self._client.zrangebylex(f"{self._base}:{self._scope}", "-", newest, start=0, num=BATCH)
            if not old:
                return gone
            ids = [text_of(cursor).partition(":")[2] for cursor in old]
            gone += int(self._delete(keys=[self._base], args=[self._org, *ids]))

    def stats(self) -> Stats:
        with answering(self._client, "dead letters, stats"):
            counts = self._client.hgetall(f"{self._base}:counts:{self._scope}")
        stats: Stats = {name: {} for name in COUNTED_BY}
        for field, count in counts.items():
            name, _, value = text_of(field).partition(":")
            stats[name][value] = int(count)
        return stats

    def _page(self, index: str, after: str | None, limit: int) -> Sequence[DeadLetter]:
        check_page(limit)
        found = self._page_script(keys=[self._base], args=[index, after or "", limit])
        return [DeadLetter.from_record(json.loads(data)) for data in found if data]

    def _find(self, letter_id: str) -> tuple[str | bytes, DeadLetter] | None:
        with answering(self._client, "dead letters, get"):
            data = self._client.hget(f"{self._base}:entries", letter_id)
        if data is None:
            return None
        letter = DeadLetter.from_record(json.loads(data))
        return (data, letter) if not self._org or letter.org == self._org else None
