"""Ticks in Redis: a key for each claim and each running actor, a set of what was sent, a hash for the rest."""

import redis

from ..base.redis_scripts import Script
from .store import STATE_DAYS, Claim, Look

_STATE_MS = STATE_DAYS * 24 * 60 * 60 * 1_000


class RedisCronStore:
    """Keeps ticks under `<prefix>:{cron:<actor>}:...`, in one hash slot an actor.

    A schedule's state has 400 days to live from the last look, so that a yearly one is not forgotten.

    Parameters:
      client: A redis-py client.
      prefix: Set before every key. Default `pressroom`.

    Example:
      >>> Cron(RedisCronStore(redis.Redis.from_url(url)))
    """

    def __init__(self, client: "redis.Redis", *, prefix: str = "pressroom") -> None:
        self._prefix = prefix
        self._claim = Script(client, __package__, "claim")
        self._release = Script(client, __package__, "release")
        self._sent = Script(client, __package__, "sent")
        self._look = Script(client, __package__, "look")
        self._account = Script(client, __package__, "settle_missed")

    def claim(
        self,
        actor: str,
        minute: int,
        holder: str,
        *,
        window_s: float,
        exclusive_s: float | None,
        covers: int | None,
        owed: bool,
    ) -> Claim:
        answer = self._claim(
            keys=[
                self._key(actor, f"tick:{minute}"),
                self._key(actor, "run"),
                self._key(actor, "seen"),
                self._key(actor, "state"),
            ],
            args=[
                minute,
                holder,
                _ms(window_s),
                _ms(exclusive_s or 0),
                -1 if covers is None else covers,
                int(owed),
                _STATE_MS,
            ],
        )
        claims: dict[str, Claim] = {
            "granted": "granted",
            "taken": "taken",
            "covered": "covered",
            "running": "running",
            "busy": "busy",
        }
        return claims[answer.decode() if isinstance(answer, bytes) else answer]

    def release(self, actor: str, holder: str) -> None:
        self._release(keys=[self._key(actor, "run")], args=[holder])

    def note_sent(self, actor: str, minute: int, *, window_s: float) -> None:
        self._sent(keys=[self._key(actor, "seen")], args=[minute, _ms(window_s)])

    def look(self, actor: str, schedule: str, who: str, *, lease_s: float) -> Look | None:
        answer = self._look(
            keys=[self._key(actor, "look"), self._key(actor, "seen"), self._key(actor, "state")],
            args=[who, schedule, _ms(lease_s), _STATE_MS],
        )
        if answer is None:
            return None
        since, *seen = answer
        return Look(since, frozenset(seen))

    def account(self, actor: str, until: int) -> None:
        self._account(keys=[self._key(actor, "seen"), self._key(actor, "state")], args=[until])

    def _key(self, actor: str, name: str) -> str:
        return f"{self._prefix}:{{cron:{actor}}}:{name}"


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)
