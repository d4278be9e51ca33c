"""The guard that remembers every attempt."""

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import AsyncIO
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine

from adapters.database.history import SqlHistoryStore
from middleware.history.guard import AttemptRecord, History
from middleware.history.memory import MemoryHistoryStore
from middleware.history.redis import RedisHistoryStore
from middleware.history.results import record_result
from tests.middleware.attempt_outcomes import FATES, Fate, Faulty, send_to, watched
from tests.middleware.brokers import work
from tests.middleware.own_server import own_valkey
from tests.middleware.recorded_metrics import Emitted, handling


@pytest.fixture
def store() -> MemoryHistoryStore:
    """Keeps what the guard writes."""
    return MemoryHistoryStore()


@pytest.mark.parametrize("fate", FATES.values(), ids=list(FATES))
def test_every_attempt_leaves_a_record(
    bare_broker: dramatiq.Broker, store: MemoryHistoryStore, fate: Fate
) -> None:
    """A message's whole life is told, each attempt with its outcome, and all of it is there when the worker is."""
    watched(bare_broker, History(store, worker="w1"))

    message = send_to(bare_broker, fate, org="acme", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    work(bare_broker, message.queue_name)

    life = store.attempts(message.message_id)
    assert tuple(each.outcome for each in life) == fate.outcomes
    for each in life:
        assert (each.actor, each.queue) == (message.actor_name, message.queue_name)
        assert (each.org, each.worker, each.trace_id) == ("acme", "w1", "a" * 32)
        assert each.finished_at is not None
        assert datetime.now(UTC) - timedelta(minutes=1) < each.started_at <= each.finished_at
        assert each.duration_ms is not None
        assert 0 <= each.duration_ms < 60_000


def test_a_failure_is_remembered_without_its_text(
    bare_broker: dramatiq.Broker, store: MemoryHistoryStore
) -> None:
    """Class, category and fingerprint say what went wrong, and on which of the attempts."""
    watched(bare_broker, History(store))

    message = send_to(bare_broker, FATES["retried"])
    work(bare_broker, message.queue_name)

    failed, passed = store.attempts(message.message_id)
    assert (failed.error_class, failed.error_category) == (f"{Faulty.__module__}.Faulty", "network")
    assert failed.fingerprint is not None
    assert (failed.attempt, passed.attempt) == (1, 2)
    assert (passed.error_class, passed.error_category, passed.fingerprint) == (None, None, None)
    assert failed.worker == f"{socket.gethostname()}:{os.getpid()}"


def test_why_a_job_waited_is_remembered(bare_broker: dramatiq.Broker, store: MemoryHistoryStore) -> None:
    """A park says its cause, and so does a skip."""
    watched(bare_broker, History(store))

    parked = send_to(bare_broker, FATES["parked"])
    skipped = send_to(bare_broker, FATES["skipped"], queue=parked.queue_name)
    work(bare_broker, parked.queue_name)

    assert [each.cause for each in store.attempts(parked.message_id)] == ["night", None]
    assert [each.cause for each in store.attempts(skipped.message_id)] == ["duplicate"]


def recording_job(
    broker: dramatiq.Broker, results: Sequence[Any], **options: Any
) -> "dramatiq.Actor[[], None]":
    """An actor whose attempts record these, one each, and fail where it is an exception."""
    left = list(results)

    @dramatiq.actor(broker=broker, queue_name=f"q{uuid4().hex}", **options)
    def job() -> None:
        first, *more = left.pop(0)
        record_result(first)
        for each in more:
            raise each

    return job


def test_a_result_is_kept_with_the_attempt_that_succeeded(
    bare_broker: dramatiq.Broker, store: MemoryHistoryStore
) -> None:
    """What an attempt recorded before it failed is no result."""
    watched(bare_broker, History(store))
    job = recording_job(bare_broker, [({"rows": 1}, Faulty("no")), ({"rows": 2, "token": "hunter2"},)])

    message = job.send()
    work(bare_broker, job.queue_name)

    results = [each.result for each in store.attempts(message.message_id)]
    assert results == [None, {"rows": 2, "token": "***"}]


def test_a_result_is_of_one_attempt_only(bare_broker: dramatiq.Broker, store: MemoryHistoryStore) -> None:
    """Jobs at the same time, and one after the other in a thread, do not get each other's."""
    watched(bare_broker, History(store))
    queue, barrier = f"q{uuid4().hex}", threading.Barrier(2)

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def job(name: str, together: bool) -> None:
        if together:
            record_result(name)
            barrier.wait(10)

    sent = [
        job.send(name, together) for name, together in (("a", True), ("b", True), ("c", False), ("d", False))
    ]
    work(bare_broker, queue, threads=2)

    results = [store.attempts(message.message_id)[0].result for message in sent]
    assert results == ["a", "b", None, None]


def test_what_is_recorded_after_the_job_is_no_result(store: MemoryHistoryStore) -> None:
    """The attempt is over when the function is; a hook that calls `record_result` later records nothing."""

    class Late(dramatiq.Middleware):
        def after_process_message(self, *args: object, **kwargs: object) -> None:
            record_result("late")

    broker = StubBroker(middleware=[])
    watched(broker, Late(), History(store))

    message = send_to(broker, FATES["succeeded"])
    work(broker, message.queue_name)

    assert [each.result for each in store.attempts(message.message_id)] == [None]


def test_a_coroutine_may_record_too(store: MemoryHistoryStore) -> None:
    """It runs in another thread, in the context of its attempt."""
    broker = StubBroker(middleware=[])
    watched(broker, History(store))
    broker.add_middleware(AsyncIO())

    @dramatiq.actor(broker=broker)
    async def job() -> None:
        record_result({"rows": 3})

    message = job.send()
    work(broker, "default")

    assert [each.result for each in store.attempts(message.message_id)] == [{"rows": 3}]


def test_messages_for_nobody_are_no_attempts(bare_broker: dramatiq.Broker, store: MemoryHistoryStore) -> None:
    """What never ran is for the dead letters to tell."""
    watched(bare_broker, History(store))
    queue = f"q{uuid4().hex}"
    bare_broker.declare_queue(queue)
    bare_broker.enqueue(
        dramatiq.Message(queue_name=queue, actor_name="nobody", args=(), kwargs={}, options={})
    )

    work(bare_broker, queue)

    assert store.recent() == []


class SlowStore(MemoryHistoryStore):
    """Hangs until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.asked = threading.Event()

    def record(self, attempts: Sequence[AttemptRecord]) -> None:
        self.asked.set()
        assert self.go.wait(10)
        super().record(attempts)


def test_jobs_do_not_wait_for_the_store(bare_broker: dramatiq.Broker) -> None:
    """While a batch hangs, jobs begin and end."""
    store = SlowStore()
    watched(bare_broker, History(store, flush_every_s=0.01))
    queue, ran = f"q{uuid4().hex}", threading.Semaphore(0)

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def job() -> None:
        ran.release()

    worker = dramatiq.Worker(bare_broker, worker_timeout=20, worker_threads=1)
    worker.start()
    job.send()
    assert store.asked.wait(10)
    sent = [job.send() for _ in range(20)]
    assert all(ran.acquire(timeout=10) for _ in range(21))
    bare_broker.join(queue, timeout=10_000)
    worker.join()
    assert store.recent() == []
    store.go.set()
    worker.stop()

    assert len(store.recent()) == 21
    assert all(store.attempts(message.message_id) for message in sent)


def test_a_store_that_was_away_gets_everything(bare_broker: dramatiq.Broker) -> None:
    """Jobs run while its server is down, and their records wait for it."""
    emitted, failed = Emitted(), threading.Event()

    def heard(kind: object, name: str, value: float, labels: object) -> None:
        if name == "history_writes_failed_total":
            failed.set()

    with own_valkey() as server, handling(emitted), handling(heard):
        client = redis.Redis.from_url(server.url, retry=Retry(NoBackoff(), 0))
        store = RedisHistoryStore(client)
        watched(bare_broker, History(store, flush_every_s=0.01))
        queue = f"q{uuid4().hex}"

        @dramatiq.actor(broker=bare_broker, queue_name=queue)
        def job() -> None:
            """Does nothing."""

        server.stop()
        sent = [job.send() for _ in range(5)]
        worker = dramatiq.Worker(bare_broker, worker_timeout=20, worker_threads=1)
        worker.start()
        bare_broker.join(queue, timeout=10_000)
        worker.join()
        assert failed.wait(10)
        server.start()
        worker.stop()

        assert {each.message_id for each in store.recent()} == {message.message_id for message in sent}
        client.close()
    assert emitted.of("history_dropped_total") == []


def test_the_history_stands_in_the_database(bare_broker: dramatiq.Broker, engine: Engine) -> None:
    """With the platform's own store an attempt is a row of `job_attempts`, result and all."""
    store = SqlHistoryStore(engine, AttemptRecord)
    watched(bare_broker, History(store))
    job, org = recording_job(bare_broker, [({"rows": 2},)]), str(uuid4())

    message = job.send_with_options(org=org)
    work(bare_broker, job.queue_name)

    (row,) = store.attempts(message.message_id, org=org)
    assert (row.outcome, row.result, row.org) == ("succeeded", {"rows": 2}, org)


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    """Checks that no writing thread outlives its worker."""
    yield
    assert [each for each in threading.enumerate() if each.name == "pressroom-history"] == []


@pytest.mark.usefixtures("no_leftovers")
def test_the_thread_ends_with_the_worker(bare_broker: dramatiq.Broker, store: MemoryHistoryStore) -> None:
    """Nothing is left running in a process that only sends again."""
    watched(bare_broker, History(store))

    work(bare_broker, send_to(bare_broker, FATES["succeeded"]).queue_name)

    assert len(store.recent()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flush_every_s": 0}, "flush_every_s must be more than 0"),
        ({"shutdown_timeout_s": -1}, "shutdown_timeout_s at least 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 5, "buffer_size": 4}, "at most buffer_size; not 5 and 4"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], message: str) -> None:
    """The mistake is named where it was made."""
    with pytest.raises(ValueError, match=message):
        History(MemoryHistoryStore(), **options)
