"""What guards let a broker do together with the end of a message, and what a broker that gives up hands to them."""

from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.broker import MessageProxy
from dramatiq.middleware.shutdown import Shutdown

from middleware import Callbacks, Parked, Retries
from middleware.base.errors import StoreUnavailable
from middleware.dead_letters.guard import DeadLetters, DeadLettersUnavailable
from middleware.dead_letters.memory import MemoryDeadLetterStore
from middleware.draining import Draining
from middleware.history.guard import History
from middleware.history.memory import MemoryHistoryStore
from middleware.idempotency.guard import Idempotency, IdempotencyStore
from middleware.idempotency.memory import MemoryIdempotencyStore
from middleware.idempotency.redis import RedisIdempotencyStore
from middleware.metrics.guard import Metrics
from middleware.metrics.queue_sampler import QueueSampler, QueueState
from tests.middleware.attempt_outcomes import Overloaded
from tests.middleware.brokers import replace_stack, work
from tests.middleware.delegating_broker import EnforcingBroker
from tests.middleware.eventually import eventually
from tests.middleware.recorded_metrics import Emitted, handling

QUEUE = "ending"


class PoisonMessage(Exception):
    """As a broker says it, found by its attributes."""

    category = "poison"
    retryable = False


def job_of(broker: dramatiq.Broker, *raises: BaseException, **options: Any) -> "dramatiq.Actor[..., None]":
    """An actor that raises these, one an attempt, and returns then."""
    script = list(raises)

    def job(*payload: object) -> None:
        if script:
            raise script.pop(0)

    return dramatiq.actor(broker=broker, queue_name=QUEUE, **options)(job)


def test_claims_of_a_prefix_with_a_hash_tag_are_in_its_slot(redis_client: redis.Redis) -> None:
    """A broker with that base can end them; without a tag, each claim has its own."""
    names = [
        RedisIdempotencyStore(redis_client, prefix=prefix).ending("k", token="t", done=True, ttl_ms=5)
        for prefix in ("pressroom:{0}", "pressroom")
    ]

    assert names == [
        ("pressroom:{0}:idempotency:k", "token", "t", ("state", "done"), 5),
        ("pressroom:idempotency:{k}", "token", "t", ("state", "done"), 5),
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_a_claim_ends_with_its_message(redis_client: redis.Redis, fails: bool) -> None:
    """Done or given back, as the attempt went: the broker does it, and the store is not asked a second time."""
    broker = EnforcingBroker()
    prefix = f"{uuid4().hex}:{{0}}"
    replace_stack(
        broker, Idempotency(RedisIdempotencyStore(redis_client, prefix=prefix)), Retries(max_retries=0)
    )
    job_of(broker, *([ValueError()] if fails else [])).send({"idempotency_key": "k"})

    work(broker, QUEUE)

    ((key, field, token, change, ttl_ms),) = broker.operations
    assert (field, change) == ("token", None if fails else ("state", "done"))
    assert ttl_ms == 24 * 3_600_000
    assert key.startswith(f"{prefix}:idempotency:")
    # Nobody but the broker ended it, and this one does nothing.
    assert redis_client.hget(key, "token") == token.encode()
    assert redis_client.hget(key, "state") == b"held"
    redis_client.delete(key)


@pytest.mark.parametrize("why", ["the store cannot say it", "the broker declines"])
def test_a_claim_that_no_broker_can_end_is_ended_by_the_guard(redis_client: redis.Redis, why: str) -> None:
    """As on any other broker."""

    class Declining(EnforcingBroker):
        def on_ack(self, message: MessageProxy, operation: Any) -> bool:
            return False

    in_memory = why == "the store cannot say it"
    broker = EnforcingBroker() if in_memory else Declining()
    store: IdempotencyStore = (
        MemoryIdempotencyStore() if in_memory else RedisIdempotencyStore(redis_client, prefix=uuid4().hex)
    )
    replace_stack(broker, guard := Idempotency(store), Retries(max_retries=0))
    message = job_of(broker).send({"idempotency_key": "k"})

    work(broker, QUEUE)

    key = guard._key_of(broker, message)
    assert key is not None
    assert store.claim(key, holder="other", token="t", ttl_ms=1_000).state == "done"


@pytest.mark.parametrize(
    ("error", "reported"),
    [
        (Parked("night", delay_ms=3, key="pause:night"), (3, "night", "pause:night")),
        (Shutdown(), (0, "shutdown", None)),
        (Overloaded(), (5_001, "rate_limited", None)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_broker_is_reported_what_a_parked_message_waits_for(
    error: BaseException, reported: tuple[int, str, str | None]
) -> None:
    """A retry is not parked, and says nothing."""
    broker = EnforcingBroker()
    retries = Retries(max_retries=1, min_backoff=1, max_backoff=1)
    replace_stack(broker, retries)
    job_of(broker, error, ValueError("a retry"))
    message = broker.get_actor("job").message()
    for _ in range(2):
        proxy = MessageProxy(message)
        try:
            broker.get_actor("job")()
        except BaseException as raised:  # noqa: BLE001  # as Dramatiq's worker does
            broker.emit_after("process_message", proxy, exception=raised)

    assert broker.parked == [reported]
    assert broker.queues[f"{QUEUE}.DQ"].qsize() == 2


def test_the_broker_hands_over_bytes_that_are_no_message() -> None:
    """They are kept as they came; equal ones are one letter unless they are marked."""
    broker, store = EnforcingBroker(), MemoryDeadLetterStore()
    guard = DeadLetters(store)
    for mark in ("", "", "a", "b"):
        guard.keep_undecodable(broker, QUEUE, b"\xff\x00", *([mark] if mark else []))

    letters = store.of_every_org().list()
    assert [(each.raw, each.queue, each.category) for each in letters] == [
        (b"\xff\x00", QUEUE, "validation")
    ] * 3


def test_the_broker_learns_that_bytes_could_not_be_kept() -> None:
    """So that it asks again before it rejects them."""

    class Away(MemoryDeadLetterStore):
        def put(self, letters: Any) -> int:
            raise StoreUnavailable

    with pytest.raises(DeadLettersUnavailable):
        DeadLetters(Away()).keep_undecodable(EnforcingBroker(), QUEUE, b"\xff")


def test_such_a_brokers_consumers_are_its_own() -> None:
    """It needs nobody to find what cannot be decoded."""
    broker = EnforcingBroker()
    replace_stack(broker, DeadLetters(MemoryDeadLetterStore()), Retries())

    work(broker, broker.get_actor(job_of(broker).actor_name).queue_name)

    assert "consume" not in vars(broker)


def test_a_message_that_was_given_up_before_it_began_runs_nothing(redis_client: redis.Redis) -> None:
    """One dead letter, category poison; one failed attempt; no claim, no success told, the failure told once."""
    broker = EnforcingBroker()
    letters, history = MemoryDeadLetterStore(), MemoryHistoryStore()
    claims = RedisIdempotencyStore(redis_client, prefix=f"{uuid4().hex}:{{0}}")
    replace_stack(
        broker,
        Metrics(sample_every_s=None),
        recorder := History(history, flush_every_s=0.01),
        DeadLetters(letters),
        Idempotency(claims),
        Callbacks(),
        Retries(max_retries=3),
    )
    reported: list[tuple[str, dict[str, str]]] = []
    ran: list[object] = []

    @dramatiq.actor(broker=broker, queue_name="callbacks")
    def failed(message: object, error: dict[str, str]) -> None:
        reported.append(("failed", error))

    @dramatiq.actor(broker=broker, queue_name="callbacks")
    def succeeded(message: object, result: object) -> None:
        reported.append(("succeeded", {}))

    @dramatiq.actor(broker=broker, queue_name=QUEUE, on_failure="failed", on_success="succeeded")
    def job(payload: dict[str, str]) -> None:
        ran.append(payload)

    message = MessageProxy(job.message({"idempotency_key": "k"}))
    message.fail()
    message.stuff_exception(PoisonMessage("two workers died while it ran alone"))
    with handling(emitted := Emitted()):
        worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
        worker.start()
        broker.queues[QUEUE].unfinished_tasks += 1  # as if it had been fetched
        worker.consumers[QUEUE].handle_message(message)
        assert eventually(lambda: bool(emitted.of("attempts_total")) and bool(reported))
        worker.stop()

    (letter,) = letters.of_every_org().list()
    assert (letter.category, letter.message) == ("poison", "two workers died while it ran alone")
    assert letter.message_id == message.message_id
    (record,) = history.attempts(message.message_id)
    assert (record.outcome, record.error_category) == ("failed", "poison")
    assert recorder.flushed
    assert emitted.labels_of("attempts_total")[0] | {"queue": QUEUE} == {
        "actor": "job",
        "queue": QUEUE,
        "outcome": "failed",
        "category": "poison",
    }
    assert ran == []
    assert [(outcome, error["category"]) for outcome, error in reported] == [("failed", "poison")]
    assert broker.operations == []
    assert broker.parked == []


def test_parked_messages_are_counted_by_what_they_wait_for() -> None:
    """Where the broker knows; what nobody waits for any more falls to nought."""
    looks = iter([{"breaker": 3, "pause": 1}, {"pause": 2}])

    class Knowing(EnforcingBroker):
        def parked_by_cause(self, queue_name: str) -> dict[str, int]:
            return next(looks, {"pause": 2})

    broker = Knowing()
    broker.declare_queue("media")
    sampler = QueueSampler(lambda _, queue: QueueState(1), every_s=0.01)
    with handling(emitted := Emitted()):
        sampler.start(broker)
        assert eventually(lambda: len(emitted.of("queue_parked", cause="pause")) >= 2)
        sampler.stop()

    assert emitted.of("queue_parked", queue="media", cause="breaker")[:2] == [3, 0]
    assert emitted.of("queue_parked", queue="media", cause="pause")[:2] == [1, 2]


def test_a_drain_stops_its_consumers_at_once_where_nothing_is_in_flight() -> None:
    """Their acks need no thread of theirs, so the stop need not wait for it."""
    broker = EnforcingBroker()
    guard = Draining()
    replace_stack(broker, DeadLetters(MemoryDeadLetterStore()), guard, Retries())
    job_of(broker)
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
    stopped: list[bool] = []
    guard._stop_early(worker)  # before it has any: nothing happens
    worker.start()
    try:
        guard._stop_early(worker)
        stopped = [not each.running for each in worker.consumers.values()]
    finally:
        worker.stop()

    assert stopped
    assert all(stopped)
