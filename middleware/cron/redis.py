"""Ticks in Redis: a key for each claim and each running actor, a set of what was sent, a hash for the rest."""

import redis

from ..base.redis_scripts import Script, text_of
from .store import STATE_DAYS, Claim, Look, ms

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
        covered = -1 if covers is None else covers
        answer = self._claim(
            keys=self._keys(actor, f"tick:{minute}", "run", "seen", "state"),
            args=[minute, holder, ms(window_s), ms(exclusive_s or 0), covered, int(owed), _STATE_MS],
        )
        return text_of(answer)  # type: ignore[return-value]  # the script's five words are the type's

    def release(self, actor: str, holder: str) -> None:
        self._release(keys=self._keys(actor, "run"), args=[holder])

    def note_sent(self, actor: str, minute: int, *, window_s: float) -> None:
        self._sent(keys=self._keys(actor, "seen"), args=[minute, ms(window_s)])

    def look(self, actor: str, schedule: str, who: str, *, lease_s: float) -> Look | None:
        answer = self._look(
            keys=self._keys(actor, "look", "seen", "state"),
            args=[who, schedule, ms(lease_s), _STATE_MS],
        )
        if answer is None:
            return None
        since, *seen = answer
        return Look(since, frozenset(seen))

    def account(self, actor: str, until: int) -> None:
        self._account(keys=self._keys(actor, "seen", "state"), args=[until])

    def _keys(self, actor: str, *names: str) -> list[str]:
        return [f"{self._prefix}:{{cron:{actor}}}:{name}" for name in names]
