"""The idempotency guard while its server is away."""

import threading
from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers.stub import StubBroker

from middleware import Retries
from middleware.base.emit import add_metric_handler, remove_metric_handler
from middleware.idempotency.guard import Idempotency
from middleware.idempotency.redis import RedisIdempotencyStore
from tests.middleware.brokers import replace_stack, work
from tests.middleware.idempotency.keyed_jobs import Job
from tests.middleware.own_server import OwnValkey, own_valkey


@pytest.fixture
def valkey() -> Iterator[OwnValkey]:
    """A server that may go away."""
    with own_valkey() as server:
        yield server


def test_while_the_store_is_away_messages_are_parked_and_run_later(valkey: OwnValkey) -> None:
    """Nothing runs unguarded, nothing is lost, and no attempt is charged."""
    with redis.Redis.from_url(valkey.url) as client:
        broker = StubBroker()
        guard = Idempotency(RedisIdempotencyStore(client), undecided_delay_ms=20)
        replace_stack(broker, guard, Retries(max_retries=0))
        job = Job(broker)
        parked = threading.Event()
        add_metric_handler(handler := lambda kind, name, value, labels: parked.set())
        worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
        try:
            valkey.stop()
            job.send(1)
            job.send(2)
            worker.start()
            assert parked.wait(10)
            assert job.ran == []
            valkey.start()
            broker.join(job.queue, timeout=10_000)
        finally:
            worker.stop()
            remove_metric_handler(handler)

    assert len(job.ran) == 1


def test_with_allow_messages_run_while_the_store_is_away(valkey: OwnValkey) -> None:
    """Who prefers doing it twice to doing it late says so, at send and at perform."""
    with redis.Redis.from_url(valkey.url) as client:
        broker = StubBroker()
        guard = Idempotency(RedisIdempotencyStore(client), on_duplicate="reject", on_error="allow")
        replace_stack(broker, guard, Retries(max_retries=0))
        job = Job(broker)
        valkey.stop()

        job.send(1)
        job.send(2)
        work(broker, job.queue)

    assert job.ran == [1, 2]


def test_an_end_that_the_store_did_not_receive_is_reported_later(valkey: OwnValkey) -> None:
    """The key of a failed attempt is not blocked for a day because the store was away when it failed."""
    with redis.Redis.from_url(valkey.url) as client:
        store = RedisIdempotencyStore(client)
        broker = StubBroker(fail_fast_default=False)
        guard = Idempotency(store, undecided_delay_ms=20)
        replace_stack(broker, guard, Retries(max_retries=0))
        job = Job(broker)
        job.fail_times = 1
        job.go_on.clear()
        message = job.send(1)
        key = guard._key_of(broker, message)
        assert key is not None
        worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
        worker.start()
        try:
            assert job.started.wait(10)
            client.execute_command("ACL", "SETUSER", "default", "-evalsha")
            job.go_on.set()
            broker.join(job.queue, timeout=10_000)
            assert store_holder(client, key) == message.message_id
            client.execute_command("ACL", "SETUSER", "default", "+evalsha")
            job.send(2, key="another")
            broker.join(job.queue, timeout=10_000)
            job.send(3)
            broker.join(job.queue, timeout=10_000)
        finally:
            worker.stop()

    assert job.ran == [2, 3]


def store_holder(client: redis.Redis, key: str) -> str | None:
    """Who has the key, as an operator would look it up."""
    holder: Any = client.hget(f"pressroom:idempotency:{{{key}}}", "holder")
    return None if holder is None else str(holder, "ascii")
