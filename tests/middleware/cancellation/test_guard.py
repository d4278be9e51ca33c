"""The cancellation guard, on Dramatiq's stub broker and on a real server."""

import asyncio
import threading
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries as DramatiqRetries

from middleware import Retries, Skipped, StoreUnavailable
from middleware.base.attempts import Attempt
from middleware.base.interrupts import Cancelled
from middleware.base.observer import Observer
from middleware.base.poller import Poller
from middleware.cancellation.guard import Cancellation, checkpoint
from middleware.cancellation.memory import MemoryCancellationStore
from middleware.cancellation.redis import RedisCancellationStore
from middleware.cancellation.requests import CancellationClient, Changes
from tests.middleware.brokers import replace_stack, work
from tests.middleware.cancellation.cancellable_broker import Outcomes, Rig
from tests.middleware.eventually import eventually
from tests.middleware.own_server import own_valkey
from tests.middleware.recorded_metrics import Emitted, handling


@pytest.fixture
def rig(bare_broker: dramatiq.Broker) -> Rig:
    """The guard above retries and callbacks."""
    return Rig(bare_broker)


def test_a_queued_message_is_done_without_running(rig: Rig) -> None:
    """It is no dead letter, no success, and its neighbour runs."""
    rig.declare()
    rig.ask.cancel(rig.send(argument="unwanted"))
    rig.send(argument="wanted")

    with handling(emitted := Emitted()):
        rig.work()

    assert rig.ran == ["wanted"]
    assert rig.outcomes.seen == ["cancelled", "succeeded"]
    assert rig.dead() == 0
    labels = {"actor": "job", "queue": rig.queue, "cause": "waiting"}
    assert emitted.labels_of("messages_cancelled_total") == [labels]


def test_a_delayed_message_is_found_when_it_comes_due(rig: Rig) -> None:
    """The delay is no hiding place."""
    rig.declare()
    rig.ask.cancel(rig.send(delay=50))

    rig.work()

    assert rig.ran == []
    assert rig.outcomes.seen == ["cancelled"]


def test_a_message_between_two_attempts_is_found(rig: Rig) -> None:
    """A retry of a cancelled message does not run."""

    def fail() -> None:
        rig.ask.cancel(sent[0])
        rig.flags.poll_now()
        raise ConnectionError

    rig.declare(body=fail)
    sent = [rig.send()]

    rig.work()

    assert rig.outcomes.seen == ["retried", "cancelled"]
    assert rig.dead() == 0


def test_a_running_job_stops_at_its_next_checkpoint(rig: Rig) -> None:
    """It is not tried again and is no dead letter."""

    def loop() -> None:
        rig.ask.cancel(sent[0])
        checkpoint()
        rig.ran.append("not known here yet")
        rig.flags.poll_now()
        checkpoint()

    rig.declare(body=loop)
    sent = [rig.send()]

    with handling(emitted := Emitted()):
        rig.work()

    assert rig.ran == ["not known here yet"]
    assert rig.outcomes.seen == ["cancelled"]
    assert rig.dead() == 0
    assert emitted.of("messages_cancelled_total", cause="running") == [1]


def test_a_job_that_catches_everything_does_not_swallow_it_by_accident(rig: Rig) -> None:
    """`except Exception`, as for one item of many, lets it through."""

    def loop() -> None:
        rig.ask.cancel(sent[0])
        rig.flags.poll_now()
        try:
            checkpoint()
        except Exception:  # noqa: BLE001  # what the test is about
            rig.ran.append("swallowed")

    rig.declare(body=loop)
    sent = [rig.send()]

    rig.work()

    assert rig.ran == []
    assert rig.outcomes.seen == ["cancelled"]


def test_a_thread_forgets_the_cancelled_message_that_it_had_in_flight(rig: Rig) -> None:
    """What it does next is not part of it."""
    rig.declare()
    message = rig.broker.get_actor("job").message()
    rig.ask.cancel(message.message_id)
    rig.guard.refresh()

    with pytest.raises(Skipped):
        rig.guard.admit(rig.broker, MessageProxy(message))

    checkpoint()


@pytest.mark.parametrize("place", ["actor", "message"])
def test_a_job_that_asked_for_it_is_interrupted_at_once(rig: Rig, place: str) -> None:
    """Without any checkpoint, and only that job; an actor asks for all of its messages, a message for itself."""
    asks: dict[str, dict[str, Any]] = {place: {"interrupt_on_cancel": True}}
    started, go_on = threading.Semaphore(0), threading.Event()

    def endless() -> None:
        started.release()
        while not go_on.wait(0.001):
            pass

    rig.declare("eager", endless, **asks.get("actor", {}))
    rig.declare("patient", endless)
    ids = [rig.send("eager", **asks.get("message", {})), rig.send("patient")]
    worker = dramatiq.Worker(rig.broker, worker_timeout=50, worker_threads=2)
    worker.start()
    assert started.acquire(timeout=10)
    assert started.acquire(timeout=10)
    for each in ids:
        rig.ask.cancel(each)

    rig.flags.poll_now()

    assert eventually(lambda: bool(rig.outcomes.seen))
    assert rig.outcomes.seen == ["cancelled"]
    go_on.set()
    rig.broker.join(rig.queue, timeout=10_000)
    worker.stop()
    assert rig.ran == ["patient"]


def test_one_that_was_interrupted_before_it_began_does_not_begin(rig: Rig) -> None:
    """The request may come at the very moment between the guard's decision and the function."""

    class Late(Observer):
        def began(
            self, broker: dramatiq.Broker, message: dramatiq.broker.MessageProxy, attempt: Attempt
        ) -> None:
            rig.ask.cancel(message.message_id)
            rig.flags.poll_now()

    rig.broker.add_middleware(Late())
    rig.declare(interrupt_on_cancel=True)
    rig.send()

    rig.work()

    assert rig.ran == []
    assert rig.outcomes.seen == ["cancelled"]


def test_an_async_job_is_interrupted_and_can_clean_up(rig: Rig) -> None:
    """Its coroutine sees an ordinary cancellation."""
    started, seen = threading.Event(), []

    async def fn() -> None:
        # By then the worker's thread waits for the coroutine, which is where Dramatiq can be interrupted.
        await asyncio.sleep(0.05)
        started.set()
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            seen.append("cleaned up")
            raise

    dramatiq.actor(broker=rig.broker, queue_name=rig.queue, actor_name="job", interrupt_on_cancel=True)(fn)
    message = rig.broker.get_actor("job").send()
    worker = dramatiq.Worker(rig.broker, worker_timeout=50, worker_threads=1)
    worker.start()
    assert started.wait(10)
    rig.ask.cancel(message.message_id)
    rig.flags.poll_now()
    rig.broker.join(rig.queue, timeout=10_000)
    worker.stop()

    assert seen == ["cleaned up"]
    assert rig.outcomes.seen == ["cancelled"]


def test_an_async_job_sees_its_request_at_a_checkpoint(rig: Rig) -> None:
    """Though it runs on another thread than the guard."""

    async def fn() -> None:
        rig.ask.cancel(sent[0])
        rig.flags.poll_now()
        await asyncio.sleep(0)
        checkpoint()
        rig.ran.append("through")

    dramatiq.actor(broker=rig.broker, queue_name=rig.queue, actor_name="job")(fn)
    sent = [rig.broker.get_actor("job").send().message_id]

    rig.work()

    assert rig.ran == []
    assert rig.outcomes.seen == ["cancelled"]


class Stopped(Exception):
    """An error of a job's own that says so."""

    category = "cancelled"
    retryable = False


def test_an_error_that_says_cancelled_ends_the_same_way(rig: Rig) -> None:
    """Jobs may have an error of their own for it."""

    def stop() -> None:
        raise Stopped

    rig.declare(body=stop)
    rig.send()

    rig.work()

    assert rig.outcomes.seen == ["cancelled"]
    assert rig.dead() == 0


def test_no_callback_fires_for_a_cancelled_job(rig: Rig) -> None:
    """It neither succeeded nor failed."""
    rig.declare("tell")

    def stop() -> None:
        raise Cancelled

    rig.declare(body=stop)
    rig.send(on_success=rig.broker.get_actor("tell"), on_failure=rig.broker.get_actor("tell"))

    rig.work()

    assert rig.ran == []


def test_outside_a_job_a_checkpoint_does_nothing(rig: Rig) -> None:
    """A handler can be called by a test or a shell."""
    checkpoint()


def test_a_direct_call_raises_what_the_job_raised(rig: Rig) -> None:
    """Only a message ends skipped; a caller sees the error itself."""

    def stop() -> None:
        raise Stopped

    rig.declare(body=stop)

    with pytest.raises(Stopped):
        rig.broker.get_actor("job")()


def test_an_actor_called_by_anothers_function_reports_its_caller(rig: Rig) -> None:
    """The inner one's cancellation is the outer one's to handle."""
    rig.declare("inner", lambda: (_ for _ in ()).throw(Stopped()))

    def call() -> None:
        with pytest.raises(Stopped):
            rig.broker.get_actor("inner")()

    rig.declare("outer", call)
    rig.send("outer")

    rig.work()

    assert rig.ran == ["outer"]


def test_it_works_by_itself_beside_the_vanilla_middleware(bare_broker: dramatiq.Broker) -> None:
    """Added to a broker as it comes, with Dramatiq's own retries and after the actors."""
    assert any(type(each) is DramatiqRetries for each in bare_broker.middleware)
    ran: list[str] = []
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue, min_backoff=1)
    def early() -> None:
        ran.append("early")
        raise Cancelled

    store = MemoryCancellationStore()
    outcomes = Outcomes()
    bare_broker.add_middleware(outcomes)
    bare_broker.add_middleware(Cancellation(store, flags=Poller(interval_s=3_600)))
    early.send()
    CancellationClient(store).cancel(early.send().message_id)

    work(bare_broker, queue)

    assert ran == ["early"]
    assert outcomes.seen == ["cancelled", "cancelled"]


class Asked(RedisCancellationStore):
    """Remembers who asked it what is new."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client, prefix=f"t{uuid4().hex}")
        self.by: list[threading.Thread] = []

    def changes(self, since: int) -> Changes:
        self.by.append(threading.current_thread())
        return super().changes(since)


def test_a_job_costs_no_round_trip_and_an_idle_poll_one(redis_client: redis.Redis) -> None:
    """Workers' threads never ask; the boot and each poll ask once when nothing is new."""
    broker, store = StubBroker(middleware=[]), Asked(redis_client)
    guard = Cancellation(store, flags=Poller(interval_s=3_600))
    replace_stack(broker, guard, Retries())

    @dramatiq.actor(broker=broker)
    def job() -> None:
        for _ in range(100):
            checkpoint()

    for _ in range(50):
        job.send()
    work(broker, "default")
    guard.refresh()

    assert store.by == [threading.main_thread()] * 2


def test_with_the_store_gone_jobs_run_and_what_was_known_stays_in_force() -> None:
    """Nothing is parked or lost, and new requests are heard when it is back."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        store = RedisCancellationStore(client)
        ask, flags = CancellationClient(store), Poller(interval_s=3_600)
        broker = StubBroker(middleware=[])
        outcomes = Outcomes()
        guard = Cancellation(store, flags=flags)
        replace_stack(broker, outcomes, guard, Retries())

        @dramatiq.actor(broker=broker)
        def job() -> None: ...

        ask.cancel(job.send().message_id)
        guard.refresh()
        job.send()
        server.stop()
        with pytest.raises(StoreUnavailable):
            ask.cancel("another")
        work(broker, "default")
        assert outcomes.seen == ["cancelled", "succeeded"]

        server.start()
        ask.cancel(job.send().message_id)
        work(broker, "default")
        assert outcomes.seen[2:] == ["cancelled"]
