"""pybreaker's own class and ours, in memory and on a server, made and moved in time the same way."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Protocol
from uuid import uuid4

import pybreaker
import redis

from middleware.circuit_breakers.breaker import CircuitBreaker
from middleware.circuit_breakers.circuits import Circuits
from middleware.circuit_breakers.memory import MemoryCircuitBreakerStore
from middleware.circuit_breakers.redis import RedisCircuitBreakerStore
from middleware.circuit_breakers.storage import CircuitStorage
from middleware.circuit_breakers.store import CircuitBreakerStore
from tests.middleware.circuit_breakers.breaker_helpers import Clock, age

#: Changes of a circuit, by any class.
WRITES = (
    "record",
    "take_trial",
    "force",
    "set_state",
    "_state",
    "_fail_counter",
    "_success_counter",
    "_opened_at",
)


class Subject(Protocol):
    """Makes breakers that the same is promised of."""

    #: Whether they are ours.
    is_ours: bool
    #: Single changes that were asked of a store.
    writes: list[str]

    @property
    def reads(self) -> int:
        """How often a store was read."""

    def make(self, circuit: str = "ai", **options: Any) -> pybreaker.CircuitBreaker:
        """A breaker; two of the same circuit are as two processes have them."""

    def pass_s(self, seconds: float) -> None:
        """Let time pass for every breaker."""


class Theirs:
    """pybreaker's own class, on its storage in memory."""

    is_ours = False
    reads = 0

    def __init__(self) -> None:
        self.writes: list[str] = []
        self._storages: dict[str, CountedStorage] = {}

    def make(self, circuit: str = "ai", **options: Any) -> pybreaker.CircuitBreaker:
        storage = self._storages.setdefault(circuit, CountedStorage(self.writes))
        return pybreaker.CircuitBreaker(state_storage=storage, **options)

    def pass_s(self, seconds: float) -> None:
        for storage in self._storages.values():
            if storage.opened_at is not None:
                storage.opened_at -= timedelta(seconds=seconds)


class Ours:
    """Our class on one of our stores."""

    is_ours = True

    def __init__(self, store: CircuitBreakerStore, clock: Clock, pass_s: Callable[[float], None]) -> None:
        self.writes: list[str] = []
        self.clock = clock
        self.pass_s = pass_s
        self._store = CountedStore(store, self.writes)

    @property
    def reads(self) -> int:
        return self._store.reads

    def make(self, circuit: str = "ai", **options: Any) -> CircuitBreaker:
        circuits = Circuits(self._store, uniform=lambda low, _: low, monotonic=self.clock.monotonic)
        return CircuitBreaker(state_storage=CircuitStorage(circuits, circuit), **options)


def in_memory() -> Ours:
    """Our class on a store in memory."""
    clock = Clock()
    return Ours(MemoryCircuitBreakerStore(now_ms=clock.now_ms), clock, clock.pass_s)


def on_server(client: redis.Redis) -> Ours:
    """Our class on a server, whose time is moved as well as the process's."""
    clock, prefix = Clock(), uuid4().hex

    def pass_s(seconds: float) -> None:
        clock.pass_s(seconds)
        age(client, prefix, seconds)

    return Ours(RedisCircuitBreakerStore(client, prefix=prefix), clock, pass_s)


class CountedStorage(pybreaker.CircuitMemoryStorage):
    """pybreaker's storage, that knows how often it was written."""

    def __init__(self, writes: list[str]) -> None:
        super().__init__(pybreaker.STATE_CLOSED)
        self._writes = writes

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name in WRITES and "_writes" in vars(self):
            self._writes.append(name)


class CountedStore:
    """A store that knows how often it was asked to change something."""

    def __init__(self, store: CircuitBreakerStore, writes: list[str]) -> None:
        self._store = store
        self._writes = writes
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        if name in WRITES:
            self._writes.append(name)
        self.reads += name == "read"
        return getattr(self._store, name)


class Recorded(pybreaker.CircuitBreakerListener):
    """Every event, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.calls: list[tuple[object, object, object]] = []

    def before_call(self, cb: object, func: object, *args: object, **kwargs: object) -> None:
        self.calls.append((func, args, kwargs))
        self.events.append("before_call")

    def failure(self, cb: object, exc: BaseException) -> None:
        self.events.append(f"failure {type(exc).__name__}")

    def success(self, cb: object) -> None:
        self.events.append("success")

    def state_change(self, cb: object, old_state: Any, new_state: Any) -> None:
        self.events.append(f"{old_state.name} -> {new_state.name}")


class Refused(ValueError):
    """What the caller did wrong."""


def boom(error: BaseException | None = None) -> None:
    """Fail."""
    raise error or ConnectionError


def fail(breaker: pybreaker.CircuitBreaker, times: int = 1, error: BaseException | None = None) -> None:
    """Call so many times in vain."""
    for _ in range(times):
        with suppress(ConnectionError, Refused, pybreaker.CircuitBreakerError):
            breaker.call(boom, error)


def succeed(breaker: pybreaker.CircuitBreaker) -> str:
    """Call once with success."""
    return breaker.call(lambda: "fine")


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run work in so many threads at once; what one raises is raised."""
    errors: list[Exception] = []

    def run(number: int) -> None:
        try:
            work(number)
        except Exception as error:  # noqa: BLE001  # raised by who waits
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
