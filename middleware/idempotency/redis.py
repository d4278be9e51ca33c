"""Idempotency claims in Redis or Valkey, shared by every process."""

import re

import redis

from ..base.delegation import AckOperation
from ..base.redis_scripts import Script, text_of
from .guard import Claim

#: What decides alone in which slot of a cluster a key is.
_HAS_TAG = re.compile(r"\{[^}]+\}")


class RedisIdempotencyStore:
    """Claims of a whole fleet, one hash a key: `<prefix>:idempotency:{<digest>}`.

    One script, one round trip, a method. The clock is the server's.

    A prefix with a hash tag of its own, like the base of a broker's keys, keeps all claims in that one slot. A broker
    with that base can end them in the very step that ends their message.

    Parameters:
      client: A redis-py client. Its server must not evict keys (`maxmemory-policy noeviction`).
      prefix: What its keys begin with. Default `pressroom`.

    Example:
      >>> RedisIdempotencyStore(redis.Redis.from_url("redis://localhost"))
    """

    def __init__(self, client: "redis.Redis", *, prefix: str = "pressroom") -> None:
        self._prefix = prefix
        self._claim = Script(client, __package__, "claim")
        self._keep = Script(client, __package__, "extend")
        self._finish = Script(client, __package__, "complete")
        self._give_back = Script(client, __package__, "release")

    def claim(self, key: str, *, holder: str, token: str, ttl_ms: int) -> Claim:
        answer = self._claim(keys=[self._name(key)], args=[holder, token, ttl_ms])
        state, by = map(text_of, answer)
        return Claim(state, by)  # type: ignore[arg-type]  # the script's three words are the type's

    def keep(self, key: str, *, token: str, ttl_ms: int) -> bool:
        return bool(self._keep(keys=[self._name(key)], args=[token, ttl_ms]))

    def finish(self, key: str, *, token: str, ttl_ms: int) -> bool:
        return bool(self._finish(keys=[self._name(key)], args=[token, ttl_ms]))

    def give_back(self, key: str, *, token: str) -> bool:
        return bool(self._give_back(keys=[self._name(key)], args=[token]))

    def ending(self, key: str, *, token: str, done: bool, ttl_ms: int) -> AckOperation:
        """What `finish` or `give_back` does, for a broker on the same server. See `EndingStore`."""
        new = ("state", "done") if done else None
        return AckOperation(self._name(key), "token", token, new, ttl_ms)

    def _name(self, key: str) -> str:
        tag = key if _HAS_TAG.search(self._prefix) else f"{{{key}}}"
        return f"{self._prefix}:idempotency:{tag}"
