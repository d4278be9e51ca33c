"""A spool of dead letters in Redis, beside the queues that they come from."""

import json
from collections.abc import Sequence
from typing import Any

import redis

from ..base.redis_scripts import Script, answering
from .letter import DeadLetter

#: How long letters wait for a mover, in milliseconds: 30 days, counted anew whenever one tries.
DEFAULT_KEEP_MS = 30 * 24 * 60 * 60 * 1_000


class RedisDeadLetterSpool:
    """A `DeadLetterSpool` on one Redis; its keys are in one hash slot.

    Parameters:
      client: A redis-py client.
      prefix: Begins every key. Default "pressroom".
      keep_ms: Milliseconds that letters stay when nobody tries to move them. Default 30 days.

    Example:
      >>> spool = RedisDeadLetterSpool(redis.Redis())
      >>> spool.depth()
      0
    """

    def __init__(
        self, client: "redis.Redis", *, prefix: str = "pressroom", keep_ms: int = DEFAULT_KEEP_MS
    ) -> None:
        if keep_ms < 1:
            raise ValueError(f"keep_ms must be at least 1, not {keep_ms}")
        self._client: Any = client
        self._base = f"{{{prefix}:dead_letter_spool}}"
        self._keep_ms = keep_ms
        self._put = Script(client, __package__, "spool_put")
        self._claim = Script(client, __package__, "spool_claim")
        self._remove = Script(client, __package__, "spool_remove")

    def put(self, letters: Sequence[DeadLetter]) -> int:
        args: list[str | int] = [self._keep_ms]
        for letter in letters:
            args += [letter.id, json.dumps(letter.as_record())]
        return int(self._put(keys=[self._base], args=args))

    def claim(self, limit: int, lease_ms: int) -> Sequence[DeadLetter]:
        found = self._claim(keys=[self._base], args=[self._keep_ms, limit, lease_ms])
        return [DeadLetter.from_record(json.loads(data)) for data in found if data]

    def remove(self, ids: Sequence[str]) -> None:
        if ids:
            self._remove(keys=[self._base], args=ids)

    def depth(self) -> int:
        with answering(self._client, "dead letter spool, depth"):
            return int(self._client.hlen(f"{self._base}:waiting"))
