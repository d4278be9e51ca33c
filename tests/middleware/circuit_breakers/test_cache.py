"""What a process knows of circuits when answers come in another order than they were given."""

from middleware.circuit_breakers.cache import BreakerCache
from middleware.circuit_breakers.memory import MemoryCircuitBreakerStore
from middleware.circuit_breakers.state import BreakerState
from middleware.circuit_breakers.store import Reading
from tests.middleware.circuit_breakers.breaker_helpers import Clock

CLOSED = BreakerState(key="ai", failures=4)
OPEN = BreakerState(key="ai", state="open", failures=5, wait_ms=30_000)


class Read(MemoryCircuitBreakerStore):
    """A store that was read already."""

    def __init__(self, *readings: Reading) -> None:
        super().__init__()
        self.readings = list(readings)

    def read(self, known_version: str | None) -> Reading | None:
        return self.readings.pop(0) if self.readings else None


def known(cache: BreakerCache) -> str:
    """The state of the circuit."""
    return cache.get("ai").state


def test_an_earlier_answer_does_not_replace_a_later_one() -> None:
    """The thread whose failure opened the circuit may be the first to hear of it."""
    cache = BreakerCache(Read(Reading("1", {}, as_of=1)))
    known(cache)

    cache.put(OPEN, 8)
    cache.put(CLOSED, 7)
    assert known(cache) == "open"

    cache.put(CLOSED, 9)
    assert known(cache) == "closed"


def test_an_earlier_answer_does_not_replace_a_later_reading() -> None:
    """Though the reading says nothing of the circuit, which is to say that it is closed."""
    cache = BreakerCache(Read(Reading("1", {}, as_of=5)))
    known(cache)

    cache.put(OPEN, 4)

    assert known(cache) == "closed"


def test_an_earlier_reading_does_not_replace_a_later_answer() -> None:
    """It was on its way when the circuit opened."""
    clock = Clock()
    store = Read(Reading("1", {}, as_of=1), Reading("2", {"ai": CLOSED}, as_of=7), Reading("3", {}, as_of=9))
    cache = BreakerCache(store, monotonic=clock.monotonic)
    known(cache)
    cache.put(OPEN, 8)

    clock.pass_s(1)
    assert known(cache) == "open"
    clock.pass_s(1)
    assert known(cache) == "closed"


def test_when_the_stores_clock_goes_back_its_answers_are_believed() -> None:
    """Another server that took over may be behind."""
    clock = Clock()
    store = Read(Reading("1", {"ai": OPEN}, as_of=100), Reading("2", {"ai": CLOSED}, as_of=50))
    cache = BreakerCache(store, monotonic=clock.monotonic)
    assert known(cache) == "open"

    clock.pass_s(1)
    assert known(cache) == "closed"
    cache.put(OPEN, 51)
    assert known(cache) == "open"
