"""The circuit breakers' calls, verdicts and operators; what jobs have of them is tested next door."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.middleware import TimeLimitExceeded
from dramatiq.middleware.shutdown import Shutdown

from middleware import InvalidPayload, Parked, RateLimited, Skipped
from middleware.circuit_breakers.guard import CircuitBreakers
from middleware.circuit_breakers.memory import MemoryCircuitBreakerStore
from middleware.circuit_breakers.redis import RedisCircuitBreakerStore
from middleware.circuit_breakers.state import BreakerRule, check_key, counts_as_failure, is_control_flow
from tests.middleware.circuit_breakers.breaker_helpers import RULE, Clock, fail, make, succeed
from tests.middleware.recorded_metrics import Emitted, handling


@pytest.fixture
def clock() -> Clock:
    """The one clock of a test."""
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> CircuitBreakers:
    """Breakers whose store and cache go by the test's clock."""
    return make(MemoryCircuitBreakerStore(now_ms=clock.now_ms), clock)


@pytest.fixture
def emitted() -> Iterator[Emitted]:
    """Every metric of the test."""
    seen = Emitted()
    with handling(seen):
        yield seen


class Answered(OSError):
    """What an HTTP client raises for a status, with what the service asked for."""

    def __init__(self, status_code: int = 503, retry_after_s: float | None = None) -> None:
        self.status_code = status_code
        self.retry_after_s = retry_after_s


class Categorised(Exception):
    """An error of the domain's."""

    def __init__(self, category: str) -> None:
        self.category = category


def test_an_open_circuit_is_not_called_and_says_for_how_long(breakers: CircuitBreakers, clock: Clock) -> None:
    """After the failures the block is not entered, and the park names what it waits for."""
    fail(breakers, 2)
    clock.pass_s(10)

    with pytest.raises(Parked) as caught, breakers.calling("ai"):
        pytest.fail("it was called")

    assert (caught.value.delay_ms, caught.value.key) == (20_000, "breaker:ai")
    assert caught.value.cause == "ai is down"


def test_errors_pass_through_unchanged(breakers: CircuitBreakers) -> None:
    """What the block raises is what the caller gets, also the failure that opens the circuit."""
    error = ConnectionError()
    for _ in range(2):
        with pytest.raises(ConnectionError) as caught, breakers.calling("ai"):
            raise error
        assert caught.value is error


def test_half_open_lets_exactly_three_of_eight_workers_through(
    clock: Clock, redis_client: redis.Redis
) -> None:
    """Eight processes' breakers on one store: three calls are made, five are parked, three successes close."""
    store = RedisCircuitBreakerStore(redis_client, prefix=uuid4().hex)
    rule = BreakerRule(failures=2, open_s=0.001)
    workers = [make(store, clock, rule=rule) for _ in range(8)]
    fail(workers[0], 2)
    together, called, finish = threading.Barrier(8), threading.Semaphore(0), threading.Event()

    def call(breakers: CircuitBreakers) -> str:
        together.wait()
        clock.pass_s(1)
        try:
            with breakers.calling("ai"):
                called.release()
                assert finish.wait(10)
        except Parked as parked:
            called.release()
            return parked.cause
        return "called"

    with ThreadPoolExecutor(8) as pool:
        outcomes = [pool.submit(call, each) for each in workers]
        for _ in range(8):
            assert called.acquire(timeout=10)
        finish.set()

    said = [each.result() for each in outcomes]
    assert (said.count("called"), said.count("ai is being tried")) == (3, 5)
    assert workers[0].states()[0].state == "closed"


def test_a_failed_trial_parks_everybody_again(breakers: CircuitBreakers, clock: Clock) -> None:
    """A trial that fails is enough to wait once more."""
    fail(breakers, 2)
    clock.pass_s(31)
    fail(breakers, 1)

    with pytest.raises(Parked) as caught:
        succeed(breakers)
    assert caught.value.delay_ms == 30_000


def test_three_successful_trials_close_it(breakers: CircuitBreakers, clock: Clock) -> None:
    """After as many successes as there are trials everything is as before."""
    fail(breakers, 2)
    clock.pass_s(31)
    for _ in range(3):
        assert breakers.state("ai").state == "half-open"
        succeed(breakers)

    assert breakers.state("ai").state == "closed"
    fail(breakers, 1)
    succeed(breakers)
    fail(breakers, 1)
    assert breakers.state("ai").state == "closed"


@pytest.mark.parametrize(
    "error",
    [
        Categorised("validation"),
        Categorised("auth"),
        Categorised("cancelled"),
        Answered(400),
        Answered(404),
        Skipped("done"),
        Parked("busy", delay_ms=60_000),
        RateLimited("ask", 60),
        InvalidPayload("ask", []),
        dramatiq.Retry(delay=1),
        Shutdown(),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_what_is_not_its_fault_is_neither_failure_nor_success(
    breakers: CircuitBreakers, error: BaseException
) -> None:
    """It does not open the circuit, and it does not begin the count again."""
    for _ in range(3):
        with suppress(BaseException), breakers.calling("ai"):
            raise error
    assert (breakers.state("ai").state, breakers.state("ai").failures) == ("closed", 0)

    fail(breakers, 1)
    with suppress(BaseException), breakers.calling("ai"):
        raise error
    fail(breakers, 1)
    assert breakers.state("ai").state == "open"


@pytest.mark.parametrize(
    "error",
    [
        Categorised("network"),
        Categorised("timeout"),
        Answered(429),
        Answered(500),
        ValueError(),
        TimeoutError(),
        TimeLimitExceeded(),
    ],
    ids=repr,
)
def test_what_is_its_fault_counts(error: BaseException) -> None:
    """Everything else is a failure, a job's time limit among it."""
    assert not is_control_flow(error)
    assert counts_as_failure(error)


def test_the_status_of_a_response_is_read() -> None:
    """Clients that hang the status on the response are understood."""
    error = OSError()
    error.response = Answered(422)  # type: ignore[attr-defined]

    assert not counts_as_failure(error)


def test_ones_own_predicate_decides_what_counts(clock: Clock) -> None:
    """Given `counts`, only what it says is a failure."""
    store = MemoryCircuitBreakerStore(now_ms=clock.now_ms)
    breakers = make(store, clock, counts=lambda error: isinstance(error, TimeoutError))

    fail(breakers, 5, error=ConnectionError())
    assert breakers.state("ai").state == "closed"
    fail(breakers, 2, error=TimeoutError())
    assert breakers.state("ai").state == "open"


def test_a_trial_that_says_nothing_makes_room_for_another(breakers: CircuitBreakers, clock: Clock) -> None:
    """Any number of callers' own faults leave the three trials to those that tell something."""
    fail(breakers, 2)
    clock.pass_s(31)
    for _ in range(5):
        with suppress(Categorised), breakers.calling("ai"):
            raise Categorised("validation")

    for _ in range(3):
        succeed(breakers)
    assert breakers.state("ai").state == "closed"


@pytest.mark.parametrize(("asked_s", "state"), [(5, "closed"), (6, "open")])
def test_a_long_retry_after_opens_the_circuit_until_then(
    breakers: CircuitBreakers, asked_s: float, state: str
) -> None:
    """Over five seconds it parks at once; up to five it is one failure."""
    fail(breakers, 1, error=Answered(429, retry_after_s=asked_s))

    assert breakers.state("ai").state == state
    if state == "open":
        with pytest.raises(Parked) as caught:
            succeed(breakers)
        assert caught.value.delay_ms == 6_000


def test_no_circuit_is_open_for_more_than_a_day(breakers: CircuitBreakers) -> None:
    """A `Retry-After` of a year is a day."""
    fail(breakers, 1, error=Answered(503, retry_after_s=365 * 86_400))

    assert breakers.state("ai").wait_ms == 86_400_000


def test_hosts_have_circuits_of_their_own(breakers: CircuitBreakers) -> None:
    """A customer's dead site does not stop the others."""
    fail(breakers, 2, "publish:wordpress:dead.example")

    succeed(breakers, "publish:wordpress:live.example:8080")
    with pytest.raises(Parked):
        succeed(breakers, "publish:wordpress:dead.example")


def test_orgs_have_circuits_of_their_own_where_the_rule_says_so(clock: Clock) -> None:
    """An org's failures park only that org, and only for that dependency."""
    store = MemoryCircuitBreakerStore(now_ms=clock.now_ms)
    breakers = make(store, clock, rules={"ai": BreakerRule(failures=1, per_org=True)})
    with suppress(OSError), breakers.calling("ai", org="one"):
        raise OSError

    with pytest.raises(Parked), breakers.calling("ai", org="one"):
        pass
    with breakers.calling("ai", org="two"), breakers.calling("ai"):
        pass
    assert breakers.state("ai", org="one").key == "ai@one"
    assert breakers.state("ai", org="one").dependency == "ai"


def test_the_breaker_of_one_dependency_can_be_handed_on(breakers: CircuitBreakers) -> None:
    """It guards the same circuit as the guard itself."""
    one = breakers["publish:wordpress:example.org"]
    for _ in range(2):
        with suppress(OSError), one.calling():
            raise OSError
    assert (one.key, one.circuit.state) == ("publish:wordpress:example.org", "open")
    with pytest.raises(Parked):
        succeed(breakers, one.key)


def test_other_processes_know_within_a_second(clock: Clock) -> None:
    """What one learns the others have read when their reading is a second old."""
    store = MemoryCircuitBreakerStore(now_ms=clock.now_ms)
    one, other = make(store, clock), make(store, clock)
    assert other.state("ai").state == "closed"
    fail(one, 2)
    assert one.state("ai").state == "open"

    clock.pass_s(1)

    assert other.state("ai").state == "open"


def test_an_expired_circuit_is_closed_for_those_who_knew_it(breakers: CircuitBreakers, clock: Clock) -> None:
    """An old opening that nobody tried ends in every process, although nothing was written."""
    fail(breakers, 2)
    clock.pass_s(40)
    assert breakers.state("ai").state == "half-open"

    clock.pass_s(600)

    assert breakers.state("ai").state == "closed"


@pytest.mark.parametrize("key", ["", "a b", "ai:", ":ai", "ai@org", "ai/x"])
def test_a_key_that_is_none_is_refused(breakers: CircuitBreakers, key: str) -> None:
    """The message says how keys look."""
    with pytest.raises(ValueError, match="like 'ai' or 'publish:wordpress:"):
        breakers.calling(key)
    with pytest.raises(ValueError, match="in parts joined by ':'"):
        check_key(None)


@pytest.mark.parametrize(
    ("make_it", "fix"),
    [
        (lambda: BreakerRule(failures=0), "failures must be at least 1, not 0"),
        (lambda: BreakerRule(trials=0), "trials must be at least 1, not 0"),
        (lambda: BreakerRule(open_s=0), r"open_s must be 0.001 to 86400, not 0"),
        (lambda: make(None, Clock(), rules={"a:b": RULE}), "by the first part of a key: 'a', not 'a:b'"),
        (lambda: make(None, Clock(), refresh_s=0), "refresh_s must be more than 0, not 0"),
        (lambda: make(None, Clock(), on_error="ignore"), "on_error must be 'park' or 'allow'"),
    ],
)
def test_nonsensical_settings_are_refused(make_it: Callable[[], object], fix: str) -> None:
    """The mistake is named where it was made."""
    with pytest.raises(ValueError, match=fix):
        make_it()


def test_operators_hold_it_open_and_let_it_go(breakers: CircuitBreakers) -> None:
    """Jobs look again every half minute, with the operator's reason for all to see."""
    breakers.force_open("ai", "billing dispute", who="ada")

    with pytest.raises(Parked) as caught:
        succeed(breakers)
    assert caught.value.delay_ms == 30_000
    (state,) = breakers.states()
    assert (state.key, state.state, state.forced) == ("ai", "open", "open")
    assert (state.reason, state.who, state.until_ms) == ("billing dispute", "ada", None)
    assert state.since_ms is not None

    breakers.reset("ai", "paid", who="ada")
    succeed(breakers)
    assert breakers.states()[0].reason == "paid"


def test_operators_hold_it_closed(breakers: CircuitBreakers) -> None:
    """Calls are made however many fail."""
    fail(breakers, 2)
    breakers.force_closed("ai", "the alarm is false")

    fail(breakers, 5)
    succeed(breakers)


def test_an_operators_word_on_a_part_holds_for_the_whole(clock: Clock) -> None:
    """Forcing `publish` holds for every host and every org, and for nothing else."""
    store = MemoryCircuitBreakerStore(now_ms=clock.now_ms)
    breakers = make(store, clock, rules={"publish": BreakerRule(per_org=True)})
    breakers.force_open("publish", "legal")

    for key in ("publish", "publish:wordpress", "publish:wordpress:example.org"):
        with pytest.raises(Parked) as caught, breakers.calling(key, org="one"):
            pass
        assert caught.value.key == f"breaker:{key}@one"
    succeed(breakers, "publisher")


def test_forcing_takes_a_reason_and_a_key(breakers: CircuitBreakers) -> None:
    """Who comes after must be able to read why."""
    with pytest.raises(ValueError, match="say the reason"):
        breakers.force_open("ai", " ")
    with pytest.raises(ValueError, match="a dependency is letters"):
        breakers.reset("a b", "why not")


def test_transitions_and_the_worst_state_are_emitted(
    breakers: CircuitBreakers,
    clock: Clock,
    emitted: Emitted,
) -> None:
    """Hosts share a label; the gauge shows the worst of them and follows time."""
    fail(breakers, 2, "publish:wordpress:one.example")
    clock.pass_s(31)
    breakers.state("ai")
    for _ in range(3):
        succeed(breakers, "publish:wordpress:one.example")

    transitions = emitted.labels_of("breaker_transitions_total")
    went = [labels["to"] for labels in transitions if labels["dependency"] == "publish"]
    assert went == ["open", "half-open", "closed"]
    gauge = emitted.of("breaker_state", dependency="publish")
    assert [value for value, before in zip(gauge, [None, *gauge], strict=False) if value != before] == [
        0,
        2,
        1,
        0,
    ]
