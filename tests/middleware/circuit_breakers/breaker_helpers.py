"""What tests of circuit breakers do with them."""

from contextlib import suppress

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
    """One process's breakers; parked jobs are not spread."""
    settings: dict[str, object] = {"rule": RULE, "uniform": lambda low, _: low, **options}
    return CircuitBreakers(store, monotonic=clock.monotonic, **settings)  # type: ignore[arg-type]


def fail(breakers: CircuitBreakers, times: int, key: str = "ai", error: BaseException | None = None) -> None:
    """Calls that fail in a row."""
    for _ in range(times):
        with suppress(OSError), breakers.calling(key):
            raise error or ConnectionError


def succeed(breakers: CircuitBreakers, key: str = "ai") -> None:
    """One call that succeeds."""
    with breakers.calling(key):
        pass
