"""The guard that counts."""

import threading
from collections.abc import Iterator
from time import perf_counter
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker

from middleware.metrics.guard import DUE_MS, Metrics
from middleware.metrics.queue_sampler import QueueState, queue_state
from tests.middleware.attempt_outcomes import FATES, Fate, send_to, watched
from tests.middleware.brokers import replace_stack, stored, work
from tests.middleware.eventually import eventually
from tests.middleware.recorded_metrics import Emitted, handling


@pytest.fixture
def emitted() -> Iterator[Emitted]:
    """A handler that hears everything."""
    handler = Emitted()
    with handling(handler):
        yield handler


@pytest.mark.parametrize("fate", FATES.values(), ids=list(FATES))
def test_every_attempt_is_counted_by_its_outcome(
    bare_broker: dramatiq.Broker, emitted: Emitted, fate: Fate
) -> None:
    """Each attempt adds one to its outcome and is timed, and afterwards nothing is in flight."""
    watched(bare_broker, Metrics(sample_every_s=None))

    message = send_to(bare_broker, fate)
    work(bare_broker, message.queue_name)

    of_actor = {"actor": message.actor_name, "queue": message.queue_name}
    counted = [each for each in emitted.labels_of("attempts_total") if each["actor"] == message.actor_name]
    assert tuple(each["outcome"] for each in counted) == fate.outcomes
    assert len(emitted.of("attempt_seconds", **of_actor)) == len(fate.outcomes)
    assert emitted.of("attempts_in_flight", **of_actor) == [1, 0] * len(fate.outcomes)


def test_failures_are_counted_by_category(bare_broker: dramatiq.Broker, emitted: Emitted) -> None:
    """The category of an error is a label, and what went well has none."""
    watched(bare_broker, Metrics(sample_every_s=None))

    message = send_to(bare_broker, FATES["retried"])
    work(bare_broker, message.queue_name)

    assert [each["category"] for each in emitted.labels_of("attempts_total")] == ["network", "none"]


def test_labels_are_few_and_never_say_whose(bare_broker: dramatiq.Broker, emitted: Emitted) -> None:
    """Whatever is sent, labels are actor, queue, outcome and category."""
    watched(bare_broker, Metrics(sample_every_s=None))

    message = send_to(bare_broker, FATES["failed"], {"org_id": "acme"}, org="acme")
    work(bare_broker, message.queue_name)

    labels = [given for _, name, _, given in emitted.values if name != "guard_errors_total"]
    assert set().union(*labels) == {"actor", "queue", "outcome", "category"}
    assert not any("acme" in given.values() for given in labels)


def test_the_wait_in_the_queue_is_timed(bare_broker: dramatiq.Broker, emitted: Emitted) -> None:
    """It runs from when the message was due, not from when it was sent, and never below zero."""
    watched(bare_broker, Metrics(sample_every_s=None))
    message = send_to(bare_broker, FATES["succeeded"])
    (kept,) = stored(bare_broker, message.queue_name)
    assert abs(kept.options[DUE_MS] - message.message_timestamp) < 1_000

    late = message.copy(message_id=str(uuid4()), options={DUE_MS: message.options[DUE_MS] - 60_000})
    early = message.copy(message_id=str(uuid4()), options={DUE_MS: message.options[DUE_MS] + 60_000})
    bare_broker.enqueue(late)
    bare_broker.enqueue(early)
    work(bare_broker, message.queue_name)

    waits = sorted(emitted.of("message_wait_seconds", actor=message.actor_name))
    assert waits[0] == 0
    assert 0 <= waits[1] < 30
    assert 60 <= waits[2] < 90


def test_a_delay_is_no_wait(bare_broker: dramatiq.Broker, emitted: Emitted) -> None:
    """What was sent for later, or comes back after a back-off, is due then; promotion does not change that."""
    watched(bare_broker, Metrics(sample_every_s=None))
    delays: list[tuple[float, int | None]] = []

    class Spy(dramatiq.Middleware):
        def before_enqueue(
            self, broker: dramatiq.Broker, message: "dramatiq.Message[object]", delay: int | None
        ) -> None:
            delays.append((message.options[DUE_MS], delay))

    bare_broker.add_middleware(Spy())
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def later() -> None:
        """Does nothing."""

    message = later.send_with_options(delay=30)
    work(bare_broker, queue)

    (due, delay), *promoted = delays
    assert delay == 30
    # Not every broker enqueues again what comes due.
    assert promoted in ([], [(due, None)])
    assert due >= message.message_timestamp + 30
    assert len(emitted.of("message_wait_seconds", queue=queue)) == 1


@pytest.mark.parametrize("fate", ["retried", "parked"])
def test_what_comes_back_waits_anew(bare_broker: dramatiq.Broker, emitted: Emitted, fate: str) -> None:
    """The wait of a second attempt runs from the end of its back-off or park."""
    watched(bare_broker, Metrics(sample_every_s=None))

    message = send_to(bare_broker, FATES[fate], due_ms=1)
    work(bare_broker, message.queue_name)

    first, second = emitted.of("message_wait_seconds", actor=message.actor_name)
    assert first > 1_000_000
    assert second < 60


def test_jobs_at_the_same_time_are_in_flight_together(bare_broker: dramatiq.Broker, emitted: Emitted) -> None:
    """The gauge counts what the process has in hand, over all its threads."""
    watched(bare_broker, Metrics(sample_every_s=None))
    queue, barrier = f"q{uuid4().hex}", threading.Barrier(3)

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def together() -> None:
        barrier.wait(10)

    for _ in range(3):
        together.send()
    work(bare_broker, queue, threads=3)

    gauge = emitted.of("attempts_in_flight", queue=queue)
    assert max(gauge) == 3
    assert gauge[-1] == 0


def test_messages_for_nobody_are_counted_without_the_name_they_chose(
    bare_broker: dramatiq.Broker, emitted: Emitted
) -> None:
    """A sender cannot make labels up by naming actors that do not exist."""
    watched(bare_broker, Metrics(sample_every_s=None))
    queue = f"q{uuid4().hex}"
    bare_broker.declare_queue(queue)
    bare_broker.enqueue(
        dramatiq.Message(queue_name=queue, actor_name="made-up", args=(), kwargs={}, options={})
    )

    work(bare_broker, queue)

    assert emitted.labels_of("messages_rejected_total") == [{"queue": queue, "cause": "unknown_actor"}]
    assert emitted.labels_of("attempts_total") == []


def test_queues_are_measured_while_a_worker_runs(bare_broker: dramatiq.Broker, emitted: Emitted) -> None:
    """Depth is emitted for each queue from the boot on, and the oldest age where the probe knows it."""
    measured = threading.Event()

    def probe(broker: dramatiq.Broker, queue_name: str) -> QueueState:
        state = queue_state(broker, queue_name)
        assert state is not None
        return QueueState(state.depth, 1.5)

    def heard(kind: object, name: str, value: float, labels: object) -> None:
        if name == "queue_oldest_age_seconds":
            measured.set()

    replace_stack(bare_broker, Metrics(sample_every_s=0.01, probe=probe))
    queue = f"q{uuid4().hex}"
    bare_broker.declare_queue(queue)
    worker = dramatiq.Worker(bare_broker, worker_timeout=20, worker_threads=1)

    with handling(heard):
        worker.start()
        assert measured.wait(10)
        worker.stop()

    assert set(emitted.of("queue_depth", queue=queue)) == {0}
    assert set(emitted.of("queue_oldest_age_seconds", queue=queue)) == {1.5}
    assert not [each for each in threading.enumerate() if each.name == "pressroom-queue-sampler"]


def test_a_broker_that_cannot_be_asked_is_asked_again(emitted: Emitted) -> None:
    """A probe that fails is counted, and neither ends the sampling nor the worker."""
    answers: Iterator[QueueState | Exception] = iter([OSError("away"), QueueState(4)])
    measured = threading.Event()

    def probe(broker: dramatiq.Broker, queue_name: str) -> QueueState:
        answer = next(answers, QueueState(4))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def heard(kind: object, name: str, value: float, labels: object) -> None:
        if name == "queue_depth":
            measured.set()

    broker = StubBroker(middleware=[Metrics(sample_every_s=0.01, probe=probe)])
    broker.declare_queue("images")
    worker = dramatiq.Worker(broker, worker_timeout=20, worker_threads=1)
    with handling(heard):
        worker.start()
        assert measured.wait(10)
        worker.stop()

    assert emitted.of("queue_samples_failed_total") == [1]
    assert emitted.of("queue_depth", queue="images")[0] == 4


def test_every_broker_reports_its_depth(bare_broker: dramatiq.Broker) -> None:
    """What waits and what is delayed is counted, by the broker's own methods."""
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def job() -> None:
        """Does nothing."""

    job.send()
    job.send_with_options(delay=60_000)

    state = queue_state(bare_broker, queue)
    assert state is not None
    assert state.depth == 2


def test_a_broker_that_knows_more_is_asked_for_it() -> None:
    """A broker's own `queue_state` comes before everything that could be counted from outside."""

    class Knowing(StubBroker):
        def queue_state(self, queue_name: str) -> QueueState:
            return QueueState(3, 20.0)

    assert queue_state(Knowing(), "images") == QueueState(3, 20.0)


def test_counting_costs_microseconds() -> None:
    """A whole attempt, from begin to ack, costs well under a millisecond."""
    broker, guard = StubBroker(middleware=[]), Metrics(sample_every_s=None)
    messages = [
        MessageProxy(
            dramatiq.Message(queue_name="q", actor_name="a", args=(), kwargs={}, options={DUE_MS: 1})
        )
        for _ in range(1_000)
    ]

    begun = perf_counter()
    for message in messages:
        guard.before_process_message(broker, message)
        guard.after_process_message(broker, message)
        guard.before_ack(broker, message)
        guard.after_ack(broker, message)
    each_us = (perf_counter() - begun) * 1_000

    assert each_us < 500


@pytest.mark.parametrize("every_s", [0, -1])
def test_a_sampling_interval_of_nothing_is_refused(every_s: float) -> None:
    """The mistake is named where it was made."""
    with pytest.raises(ValueError, match="sample_every_s must be more than 0, or None for never"):
        Metrics(sample_every_s=every_s)


def test_a_worker_whose_calls_fail_is_measured_as_unwell(emitted: Emitted) -> None:
    """By a broker that knows, as long as that is so."""

    class Knowing(StubBroker):
        unwell: str | None = "fetching fails"

    broker = Knowing(middleware=[Metrics(sample_every_s=0.01)])
    worker = dramatiq.Worker(broker, worker_timeout=20, worker_threads=1)
    worker.start()
    assert eventually(lambda: 1 in emitted.of("worker_unwell"))
    broker.unwell = None
    assert eventually(lambda: 0 in emitted.of("worker_unwell"))
    worker.stop()
