"""The breaker of a dependency: what it has beyond pybreaker's, and as a part of the guard."""

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, assert_type, cast

import dramatiq
import pybreaker
import pytest
import redis
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker

from middleware import BreakerRule, Parked, StoreUnavailable
from middleware.circuit_breakers.breaker import CircuitBreaker
from middleware.circuit_breakers.errors import CircuitOpen
from middleware.circuit_breakers.guard import CircuitBreakers
from middleware.circuit_breakers.memory import MemoryCircuitBreakerStore
from middleware.circuit_breakers.redis import RedisCircuitBreakerStore
from middleware.circuit_breakers.storage import CircuitStorage
from tests.middleware.circuit_breakers.breaker_helpers import Clock, ask, fail, make, round_trips, succeed
from tests.middleware.circuit_breakers.subjects import Recorded, in_memory, in_threads
from tests.middleware.own_server import own_valkey
from tests.middleware.recorded_metrics import Emitted, handling


@pytest.fixture
def clock() -> Clock:
    """The one clock of a test."""
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> CircuitBreakers:
    """Breakers that two failures open, whose store and cache go by the test's clock."""
    return make(MemoryCircuitBreakerStore(now_ms=clock.now_ms), clock)


def test_what_an_open_circuit_raises_is_caught_by_both_worlds(breakers: CircuitBreakers) -> None:
    """Guards park for it, pybreaker's users fall back for it, and it says when to come back and what it waits for."""
    fail(breakers, 2)

    with pytest.raises(CircuitOpen) as caught:
        breakers["ai"].call(pytest.fail, "it was called")

    assert isinstance(caught.value, Parked)
    assert isinstance(caught.value, pybreaker.CircuitBreakerError)
    assert (caught.value.delay_ms, caught.value.key) == (30_000, "breaker:ai")


def test_the_call_that_opens_it_says_why_where_that_is_asked_for() -> None:
    """With `throw_new_error_on_trip` the error is the cause of what is raised."""
    breaker, error = CircuitBreaker(fail_max=1), ConnectionError()

    with pytest.raises(CircuitOpen) as caught, breaker.calling():
        raise error

    assert caught.value.__cause__ is error
    assert caught.value.delay_ms > 59_000


def test_the_guards_breaker_raises_the_error_itself(breakers: CircuitBreakers) -> None:
    """The failure that opens a circuit is the job's own to handle."""
    for _ in range(2):
        with pytest.raises(ConnectionError):
            asyncio.run(breakers["ai"].call_async(ask, ""))

    assert breakers.state("ai").state == "open"


def test_it_is_the_same_object_each_time(breakers: CircuitBreakers) -> None:
    """Also when a thousand other keys were called in between: its listeners and exclusions stay."""
    heard = Recorded()
    succeed(breakers)
    breakers["ai"].add_listener(heard)
    breakers["ai"].add_excluded_exception(TimeoutError)
    for number in range(1_100):
        succeed(breakers, f"publish:site{number}")

    with suppress(TimeoutError), breakers.calling("ai"):
        raise TimeoutError

    assert breakers["ai"] is breakers["ai"]
    assert heard.events == ["before_call"]
    assert breakers.state("ai").failures == 0


def test_the_guards_listeners_are_every_breakers(clock: Clock) -> None:
    """They are given the breaker."""
    opened: list[str | None] = []

    class Opened(pybreaker.CircuitBreakerListener):
        def state_change(self, cb: pybreaker.CircuitBreaker, old_state: object, new_state: object) -> None:
            opened.append(cb.name)

    breakers = make(MemoryCircuitBreakerStore(now_ms=clock.now_ms), clock, listeners=[Opened()])
    fail(breakers, 2, "ai")
    fail(breakers, 2, "publish:wordpress:example.org")

    assert opened == ["ai", "publish:wordpress:example.org"]


def test_its_numbers_are_those_of_the_rule(clock: Clock) -> None:
    """Changed on the breaker, they hold for its calls and for the jobs that are admitted."""
    breakers = make(MemoryCircuitBreakerStore(now_ms=clock.now_ms), clock, rule=BreakerRule(failures=4))
    breaker = breakers["ai"]
    assert (breaker.fail_max, breaker.reset_timeout, breaker.success_threshold) == (4, 30, 3)

    breaker.fail_max = 1
    fail(breakers, 1)
    assert breakers.state("ai").state == "open"

    clock.pass_s(31)
    breaker.success_threshold = 1
    message: dramatiq.Message[None] = dramatiq.Message("q", "ask", (), {}, {"depends_on": "ai"})
    breakers.admit(StubBroker(), MessageProxy(message))
    with pytest.raises(CircuitOpen, match="ai is being tried"):
        breakers.admit(StubBroker(), MessageProxy(message))

    with pytest.raises(ValueError, match="failures must be at least 1, not 0"):
        breaker.fail_max = 0


def test_an_orgs_own_circuit_is_the_breakers(clock: Clock) -> None:
    """Where orgs have their own, one breaker is for all of them, and listeners see each opening once."""
    heard = Recorded()
    breakers = make(
        MemoryCircuitBreakerStore(now_ms=clock.now_ms), clock, rule=BreakerRule(failures=1, per_org=True)
    )
    breakers["ai"].add_listener(heard)
    with pytest.raises(OSError, match="down"), breakers["ai"].calling(org="one"):
        raise OSError("down")
    for _ in range(2):
        with breakers["ai"].calling(org="two"):
            pass
        with pytest.raises(CircuitOpen), breakers["ai"].calling(org="one"):
            pass

    assert [event for event in heard.events if "->" in event] == ["closed -> open"]


@pytest.mark.parametrize("forced", ["open", "closed"])
def test_what_an_operator_holds_the_program_does_not_set(breakers: CircuitBreakers, forced: str) -> None:
    """`open`, `half_open` and `close` change what goes on by itself."""
    getattr(breakers, f"force_{forced}")("ai", "because", who="ada")

    for set_state in (breakers["ai"].open, breakers["ai"].half_open, breakers["ai"].close):
        set_state()
        assert (breakers["ai"].current_state, breakers["ai"].circuit.who) == (forced, "ada")


def test_when_it_opened_is_known_while_it_is_open(breakers: CircuitBreakers, clock: Clock) -> None:
    """By the store's clock, as a storage of pybreaker's says it."""
    storage = breakers["ai"]._state_storage
    while_closed = storage.opened_at
    fail(breakers, 2)
    opened_at = storage.opened_at

    assert while_closed is None
    assert opened_at is not None
    assert opened_at.timestamp() * 1_000 == clock.ms


def test_pybreakers_own_class_cannot_use_the_storage() -> None:
    """Its steps would count nothing; the first call says so."""
    breaker = pybreaker.CircuitBreaker(state_storage=CircuitStorage(MemoryCircuitBreakerStore(), "ai"))

    with pytest.raises(TypeError, match="use CircuitBreaker of this library"):
        breaker.call(int)


def test_another_storage_is_refused() -> None:
    """What is written in steps cannot keep what is promised."""
    storage: Any = pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED)

    with pytest.raises(TypeError, match="must be a CircuitStorage, not CircuitMemoryStorage"):
        CircuitBreaker(state_storage=storage)


def test_the_state_is_not_assigned(breakers: CircuitBreakers) -> None:
    """What pybreaker does so is done by name."""
    with pytest.raises(AttributeError, match="open, half_open or close"):
        breakers["ai"].state = cast("Any", "open")


def test_an_option_that_is_none_is_refused(breakers: CircuitBreakers) -> None:
    """A misspelt one would change nothing."""
    with pytest.raises(TypeError, match="unknown options: call_async"):
        breakers["ai"](call_async=True)


def test_a_listener_that_fails_leaves_no_trial_taken(clock: Clock) -> None:
    """A call that is not made for it gives its trial back."""

    class Fails(pybreaker.CircuitBreakerListener):
        def before_call(self, cb: object, func: object, *args: object, **kwargs: object) -> None:
            raise LookupError

    store = MemoryCircuitBreakerStore(now_ms=clock.now_ms)
    rule = BreakerRule(failures=1, trials=1)
    breakers = make(store, clock, rule=rule)
    fail(breakers, 1)
    clock.pass_s(31)
    listener = Fails()
    breakers["ai"].add_listener(listener)
    with pytest.raises(LookupError):
        breakers["ai"].call(int)
    breakers["ai"].remove_listener(listener)

    succeed(breakers)

    assert breakers.state("ai").state == "closed"


def test_an_excluding_function_that_fails_hides_no_error(clock: Clock) -> None:
    """What was called has ended; that it cannot be judged is counted for the guard."""

    def fails(error: BaseException) -> bool:
        raise LookupError

    breakers = make(MemoryCircuitBreakerStore(now_ms=clock.now_ms), clock, counts=fails)
    emitted = Emitted()

    with handling(emitted), pytest.raises(ConnectionError):
        asyncio.run(breakers["ai"].call_async(ask, ""))

    assert breakers.state("ai").failures == 0
    assert emitted.of("guard_errors_total", guard="CircuitBreakers", decision="record") == [1]


def test_a_listener_may_remove_itself(breakers: CircuitBreakers) -> None:
    """Those behind it are called all the same."""

    class Leaves(pybreaker.CircuitBreakerListener):
        def success(self, cb: pybreaker.CircuitBreaker) -> None:
            cb.remove_listener(self)

    heard = Recorded()
    breakers["ai"].add_listeners(Leaves(), heard)
    succeed(breakers)

    assert heard.events == ["before_call", "success"]
    assert breakers["ai"].listeners == (heard,)


def test_a_success_that_began_before_it_opened_writes_nothing() -> None:
    """Nothing would be different for it, though failures stay counted while it is open."""
    subject = in_memory()
    breaker = subject.make(fail_max=1)

    def late() -> None:
        with suppress(pybreaker.CircuitBreakerError):
            breaker.call(lambda: 1 / 0)
        subject.writes.clear()

    breaker.call(late)

    assert (breaker.current_state, subject.writes) == ("open", [])


@pytest.mark.parametrize("on_error", ["park", "allow"])
def test_without_its_store_calls_are_refused_or_made_as_chosen(on_error: Any) -> None:
    """Both worlds see that nothing was called; unguarded, the result is the caller's."""

    class Away:
        def __getattr__(self, name: str) -> Callable[..., object]:
            def unavailable(*_: object, **__: object) -> object:
                raise StoreUnavailable

            return unavailable

    storage = CircuitStorage(cast("Any", Away()), "ai")
    breaker = CircuitBreaker(state_storage=storage, on_error=on_error, undecided_delay_ms=7)

    if on_error == "allow":
        assert breaker.call(int, "7") == 7
        return
    with pytest.raises(CircuitOpen, match="store does not answer") as caught:
        breaker.call(pytest.fail, "it was called")
    assert (caught.value.delay_ms, caught.value.key) == (7, "breaker:ai")


def test_a_closed_circuit_costs_no_round_trip_however_it_is_called() -> None:
    """A hundred calls of each kind ask the server nothing, and a failure asks it once."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        breaker = CircuitBreakers(RedisCircuitBreakerStore(client), refresh_s=60)["ai"]
        breaker.add_listener(Recorded())
        asyncio.run(_fail_once(breaker))
        succeed_in_each_way(breaker)
        before = round_trips(client)
        for _ in range(100):
            succeed_in_each_way(breaker)
        after_successes = round_trips(client)
        asyncio.run(_fail_once(breaker))
        after_failure = round_trips(client)

    assert (after_successes - before, after_failure - after_successes) == (0, 1)


def succeed_in_each_way(breaker: CircuitBreaker) -> None:
    """Call, await and enter a block."""
    breaker.call(int)
    asyncio.run(breaker.call_async(ask, "tea"))
    with breaker.calling():
        pass


async def _fail_once(breaker: CircuitBreaker) -> None:
    with suppress(ConnectionError):
        await breaker.call_async(ask, "")


def test_type_checkers_see_through_it(breakers: CircuitBreakers) -> None:
    """A decorated function has its own signature, and a call its own result."""
    breaker = breakers["ai"]

    def double(number: int) -> int:
        return 2 * number

    decorated: Callable[[int], int] = breaker(double)
    again: Callable[[int], int] = breaker()(double)
    awaited: Callable[[str], Coroutine[Any, Any, str]] = breaker(ask)

    assert_type(breaker.call(double, 2), int)
    assert (decorated(2), again(2)) == (4, 4)
    assert asyncio.run(awaited("tea")) == "tea"
    assert inspect.iscoroutinefunction(awaited)
    with suppress(TypeError):
        breaker.call(double, "two words")  # type: ignore[arg-type]


def test_listeners_see_a_change_once_however_many_threads_notice_it(clock: Clock) -> None:
    """Eight threads find the circuit open at once, and the change is one event."""
    store = MemoryCircuitBreakerStore(now_ms=clock.now_ms)
    fail(make(store, clock), 2)
    heard, together = Recorded(), threading.Barrier(8)
    breaker = make(store, clock)["ai"]
    breaker.add_listener(heard)

    def call(_: int) -> None:
        together.wait(10)
        with suppress(CircuitOpen):
            breaker.call(int)

    in_threads(8, call)

    assert heard.events == ["closed -> open"]
