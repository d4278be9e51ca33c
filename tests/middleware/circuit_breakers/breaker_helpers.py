"""What tests of circuit breakers do with them."""

from contextlib import suppress
from typing import cast

import redis

from middleware.circuit_breakers.guard import CircuitBreakers
from middleware.circuit_breakers.state import BreakerRule

#: Two failures open it.
RULE = BreakerRule(failures=2, open_s=30, trials=3)


class Clock:
    """A clock that tests move: milliseconds for stores, monotonic seconds for guards."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1_000

    def pass_s(self, seconds: float) -> None:
        self.ms += round(seconds * 1_000)


def make(store: object, clock: Clock, **options: object) -> CircuitBreakers:
    """Breakers as a process has them; parked jobs are not spread."""
    settings: dict[str, object] = {"rule": RULE, "uniform": lambda low, _: low, **options}
    return CircuitBreakers(store, monotonic=clock.monotonic, **settings)  # type: ignore[arg-type]


def fail(breakers: CircuitBreakers, times: int, key: str = "ai", error: BaseException | None = None) -> None:
    """Calls that fail in a row."""
    for _ in range(times):
        with suppress(OSError), breakers.calling(key):
            raise error or ConnectionError


def succeed(breakers: CircuitBreakers, key: str = "ai") -> None:
    """A call that succeeds."""
    with breakers.calling(key):
        pass


def age(client: redis.Redis, prefix: str, seconds: float) -> None:
    """Let time pass on a server: everything that is dated moves into the past."""
    ms = round(seconds * 1_000)
    for key in cast("list[bytes]", client.keys(f"{prefix}:*")):
        left_ms = client.pttl(key)
        kind = cast("bytes", client.type(key))
        if kind == b"hash" and client.hexists(key, "until"):
            client.hincrby(key, "until", -ms)
        if kind == b"zset":
            for member in cast("list[bytes]", client.zrange(key, 0, -1)):
                client.zincrby(key, -ms, member)
        if left_ms > 0:
            client.pexpire(key, max(1, left_ms - ms)) if left_ms > ms else client.delete(key)


def round_trips(client: redis.Redis) -> int:
    """How many scripts the server has run."""
    return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])


async def ask(topic: str) -> str:
    """Ask for ideas, and fail without a topic."""
    if not topic:
        raise ConnectionError
    return topic
