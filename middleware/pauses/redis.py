"""Pauses, in Redis: asked for anywhere, known everywhere."""

import json

import redis

from ..base.redis_scripts import Script
from .pauses import InForce, Pause, PauseTarget


class RedisPauseStore:
    """Keeps pauses in two keys. They stay while any pause without an end does: until somebody resumes it.

    Parameters:
      client: A redis-py client.
      prefix: Begins every key. Default `pressroom`.

    Example:
      >>> broker.add_middleware(Pauses(RedisPauseStore(redis.Redis())))
    """

    def __init__(self, client: "redis.Redis", *, prefix: str = "pressroom") -> None:
        self._keys = [f"{{{prefix}:pauses}}:{part}" for part in ("kept", "version")]
        self._put = Script(client, __package__, "put")
        self._remove = Script(client, __package__, "remove")
        self._read = Script(client, __package__, "read")

    def put(self, pause: Pause, *, for_ms: int | None) -> Pause:
        """See `PauseStore`."""
        body = json.dumps({"what": pause.what, "who": pause.who, "reason": pause.reason})
        return _pause(self._put(keys=self._keys, args=[_field(pause.what), body, for_ms or 0]))

    def remove(self, what: PauseTarget) -> bool:
        """See `PauseStore`."""
        return bool(self._remove(keys=self._keys, args=[_field(what)]))

    def read(self, since: int) -> InForce | None:
        """See `PauseStore`."""
        answer = self._read(keys=self._keys, args=[since])
        if not answer:
            return None
        version, now_ms, *bodies = answer
        pauses = sorted(map(_pause, bodies), key=lambda each: (each.since_ms, _field(each.what)))
        return InForce(version=int(version), now_ms=int(now_ms), pauses=pauses)


def _field(what: PauseTarget) -> str:
    return json.dumps(what)


def _pause(body: bytes | str) -> Pause:
    fields = json.loads(body)
    until_ms = fields.get("until_ms")
    return Pause(
        what=PauseTarget(*fields["what"]),
        who=fields["who"],
        reason=fields["reason"],
        since_ms=int(fields["since_ms"]),
        until_ms=None if until_ms is None else int(until_ms),
    )
