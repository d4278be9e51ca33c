"""Requests to cancel, in Redis: asked for anywhere, heard everywhere."""

import json
from dataclasses import asdict
from typing import Any

import redis

from ..base.redis_scripts import Script
from .requests import CancelRequest, Changes

#: How many requests are fetched at a time.
BATCH_SIZE = 1_000


class RedisCancellationStore:
    """Keeps requests to cancel in three keys that end with the last request.

    Parameters:
      client: A redis-py client.
      prefix: Begins every key. Default `pressroom`.

    Example:
      >>> broker.add_middleware(Cancellation(RedisCancellationStore(redis.Redis())))
    """

    def __init__(self, client: "redis.Redis", *, prefix: str = "pressroom") -> None:
        self._keys = [f"{{{prefix}:cancellations}}:{part}" for part in ("log", "requests", "ends")]
        self._add = Script(client, __package__, "add")
        self._withdraw = Script(client, __package__, "withdraw")
        self._changes = Script(client, __package__, "changes")

    def add(self, request: CancelRequest) -> None:
        """See `CancellationStore`."""
        body = json.dumps(
            {name: value for name, value in asdict(request).items() if name in _WRITTEN and value is not None}
        )
        self._add(keys=self._keys, args=[request.request_id, body, request.keep_for_ms])

    def withdraw(self, request_id: str) -> bool:
        """See `CancellationStore`."""
        return bool(self._withdraw(keys=self._keys, args=[request_id]))

    def changes(self, since: int) -> Changes:
        """See `CancellationStore`."""
        version, *rows = self._changes(keys=self._keys, args=[since, BATCH_SIZE])
        return Changes(version=int(version), requests=[_request(*row) for row in rows])


#: What of a request its sender says; the rest is the store's to know.
_WRITTEN = frozenset({"request_id", "message_id", "actor", "org", "queue"})


def _request(body: bytes | str, left_ms: Any) -> CancelRequest:
    return CancelRequest(**json.loads(body), keep_for_ms=int(left_ms))
