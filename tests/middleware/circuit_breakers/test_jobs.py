"""The circuit breakers in front of jobs, on Dramatiq's stub broker and on a real server."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import AsyncIO, Middleware

from middleware import Guard, Parked, Retries, StoreUnavailable
from middleware.circuit_breakers.errors import InvalidDependency
from middleware.circuit_breakers.guard import CircuitBreakers
from middleware.circuit_breakers.memory import MemoryCircuitBreakerStore
from middleware.circuit_breakers.redis import RedisCircuitBreakerStore
from middleware.circuit_breakers.state import BreakerRule
from middleware.circuit_breakers.store import CircuitBreakerStore, Reading
from tests.middleware.brokers import replace_stack, stored, work
from tests.middleware.circuit_breakers.breaker_helpers import RULE, Clock, fail, make, round_trips, succeed
from tests.middleware.own_server import own_valkey
from tests.middleware.recorded_metrics import Emitted, handling

#: Open for a moment only, for tests on real clocks.
BRIEF = BreakerRule(failures=1, open_s=0.3)


@pytest.fixture
def clock() -> Clock:
    """The one clock of a test."""
    return Clock()


@pytest.fixture
def emitted() -> Iterator[Emitted]:
    """Every metric of the test."""
    seen = Emitted()
    with handling(seen):
        yield seen


class Service:
    """An actor that calls a dependency through a guard on real clocks, and what became of it."""

    def __init__(
        self,
        broker: dramatiq.Broker,
        *behind: Middleware,
        rule: BreakerRule = BRIEF,
        store: CircuitBreakerStore | None = None,
        depends_on: object = None,
        **options: object,
    ) -> None:
        self.broker = broker
        self.queue = f"q{uuid4().hex}"
        self.calls = 0
        self.starts = 0
        self.answer: Callable[[], None] = lambda: None
        self.breakers = CircuitBreakers(
            store or MemoryCircuitBreakerStore(),
            rule=rule,
            uniform=lambda low, _: low,
            undecided_delay_ms=100,
            **options,  # type: ignore[arg-type]
        )
        replace_stack(broker, self.breakers, *behind, Retries(max_retries=0))

        @dramatiq.actor(broker=broker, queue_name=self.queue, depends_on=depends_on)
        def ask() -> None:
            self.starts += 1
            with self.breakers.calling("ai"):
                self.calls += 1
                self.answer()

        self.ask = ask

    def work(self, threads: int = 1) -> None:
        work(self.broker, self.queue, threads=threads)


def parks(emitted: Emitted) -> list[str]:
    """Why messages were parked, in order."""
    return [labels["cause"] for labels in emitted.labels_of("messages_parked_total")]


def test_a_job_that_depends_on_it_waits_before_it_starts(
    bare_broker: dramatiq.Broker, emitted: Emitted
) -> None:
    """It starts once, when the circuit may close, and has no attempt less: it has none to lose."""
    service = Service(bare_broker, depends_on=["ai", "mail"])
    fail(service.breakers, 1)
    service.ask.send()

    service.work()

    assert parks(emitted) == ["breaker"]
    assert (service.starts, service.calls) == (1, 1)


def test_a_message_may_name_what_it_depends_on(bare_broker: dramatiq.Broker, emitted: Emitted) -> None:
    """What is known when it is sent, like the host, is waited for too."""
    service = Service(bare_broker)
    fail(service.breakers, 1, "publish:wordpress:dead.example")
    service.ask.send_with_options(depends_on="publish:wordpress:dead.example")

    service.work()

    assert parks(emitted) == ["breaker"]
    assert service.starts == 1


def test_a_job_that_finds_it_open_halfway_comes_back_without_using_a_retry(
    bare_broker: dramatiq.Broker, emitted: Emitted
) -> None:
    """Without `depends_on` it starts twice and calls once, with no retries to lose."""
    service = Service(bare_broker)
    fail(service.breakers, 1)
    service.ask.send()

    service.work()

    assert parks(emitted) == ["breaker"]
    assert (service.starts, service.calls) == (2, 1)


def test_half_open_starts_no_more_jobs_than_there_are_trials(bare_broker: dramatiq.Broker) -> None:
    """Of eight threads with a job each three begin; the others wait for how those end."""
    service = Service(bare_broker, rule=BreakerRule(failures=1, open_s=0.001), depends_on="ai")
    fail(service.breakers, 1)
    begun, finish = threading.Semaphore(0), threading.Event()
    most: list[int] = []

    def answer() -> None:
        begun.release()
        assert finish.wait(10)

    def watch() -> None:
        for _ in range(3):
            assert begun.acquire(timeout=10)
        # Whoever else is let in would be in by then.
        fourth = begun.acquire(timeout=0.3)
        most.append(3 + fourth)
        finish.set()

    service.answer = answer
    for _ in range(8):
        service.ask.send()
    watcher = threading.Thread(target=watch)
    watcher.start()
    service.work(threads=8)
    watcher.join()

    assert most == [3]
    assert service.calls == 8
    assert service.breakers.state("ai").state == "closed"


class ParksOnce(Guard):
    """Stands behind and parks each job the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.parked: set[str] = set()

    def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        if message.message_id not in self.parked:
            self.parked.add(message.message_id)
            raise Parked("once", delay_ms=1)


def test_a_job_that_does_not_run_after_all_gives_its_trial_back(bare_broker: dramatiq.Broker) -> None:
    """Trials of jobs that a later guard parks are free at once, not when their leases end."""
    rule = BreakerRule(failures=1, open_s=0.001, trials=1, trial_lease_s=600)
    service = Service(bare_broker, ParksOnce(), rule=rule, depends_on="ai")
    fail(service.breakers, 1)
    service.ask.send()

    service.work()

    assert (service.starts, service.calls) == (1, 1)
    assert service.breakers.state("ai").state == "closed"


def test_a_trial_of_one_dependency_is_given_back_when_another_is_being_tried(clock: Clock) -> None:
    """A job that needs two and gets one keeps none."""
    store = MemoryCircuitBreakerStore(now_ms=clock.now_ms)
    rule = BreakerRule(failures=1, trials=1)
    breakers = make(store, clock, rule=rule)
    for key in ("ai", "mail"):
        fail(breakers, 1, key)
    clock.pass_s(31)
    message: dramatiq.Message[None] = dramatiq.Message("q", "ask", (), {}, {"depends_on": ["ai", "mail"]})

    with breakers.calling("mail"):
        with pytest.raises(Parked, match="mail is being tried"):
            breakers.admit(StubBroker(), MessageProxy(message))

        assert store.take_trial("ai", "somebody else", rule).granted


def test_no_trial_is_taken_while_another_dependency_is_open(clock: Clock) -> None:
    """A job that cannot run anyway does not use up, or even begin, the trials of what is half-open."""
    store = MemoryCircuitBreakerStore(now_ms=clock.now_ms)
    breakers = make(store, clock)
    fail(breakers, 2, "ai")
    clock.pass_s(31)
    breakers.force_open("mail", "test")
    message: dramatiq.Message[None] = dramatiq.Message("q", "ask", (), {}, {"depends_on": ["ai", "mail"]})

    with pytest.raises(Parked, match="mail is down"):
        breakers.admit(StubBroker(), MessageProxy(message))

    assert store.take_trial("ai", "the first", RULE).first


def test_the_orgs_circuit_is_found_from_the_message(bare_broker: dramatiq.Broker, emitted: Emitted) -> None:
    """With circuits per org, a job counts and waits for its own org's."""
    service = Service(bare_broker, rule=BreakerRule(failures=1, open_s=0.3, per_org=True), depends_on="ai")
    with suppress(OSError), service.breakers.calling("ai", org="down"):
        raise OSError
    service.ask.send_with_options(org="down")
    service.ask.send_with_options(org="up")

    service.work()

    assert parks(emitted) == ["breaker"]
    assert service.starts == 2


def test_an_async_job_calls_with_its_own_org_and_trial(bare_broker: dramatiq.Broker) -> None:
    """Its coroutine runs in another thread; of one trial in the fleet it is the one that it was admitted with."""
    rule = BreakerRule(failures=1, open_s=0.001, trials=1, trial_lease_s=600, per_org=True)
    service = Service(bare_broker, AsyncIO(), rule=rule)
    starts: list[str] = []

    @dramatiq.actor(broker=bare_broker, queue_name=service.queue, depends_on="ai")
    async def ask_in_a_coroutine() -> None:
        starts.append("started")
        with service.breakers.calling("ai"):
            await asyncio.sleep(0)

    with suppress(OSError), service.breakers.calling("ai", org="down"):
        raise OSError
    ask_in_a_coroutine.send_with_options(org="down")

    service.work()

    assert starts == ["started"]
    assert service.breakers.state("ai", org="down").state == "closed"


@pytest.mark.parametrize("depends_on", ["a b", ["ai", ""], 7])
def test_a_dependency_that_cannot_be_one_is_refused_where_it_is_written(
    bare_broker: dramatiq.Broker, depends_on: object
) -> None:
    """The declaration of the actor fails, and so does the send."""
    with pytest.raises(InvalidDependency, match="depends_on: "):
        Service(bare_broker, depends_on=depends_on)

    replace_stack(bare_broker)
    service = Service(bare_broker)
    with pytest.raises(InvalidDependency, match="depends_on: "):
        service.ask.send_with_options(depends_on=depends_on)
    assert stored(bare_broker, service.queue) == []


def test_a_closed_circuit_costs_no_round_trip() -> None:
    """A hundred successful calls ask nothing; a failure is one question, and so is the success after it."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        breakers = CircuitBreakers(RedisCircuitBreakerStore(client), refresh_s=60)
        for key in ("ai", "mail"):
            # A script is loaded when it is first used, which costs more.
            fail(breakers, 1, key)
        succeed(breakers)
        before = round_trips(client)
        for _ in range(100):
            succeed(breakers)
        after_successes = round_trips(client)
        fail(breakers, 1)
        after_failure = round_trips(client)
        succeed(breakers)
        succeed(breakers)
        after_all = round_trips(client)

    assert (after_successes - before, after_failure - after_successes, after_all - after_failure) == (0, 1, 1)


def test_one_thread_refreshes_while_the_others_use_what_is_known(clock: Clock) -> None:
    """A store that takes its time holds up one thread, not eight."""
    store = Slow(MemoryCircuitBreakerStore(now_ms=clock.now_ms))
    breakers = make(store, clock)
    store.go.set()
    breakers.state("ai")
    store.go.clear()
    clock.pass_s(1)

    with ThreadPoolExecutor(1) as pool:
        refreshing = pool.submit(breakers.state, "ai")
        assert store.asked.acquire(timeout=10)
        for _ in range(7):
            assert breakers.state("ai").state == "closed"
        store.go.set()
        assert refreshing.result(10).state == "closed"
    assert store.reads == 2


class Slow(MemoryCircuitBreakerStore):
    """A store that answers when the test says so."""

    def __init__(self, store: MemoryCircuitBreakerStore) -> None:
        self._inner = store
        self.go = threading.Event()
        self.asked = threading.Semaphore(0)
        self.reads = 0

    def read(self, known_version: str | None) -> Reading | None:
        if self.reads:
            self.asked.release()
        self.reads += 1
        assert self.go.wait(10)
        return self._inner.read(known_version)


@pytest.mark.parametrize("depends_on", [None, "ai"])
@pytest.mark.parametrize("on_error", ["park", "allow"])
def test_while_the_store_is_away_jobs_wait_or_run_as_chosen(
    bare_broker: dramatiq.Broker, emitted: Emitted, on_error: str, depends_on: str | None
) -> None:
    """Parked until it is back, or run unguarded; nothing is lost, and afterwards circuits work again."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        service = Service(
            bare_broker,
            store=RedisCircuitBreakerStore(client),
            depends_on=depends_on,
            on_error=on_error,
            refresh_s=0.01,
        )
        server.stop()
        came_back: list[int] = []

        class Returns(dramatiq.Middleware):
            def before_enqueue(self, broker: dramatiq.Broker, message: object, delay: int | None) -> None:
                if delay and not came_back:
                    came_back.append(service.calls)
                    server.start()

        bare_broker.add_middleware(Returns())
        service.ask.send()
        service.work()

        assert service.calls == 1
        assert came_back == ([0] if on_error == "park" else [])
        assert emitted.of("guard_errors_total", guard="CircuitBreakers")

        server.start()
        with suppress(StoreUnavailable):
            service.breakers.states()
        assert service.breakers.force_open("ai", "test").state == "open"


def test_a_call_that_was_made_is_not_undone_by_a_store_that_is_gone(clock: Clock) -> None:
    """The outcome reaches the caller though it cannot be counted."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        breakers = make(RedisCircuitBreakerStore(client), clock)
        error = OSError()

        def call() -> None:
            with breakers.calling("ai"):
                server.stop()
                raise error

        with pytest.raises(OSError) as caught:  # noqa: PT011  # this very object
            call()
        assert caught.value is error

        clock.pass_s(1)
        with pytest.raises(Parked, match="store does not answer"):
            succeed(breakers)
        server.start()
        clock.pass_s(1)
        succeed(breakers)
