"""What jobs are doing, in Redis: one hash a message, gone a day after the last news."""

import json
from dataclasses import asdict
from typing import Any

import redis

from ..base.bounds import check_at_least
from ..base.redis_scripts import Script, answering, text_of
from .guard import JobProgress

#: How long a line is kept after it was written last, in milliseconds: a day.
DEFAULT_KEEP_FOR_MS = 24 * 60 * 60 * 1_000


class RedisProgressStore:
    """Keeps lines in hashes `{<prefix>:progress}:<message id>`.

    Parameters:
      client: A redis-py client.
      prefix: Begins every key. Default `pressroom`.
      keep_for_ms: How long a line is kept after it was written last, in milliseconds. Default a day.

    Example:
      >>> broker.add_middleware(Progress(RedisProgressStore(redis.Redis())))
    """

    def __init__(
        self, client: "redis.Redis", *, prefix: str = "pressroom", keep_for_ms: int = DEFAULT_KEEP_FOR_MS
    ) -> None:
        check_at_least(1, keep_for_ms=keep_for_ms)
        self._client = client
        self._keep_for_ms = keep_for_ms
        self._lines_key = f"{{{prefix}:progress}}"
        self._write = Script(client, __package__, "write")

    def write(self, lines: list[JobProgress]) -> None:
        """See `ProgressStore`."""
        bodies = [json.dumps(_fields(latest)) for latest in lines]
        self._write(keys=[self._lines_key], args=[self._keep_for_ms, *bodies])

    def read(self, message_id: str) -> JobProgress | None:
        """See `ProgressStore`."""
        with answering(self._client, "progress_read"):
            kept = self._client.hgetall(f"{self._lines_key}:{message_id}")
        fields = {text_of(name): text_of(value) for name, value in kept.items()}
        return _latest(message_id, fields) if fields else None


#: Fields that are not text.
_NUMBERS = frozenset({"percent", "attempts", "turn", "updated_at_ms"})


def _fields(latest: JobProgress) -> dict[str, str]:
    named = asdict(latest)
    del named["updated_at_ms"]  # the server's to say
    return {name: str(value) for name, value in named.items() if value is not None}


def _latest(message_id: str, kept: dict[str, str]) -> JobProgress:
    fields: dict[str, Any] = {name: int(value) if name in _NUMBERS else value for name, value in kept.items()}
    return JobProgress(**{"org": None, **fields, "message_id": message_id})
