"""How messages wait for a slot of their org, are woken, and keep it while they run; on both brokers."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.middleware import Middleware

from middleware import GuardError, Retries
from middleware.base.emit import Kind, add_metric_handler, remove_metric_handler
from middleware.base.messages import WAKE
from middleware.idempotency.guard import Idempotency
from middleware.idempotency.memory import MemoryIdempotencyStore
from middleware.idempotency.redis import RedisIdempotencyStore
from middleware.org_limits.guard import OrgLimits
from middleware.org_limits.memory import MemoryOrgLimitsStore
from middleware.org_limits.rate import Rate
from middleware.org_limits.redis import RedisOrgLimitsStore
from middleware.org_limits.slots import OrgLimitsStore
from tests.middleware.brokers import redis_prefix, replace_stack, work
from tests.middleware.org_limits.limited_jobs import Job, SupportsParking, working


@pytest.fixture
def store(bare_broker: dramatiq.Broker, redis_client: redis.Redis) -> OrgLimitsStore:
    """Where the limits are: beside the broker."""
    prefix = redis_prefix(bare_broker)
    return MemoryOrgLimitsStore() if prefix is None else RedisOrgLimitsStore(redis_client, prefix=prefix)


@pytest.fixture
def counted() -> Iterator[Counter[str]]:
    """The counters that go up during the test."""
    seen: Counter[str] = Counter()

    def handler(kind: Kind, name: str, value: float, labels: Mapping[str, str]) -> None:
        seen[name] += int(value)

    add_metric_handler(handler)
    yield seen
    remove_metric_handler(handler)


def test_a_release_wakes_the_next_long_before_its_delay_is_over(
    bare_broker: dramatiq.Broker, store: OrgLimitsStore
) -> None:
    """The message is parked for an hour, and runs as soon as the slot is free."""
    parks = SupportsParking()
    guard = OrgLimits(store, max_active=1, wait_ms=3_600_000, lease_ms=4_000_000)
    replace_stack(bare_broker, parks, guard, Retries(max_retries=0))
    job = Job(bare_broker)
    job.go_on.clear()
    with working(bare_broker):
        job.send(1)
        assert job.started.acquire(timeout=10)
        job.send(2)
        assert parks.first.wait(10)

        job.go_on.set()

        assert job.started.acquire(timeout=10)
    assert job.ran == {1: 1, 2: 1}


def test_a_message_that_was_not_woken_comes_by_itself(
    bare_broker: dramatiq.Broker, store: OrgLimitsStore
) -> None:
    """A process that dies between the release and the wake, or cannot enqueue, loses nothing."""

    class NoWakes(Middleware):
        def before_enqueue(self, broker: dramatiq.Broker, message: Any, delay: int | None) -> None:
            if WAKE in message.options:
                raise GuardError("the broker is away")

    parks = SupportsParking()
    guard = OrgLimits(store, max_active=1, wait_ms=200)
    replace_stack(bare_broker, parks, guard, NoWakes(), Retries(max_retries=0))
    job = Job(bare_broker)
    job.go_on.clear()
    with working(bare_broker):
        job.send(1)
        assert job.started.acquire(timeout=10)
        job.send(2)
        assert parks.first.wait(10)
        job.go_on.set()
        bare_broker.join(job.queue, timeout=10_000)

    assert job.ran == {1: 1, 2: 1}


def test_a_second_delivery_of_a_running_message_waits(
    bare_broker: dramatiq.Broker, store: OrgLimitsStore
) -> None:
    """Two deliveries of one message never run at once, though two slots are free."""
    parks = SupportsParking()
    guard = OrgLimits(store, lease_ms=1_000, wait_ms=200)
    replace_stack(bare_broker, parks, guard, Retries(max_retries=0))
    job = Job(bare_broker)
    job.go_on.clear()
    with working(bare_broker):
        message = job.send(1)
        assert job.started.acquire(timeout=10)
        bare_broker.enqueue(message)
        assert parks.first.wait(10)
        job.go_on.set()
        bare_broker.join(job.queue, timeout=10_000)

    assert set(parks.of("running")) == {1}
    assert job.most == 1


def test_a_job_keeps_its_slot_for_longer_than_a_lease(
    bare_broker: dramatiq.Broker, store: OrgLimitsStore, counted: Counter[str]
) -> None:
    """The lease is renewed while the job runs, so nobody else gets its slot."""
    guard = OrgLimits(store, max_active=1, lease_ms=150, wait_ms=50)
    replace_stack(bare_broker, guard, Retries(max_retries=0))
    job = Job(bare_broker, takes_s=0.5)
    job.send(1)
    job.send(2)

    work(bare_broker, job.queue, threads=2)

    assert job.most == 1
    assert job.ran == {1: 1, 2: 1}
    assert counted["org_limits_slots_lost_total"] == 0


def test_a_slot_that_was_lost_is_counted(
    bare_broker: dramatiq.Broker, store: OrgLimitsStore, counted: Counter[str]
) -> None:
    """Operators learn that a job runs on without its slot, when its store forgot it."""
    guard = OrgLimits(store, lease_ms=90, wait_ms=60)
    replace_stack(bare_broker, guard, Retries(max_retries=0))
    lost = threading.Event()

    def handler(kind: Kind, name: str, value: float, labels: Mapping[str, str]) -> None:
        if name == "org_limits_slots_lost_total":
            lost.set()

    add_metric_handler(handler)
    job = Job(bare_broker)
    job.go_on.clear()
    with working(bare_broker):
        job.send(1)
        assert job.started.acquire(timeout=10)
        (slot,) = guard._keeper._slots.values()
        store.release(slot, refund=False, patience_ms=1)
        assert lost.wait(10)
        job.go_on.set()
        bare_broker.join(job.queue, timeout=10_000)
    remove_metric_handler(handler)

    assert counted["org_limits_slots_lost_total"] == 1
    assert job.ran == {1: 1}


def test_with_idempotency_before_it_waiting_messages_still_run_once(
    bare_broker: dramatiq.Broker, store: OrgLimitsStore, redis_client: redis.Redis, counted: Counter[str]
) -> None:
    """The copy that wakes a message never takes the claim of the copy that runs, so every key is used up."""
    prefix = redis_prefix(bare_broker)
    keys = MemoryIdempotencyStore() if prefix is None else RedisIdempotencyStore(redis_client, prefix=prefix)
    idempotency = Idempotency(keys, park_ms=100, key=lambda message: str(message.args[0]["n"]))
    limits = OrgLimits(store, max_active=2, wait_ms=100)
    replace_stack(bare_broker, idempotency, limits, Retries(max_retries=0))
    job = Job(bare_broker, takes_s=0.05)
    for n in range(16):
        job.send(n)
    work(bare_broker, job.queue, threads=8)
    for n in range(16):
        job.send(n)
    work(bare_broker, job.queue, threads=8)

    assert job.ran == dict.fromkeys(range(16), 1)
    assert job.most == 2
    assert counted["idempotency_stale_finish_total"] == 0
    assert counted["guard_errors_total"] == 0


def test_beside_dramatiqs_own_middleware_waiting_costs_no_attempt(
    bare_broker: dramatiq.Broker, store: OrgLimitsStore
) -> None:
    """Added to the stock stack, with no retry to spend, all run once however often they wait."""
    parks = SupportsParking()
    bare_broker.add_middleware(parks)
    bare_broker.add_middleware(OrgLimits(store, max_active=1, wait_ms=100))
    job = Job(bare_broker, takes_s=0.03, rate=Rate(100, per="1s"), max_retries=0)
    for n in range(10):
        job.send(n)

    work(bare_broker, job.queue, threads=4)

    assert job.ran == dict.fromkeys(range(10), 1)
    assert job.most == 1
    assert parks.of("limit")
