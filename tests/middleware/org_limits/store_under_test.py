"""A store of limits per org under test, and attempts to ask it with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

import redis

from middleware.org_limits.memory import MemoryOrgLimitsStore
from middleware.org_limits.rate import Rate
from middleware.org_limits.redis import RedisOrgLimitsStore
from middleware.org_limits.slots import Answer, Attempt, OrgLimitsStore, Slot, Wake
from tests.middleware.aged_stores import age

LEASE_MS = 60_000
PATIENCE_MS = 90_000
#: One start an hour: nothing that a test does takes long enough to matter.
HOURLY = Rate(1, per="1h")
HOUR_MS = 3_600_000


@dataclass
class Kept:
    """A store, and a way to let time pass for it."""

    store: OrgLimitsStore
    pass_ms: Callable[[float], None]
    #: What a moment that a caller remembers has to be reduced by, where the store got older instead.
    aged_ms: Callable[[], float]

    def acquire(self, attempt: Attempt) -> Answer:
        return self.store.acquire(attempt)

    def run(self, attempt: Attempt) -> Slot:
        """Acquire, which has to succeed."""
        answer = self.store.acquire(attempt)
        assert answer.outcome == "run"
        return Slot(attempt, answer.paid_until_ms - self.aged_ms())

    def release(self, slot: Slot, *, refund: bool = False) -> list[Wake]:
        aged = replace(slot, paid_until_ms=slot.paid_until_ms - self.aged_ms())
        return self.store.release(aged, refund=refund, patience_ms=PATIENCE_MS)


#: Every store there is.
STORES = ("memory", "redis", "redis, decoding responses")


@contextmanager
def kept_in(store: str, redis_url: str) -> Iterator[Kept]:
    """One of `STORES`."""
    passed = [0.0]
    if store == "memory":

        def pass_ms(by_ms: float) -> None:
            passed[0] += by_ms

        yield Kept(MemoryOrgLimitsStore(now_ms=lambda: 1e12 + passed[0]), pass_ms, lambda: 0)
        return
    prefix, decoding = f"t{uuid4().hex}", "decoding" in store
    with (
        redis.Redis.from_url(redis_url, decode_responses=decoding) as client,
        redis.Redis.from_url(redis_url) as plain,
    ):

        def make_older(by_ms: float) -> None:
            age(plain, prefix, by_ms)
            passed[0] += by_ms

        yield Kept(RedisOrgLimitsStore(client, prefix=prefix), make_older, lambda: passed[0])


def attempt(message_id: str, **changes: object) -> Attempt:
    """An attempt of a message, unlimited but for two slots of its org."""
    plain = Attempt(
        org="acme",
        actor_name="crawl",
        message_id=message_id,
        token=uuid4().hex,
        copy="",
        lease_ms=LEASE_MS,
        max_active=2,
        concurrency=None,
        rate=None,
        paid_until_ms=0,
        message=f"message {message_id}".encode(),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # the names are checked by `replace`
