"""The idempotency guard, on Dramatiq's stub broker with claims in memory and on a real server."""

import threading
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.results import Results
from dramatiq.results.backends import StubBackend

from middleware import DuplicateMessage, Guard, Parked, Retries, Skipped
from middleware.base.delegation import SupportsAckOperations
from middleware.base.emit import Kind, add_metric_handler, remove_metric_handler
from middleware.base.errors import RateLimited
from middleware.idempotency.guard import Idempotency, IdempotencyStore
from middleware.idempotency.memory import MemoryIdempotencyStore
from middleware.idempotency.redis import RedisIdempotencyStore
from tests.middleware.brokers import redis_prefix, replace_stack, stored, work
from tests.middleware.idempotency.keyed_jobs import Job


@pytest.fixture
def store(bare_broker: dramatiq.Broker, redis_client: redis.Redis) -> IdempotencyStore:
    """Where the claims are: beside the broker."""
    prefix = redis_prefix(bare_broker)
    return MemoryIdempotencyStore() if prefix is None else RedisIdempotencyStore(redis_client, prefix=prefix)


@pytest.fixture
def counted() -> Iterator[list[tuple[str, str]]]:
    """The counters that go up during the test, each with its outcome or actor."""
    seen: list[tuple[str, str]] = []

    def handler(kind: Kind, name: str, value: float, labels: Mapping[str, str]) -> None:
        seen.append((name, labels.get("outcome", labels.get("actor", ""))))

    add_metric_handler(handler)
    yield seen
    remove_metric_handler(handler)


def test_of_two_messages_with_a_key_one_runs(bare_broker: dramatiq.Broker, store: IdempotencyStore) -> None:
    """The duplicate is skipped, whether the first still waits or is done."""
    replace_stack(bare_broker, Idempotency(store), Retries())
    job = Job(bare_broker)

    job.send(1)
    job.send(2)
    work(bare_broker, job.queue)
    job.send(3)
    work(bare_broker, job.queue)

    assert len(job.ran) == 1


def test_a_key_is_one_orgs_and_one_actors(bare_broker: dramatiq.Broker, store: IdempotencyStore) -> None:
    """Nobody can block another's work by guessing its keys."""
    replace_stack(bare_broker, Idempotency(store), Retries())
    charge, refund = Job(bare_broker), Job(bare_broker, name="refund")

    charge.send(1)
    charge.send(2, org="other")
    charge.send(3, org=None)
    charge.send(4, key="order-18")
    charge.send(5, key=17)
    charge.send(6, key="17")
    refund.send(7)

    work(bare_broker, charge.queue)
    work(bare_broker, refund.queue)
    assert sorted(charge.ran, key=str) == [1, 2, 3, 4, 5, 6]
    assert refund.ran == [7]


def test_without_a_key_the_store_is_never_asked(bare_broker: dramatiq.Broker) -> None:
    """No key, no round trip: a store that is gone does not matter."""
    with redis.Redis.from_url("unix:///nowhere.sock") as nowhere:
        guard = Idempotency(RedisIdempotencyStore(nowhere), on_duplicate="reject")
        replace_stack(bare_broker, guard, Retries())
        job = Job(bare_broker)

        for key in (None, ""):
            job.send(1, key=key)

        work(bare_broker, job.queue)
    assert job.ran == [1, 1]


def test_a_failed_attempt_gives_the_key_back_and_its_retry_claims_it_again(
    bare_broker: dramatiq.Broker, store: IdempotencyStore
) -> None:
    """A retry is not a duplicate of itself, and when it succeeds the key is used up."""
    replace_stack(bare_broker, Idempotency(store), Retries(max_retries=3))
    job = Job(bare_broker)
    job.fail_times = 2

    job.send(1)
    work(bare_broker, job.queue)
    job.send(2)
    work(bare_broker, job.queue)

    assert job.ran == [1]


def test_after_a_final_failure_another_message_may_run() -> None:
    """A key is not used up by work that was never done."""
    broker = StubBroker(fail_fast_default=False)
    replace_stack(broker, Idempotency(MemoryIdempotencyStore()), Retries(max_retries=0))
    job = Job(broker)
    job.fail_times = 1

    job.send(1)
    work(broker, job.queue)
    job.send(2)
    work(broker, job.queue)

    assert job.ran == [2]


def test_a_message_delivered_again_runs_unless_it_was_done(
    bare_broker: dramatiq.Broker, store: IdempotencyStore
) -> None:
    """It takes the claim of its own attempt that died over; once it is done it is skipped."""
    guard = Idempotency(store)
    replace_stack(bare_broker, guard, Retries())
    job = Job(bare_broker)
    message = job.send(1)
    key = guard._key_of(bare_broker, message)
    assert key is not None
    store.claim(key, holder=message.message_id, token="of the attempt that died", ttl_ms=60_000)

    work(bare_broker, job.queue)
    bare_broker.enqueue(message)
    work(bare_broker, job.queue)

    assert job.ran == [1]


def test_a_finish_after_another_attempt_took_over_is_refused_and_counted(
    bare_broker: dramatiq.Broker, store: IdempotencyStore, counted: list[tuple[str, str]]
) -> None:
    """A worker that was taken for dead cannot end the claim of the attempt that replaced it."""
    guard = Idempotency(store)
    replace_stack(bare_broker, guard, Retries())
    job = Job(bare_broker)
    job.go_on.clear()
    message = job.send(1)
    key = guard._key_of(bare_broker, message)
    assert key is not None

    worker = dramatiq.Worker(bare_broker, worker_timeout=50, worker_threads=1)
    worker.start()
    assert job.started.wait(10)
    store.claim(key, holder=message.message_id, token="newer", ttl_ms=60_000)
    job.go_on.set()
    bare_broker.join(job.queue, timeout=10_000)
    worker.stop()

    # A broker that ends the claim with the message has nobody to tell.
    by_guard = not isinstance(bare_broker, SupportsAckOperations)
    assert counted.count(("idempotency_stale_finish_total", "charge")) == int(by_guard)
    assert store.finish(key, token="newer", ttl_ms=60_000)


@pytest.mark.parametrize("fails", [False, True])
def test_a_parked_duplicate_waits_for_the_first(
    bare_broker: dramatiq.Broker, store: IdempotencyStore, counted: list[tuple[str, str]], *, fails: bool
) -> None:
    """It is skipped when the first is done, and takes its place when the first fails for good."""
    replace_stack(bare_broker, Idempotency(store, on_duplicate="park", park_ms=20), Retries(max_retries=0))
    if isinstance(bare_broker, StubBroker):
        bare_broker.fail_fast_default = False
    job = Job(bare_broker)
    job.fail_times = int(fails)
    job.go_on.clear()
    parked = threading.Event()

    def handler(kind: Kind, name: str, value: float, labels: Mapping[str, str]) -> None:
        if name == "idempotency_duplicates_total":
            parked.set()

    add_metric_handler(handler)
    worker = dramatiq.Worker(bare_broker, worker_timeout=50, worker_threads=2)
    try:
        job.send(1)
        worker.start()
        assert job.started.wait(10)
        job.send(2)
        assert parked.wait(10)
        job.go_on.set()
        bare_broker.join(job.queue, timeout=10_000)
    finally:
        worker.stop()
        remove_metric_handler(handler)

    assert job.ran == ([2] if fails else [1])
    assert ("idempotency_duplicates_total", "parked") in counted


def test_a_duplicate_can_be_rejected_at_send(
    bare_broker: dramatiq.Broker, store: IdempotencyStore, counted: list[tuple[str, str]]
) -> None:
    """The caller learns which message has the key; nothing is enqueued; the first runs."""
    replace_stack(bare_broker, Idempotency(store, on_duplicate="reject"), Retries())
    job = Job(bare_broker)
    first = job.send(1)

    with pytest.raises(DuplicateMessage) as caught:
        job.send(2)
    assert len(stored(bare_broker, job.queue)) == 1
    work(bare_broker, job.queue)
    with pytest.raises(DuplicateMessage):
        job.send(3)

    assert caught.value.holder == first.message_id
    assert job.ran == [1]
    assert counted.count(("idempotency_duplicates_total", "rejected")) == 2


def test_a_message_that_was_rejected_nowhere_is_skipped_when_performed(
    bare_broker: dramatiq.Broker, store: IdempotencyStore
) -> None:
    """What got into the queue past the check does not run twice either."""
    guard = Idempotency(store, on_duplicate="reject")
    replace_stack(bare_broker, guard, Retries())
    job = Job(bare_broker)
    first = job.send(1)
    payload = {"n": 2, "org_id": "acme", "idempotency_key": "order-17"}
    past_the_check = job.actor.message(payload).copy(options={"admitted": True})

    bare_broker.enqueue(past_the_check)
    work(bare_broker, job.queue)

    assert first.message_id != past_the_check.message_id
    assert job.ran == [1]


def test_a_send_that_fails_reserves_its_key_for_a_moment_only() -> None:
    """The caller who tries again a little later is not refused because of its own first try."""
    now_ms = [0.0]
    limits = [RateLimited("charge", 1.0)]

    class Limit(Guard):
        def check(self, broker: dramatiq.Broker, message: Any, delay: int | None) -> None:
            if limits:
                raise limits.pop()

    broker = StubBroker()
    store = MemoryIdempotencyStore(now_ms=lambda: now_ms[0])
    replace_stack(broker, Idempotency(store, on_duplicate="reject", reserve_ms=5_000), Limit(), Retries())
    job = Job(broker)

    with pytest.raises(RateLimited):
        job.send(1)
    now_ms[0] += 5_001
    job.send(2)
    now_ms[0] += 5_001
    with pytest.raises(DuplicateMessage):
        job.send(3)

    work(broker, job.queue)
    assert job.ran == [2]


@pytest.mark.parametrize("verdict", [Parked("busy", delay_ms=1), Skipped("not wanted")])
def test_what_another_guard_stops_gives_its_key_back(
    bare_broker: dramatiq.Broker, store: IdempotencyStore, verdict: Exception
) -> None:
    """A message that was parked or skipped further in blocks nobody."""
    verdicts = [verdict]

    class Inner(Guard):
        def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
            if verdicts:
                raise verdicts.pop()

    replace_stack(bare_broker, Idempotency(store), Inner(), Retries(max_retries=0))
    job = Job(bare_broker)

    job.send(1)
    work(bare_broker, job.queue)
    job.send(2)
    work(bare_broker, job.queue)

    assert job.ran == [1 if isinstance(verdict, Parked) else 2]


def test_the_option_says_who_takes_part(bare_broker: dramatiq.Broker, store: IdempotencyStore) -> None:
    """With True a message without a key is done once under its own id; with False keys mean nothing."""
    replace_stack(bare_broker, Idempotency(store), Retries())
    always, never = Job(bare_broker, name="always", idempotent=True), Job(bare_broker, idempotent=False)

    message = always.send(1, key=None)
    always.send(2, key=None)
    work(bare_broker, always.queue)
    bare_broker.enqueue(message)
    work(bare_broker, always.queue)
    never.send(3)
    never.send(4)
    work(bare_broker, never.queue)

    assert sorted(always.ran, key=str) == [1, 2]
    assert never.ran == [3, 4]


def test_the_key_can_be_computed(bare_broker: dramatiq.Broker, store: IdempotencyStore) -> None:
    """A callable sees the message; actors that take keyword arguments take part too."""
    guard = Idempotency(store, key=lambda message: f"{message.kwargs['year']}-{message.kwargs['month']}")
    replace_stack(bare_broker, guard, Retries())
    queue, ran = f"q{uuid4().hex}", []

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def bill(org_id: str, year: int, month: int) -> None:
        ran.append((org_id, month))

    for org, month in (("acme", 1), ("acme", 1), ("acme", 2), ("other", 1)):
        bill.send(org_id=org, year=2026, month=month)

    work(bare_broker, queue)
    assert sorted(ran) == [("acme", 1), ("acme", 2), ("other", 1)]


def test_a_stored_result_survives_that_its_message_comes_again() -> None:
    """Dramatiq's `Results` would replace it by None when the second delivery is skipped."""
    broker, backend = StubBroker(), StubBackend()
    results = Results(backend=backend)  # type: ignore[no-untyped-call]
    replace_stack(broker, results, Idempotency(MemoryIdempotencyStore()), Retries())

    @dramatiq.actor(broker=broker, store_results=True)
    def double(payload: dict[str, Any]) -> int:
        return 2 * int(payload["n"])

    message = double.send({"n": 4, "idempotency_key": "k"})
    work(broker, "default")
    broker.enqueue(message)
    work(broker, "default")

    assert message.get_result(backend=backend) == 8


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"on_duplicate": "ignore"}, "'skip', 'park' or 'reject', not 'ignore'"),
        ({"window_ms": 0}, "window_ms must be at least 1, not 0"),
        ({"park_ms": 0}, "park_ms must be at least 1, not 0"),
        ({"reserve_ms": -1}, "reserve_ms must be at least 1, not -1"),
        ({"key": ""}, "name of a field or a callable"),
        ({"on_error": "panic"}, "'park' or 'allow'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], says: str) -> None:
    """The mistake is named where it was made."""
    with pytest.raises(ValueError, match=says):
        Idempotency(MemoryIdempotencyStore(), **options)
