"""Limits per org in Redis or Valkey, shared by every process."""

from itertools import groupby
from urllib.parse import quote

import redis

from ..base.redis_scripts import Script, text_of
from .rate import Rate
from .slots import Answer, Attempt, Slot, Wake

#: How long an org's keys outlive their last use, in milliseconds: a day. So late may a message that was woken, and
#: has run, come out of its delay and still be told from one that has not.
_KEEP_MS = 24 * 60 * 60 * 1_000


class RedisOrgLimitsStore:
    """The limits of a whole fleet. One script, one round trip, a method; `renew` takes one for each org.

    All keys of an org are in one hash slot: `<prefix>:ratelimit:{<org>}:<actor>` and, for the slots, the line of
    waiters and one record for each message that has or awaits a slot, `<prefix>:limits:{<org>}:...`. The clock is
    the server's.

    Parameters:
      client: A redis-py client. Its server must not evict keys (`maxmemory-policy noeviction`).
      prefix: What its keys begin with. Default `pressroom`.

    Example:
      >>> RedisOrgLimitsStore(redis.Redis.from_url("redis://localhost"))
    """

    def __init__(self, client: "redis.Redis", *, prefix: str = "pressroom") -> None:
        self._prefix = prefix
        self._charge = Script(client, __package__, "charge")
        self._acquire = Script(client, __package__, "acquire")
        self._release = Script(client, __package__, "release")
        self._renew = Script(client, __package__, "renew")

    def charge(self, org: str, actor_name: str, rate: Rate) -> tuple[float, float]:
        wait_ms, paid_until_ms = self._charge(
            keys=[self._rate(org, actor_name)], args=[rate.interval_ms, rate.tolerance_ms]
        )
        return float(wait_ms), float(paid_until_ms)

    def acquire(self, attempt: Attempt) -> Answer:
        rate = attempt.rate
        outcome, wait_ms, paid_until_ms = self._acquire(
            keys=self._keys(attempt),
            args=[
                attempt.message_id,
                attempt.token,
                attempt.copy,
                attempt.lease_ms,
                *_limits(attempt),
                *((rate.interval_ms, rate.tolerance_ms) if rate else (0, 0)),
                attempt.paid_until_ms,
                _KEEP_MS,
                attempt.message,
            ],
        )
        return Answer(text_of(outcome), float(wait_ms), float(paid_until_ms))  # type: ignore[arg-type]

    def release(self, slot: Slot, *, refund: bool, patience_ms: int) -> list[Wake]:
        attempt = slot.attempt
        woken = self._release(
            keys=self._keys(attempt),
            args=[
                attempt.message_id,
                attempt.token,
                attempt.lease_ms,
                *_limits(attempt),
                attempt.rate.interval_ms if attempt.rate and refund else 0,
                slot.paid_until_ms,
                _KEEP_MS,
                patience_ms,
            ],
        )
        return [
            Wake(text_of(copy), message if isinstance(message, bytes) else message.encode())
            for copy, message in zip(woken[::2], woken[1::2], strict=True)
        ]

    def renew(self, slots: list[Slot]) -> list[Slot]:
        lost: set[str] = set()
        for _, of_org in groupby(sorted(slots, key=_org), key=_org):
            attempts = [each.attempt for each in of_org]
            _, slots_key, _, record = self._keys(attempts[0])
            named = [
                part
                for each in attempts
                for part in (each.message_id, each.token, each.concurrency.key if each.concurrency else "")
            ]
            answer = self._renew(keys=[slots_key, record], args=[attempts[0].lease_ms, _KEEP_MS, *named])
            lost.update(map(text_of, answer))
        return [each for each in slots if each.attempt.token in lost]

    def _rate(self, org: str, actor_name: str) -> str:
        return f"{self._prefix}:ratelimit:{{{_quoted(org)}}}:{actor_name}"

    def _keys(self, attempt: Attempt) -> list[str]:
        """The keys `rate slots waiters record` of the scripts."""
        org = f"{self._prefix}:limits:{{{_quoted(attempt.org)}}}"
        return [
            self._rate(attempt.org, attempt.actor_name),
            f"{org}:slots",
            f"{org}:waiters",
            f"{org}:message:{attempt.message_id}",
        ]


def _limits(attempt: Attempt) -> tuple[int, str, int]:
    key, limit = attempt.concurrency or ("", 0)
    return -1 if attempt.max_active is None else attempt.max_active, key, limit


def _org(slot: Slot) -> str:
    return slot.attempt.org


def _quoted(org: str) -> str:
    # No org may be named so that its keys are another's, or so that they leave their hash slot.
    return quote(org, safe="")
