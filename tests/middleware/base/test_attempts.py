"""What became of an attempt, as the guards that watch are told."""

import threading
from collections import defaultdict
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries as DramatiqRetries

from middleware import Parked
from middleware.base.attempts import Attempt, delivery_of, word
from middleware.base.observer import Observer
from tests.middleware.attempt_outcomes import FATES, Fate, Faulty, Overloaded, send_to, watched
from tests.middleware.brokers import work
from tests.middleware.recorded_metrics import Emitted, handling


class Listener(Observer):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.reported: list[tuple[str, Attempt]] = []
        self.rejections: list[str] = []
        self.by_message: defaultdict[str, list[Attempt]] = defaultdict(list)
        self.over = threading.Event()

    def began(self, broker: dramatiq.Broker, message: MessageProxy, attempt: Attempt) -> None:
        self.reported.append(("began", attempt))

    def processed(self, broker: dramatiq.Broker, message: MessageProxy, attempt: Attempt) -> None:
        self.reported.append(("processed", attempt))

    def ended(self, broker: dramatiq.Broker, message: MessageProxy, attempt: Attempt) -> None:
        self.reported.append(("ended", attempt))
        self.by_message[message.message_id].append(attempt)
        self.over.set()

    def left(self, broker: dramatiq.Broker, message: MessageProxy, attempt: Attempt) -> None:
        self.reported.append(("left", attempt))

    def rejected(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        self.rejections.append(message.message_id)

    def attempts_at(self, message: "dramatiq.Message[object]") -> list[Attempt]:
        return self.by_message[message.message_id]

    @property
    def ended_attempts(self) -> list[Attempt]:
        return [attempt for what, attempt in self.reported if what == "ended"]


class Broken(Observer):
    """Fails whatever it is told."""

    def began(self, broker: dramatiq.Broker, message: MessageProxy, attempt: Attempt) -> None:
        raise RuntimeError("began")

    def processed(self, broker: dramatiq.Broker, message: MessageProxy, attempt: Attempt) -> None:
        raise RuntimeError("processed")

    def ended(self, broker: dramatiq.Broker, message: MessageProxy, attempt: Attempt) -> None:
        raise RuntimeError("ended")


@pytest.mark.parametrize("fate", FATES.values(), ids=list(FATES))
def test_every_attempt_has_the_outcome_it_had(bare_broker: dramatiq.Broker, fate: Fate) -> None:
    """Whatever a message goes through, each attempt is told once, from its begin to its end, with its outcome."""
    listener = Listener()
    watched(bare_broker, listener)

    message = send_to(bare_broker, fate)
    work(bare_broker, message.queue_name.removesuffix(".DQ"))

    assert tuple(attempt.outcome for attempt in listener.ended_attempts) == fate.outcomes
    steps = [what for what, _ in listener.reported]
    assert steps == ["began", "processed", "ended", "left"] * len(fate.outcomes)


@pytest.mark.parametrize("fate", ["succeeded", "failed", "retried", "parked"])
def test_the_outcome_does_not_depend_on_the_place_in_the_stack(
    bare_broker: dramatiq.Broker, fate: str
) -> None:
    """A guard that a stranger adds last, behind Dramatiq's own retries, is told the same."""
    listener = Listener()
    for vanilla in [each for each in bare_broker.middleware if isinstance(each, DramatiqRetries)]:
        vanilla.min_backoff = vanilla.max_backoff = 1
    bare_broker.add_middleware(listener)

    message = send_to(bare_broker, FATES[fate])
    work(bare_broker, message.queue_name.removesuffix(".DQ"))

    assert tuple(attempt.outcome for attempt in listener.ended_attempts) == FATES[fate].outcomes


def test_a_failure_is_known_by_class_category_and_fingerprint(bare_broker: dramatiq.Broker) -> None:
    """What is kept of an error tells kinds of faults apart and quotes nothing."""
    listener = Listener()
    watched(bare_broker, listener)

    work(bare_broker, send_to(bare_broker, FATES["failed"]).queue_name)

    (attempt,) = listener.ended_attempts
    assert attempt.error_class == f"{Faulty.__module__}.Faulty"
    assert attempt.error_category == "network"
    assert attempt.fingerprint is not None
    assert len(attempt.fingerprint) == 12


def test_attempts_are_numbered_by_what_they_cost(bare_broker: dramatiq.Broker) -> None:
    """A retry is the second attempt; what comes back from a park is the first again."""
    listener = Listener()
    watched(bare_broker, listener)

    retried = send_to(bare_broker, FATES["retried"])
    parked = send_to(bare_broker, FATES["parked"], queue=retried.queue_name)
    work(bare_broker, retried.queue_name)

    assert [attempt.number for attempt in listener.attempts_at(retried)] == [1, 2]
    assert [attempt.number for attempt in listener.attempts_at(parked)] == [1, 1]
    assert [attempt.cause for attempt in listener.attempts_at(parked)] == ["night", None]


def test_a_remote_service_that_asks_for_patience_parks(bare_broker: dramatiq.Broker) -> None:
    """A long `Retry-After` is told as a park, since it costs no retry, and keeps what caused it."""
    listener = Listener()
    watched(bare_broker, listener)
    fate = Fate(Overloaded, ("parked",), {})
    worker = dramatiq.Worker(bare_broker, worker_timeout=20, worker_threads=1)

    send_to(bare_broker, fate)
    worker.start()
    assert listener.over.wait(10)
    worker.stop()

    assert [(each.outcome, each.error_category) for each in listener.ended_attempts] == [
        ("parked", "rate_limited")
    ]


def test_without_retries_a_failed_attempt_is_the_end() -> None:
    """Where nothing enqueues a failed message again it failed, although Dramatiq acks it."""
    broker, listener = StubBroker(middleware=[]), Listener()
    broker.add_middleware(listener)

    work(broker, send_to(broker, FATES["failed"]).queue_name)

    assert [attempt.outcome for attempt in listener.ended_attempts] == ["failed"]


def test_a_message_for_nobody_is_reported_as_rejected(bare_broker: dramatiq.Broker) -> None:
    """What no actor of this build can be given never was an attempt, and is not lost sight of."""
    listener = Listener()
    watched(bare_broker, listener)
    queue = f"q{uuid4().hex}"
    bare_broker.declare_queue(queue)
    message: dramatiq.Message[object] = dramatiq.Message(
        queue_name=queue, actor_name="nobody", args=(), kwargs={}, options={}
    )

    bare_broker.enqueue(message)
    work(bare_broker, queue)

    assert listener.rejections == [message.message_id]
    assert listener.reported == []


def test_what_watches_cannot_break_what_it_watches(bare_broker: dramatiq.Broker) -> None:
    """A job runs, and another guard is told of it, beside one that fails at every step; each failure is counted."""
    listener, emitted = Listener(), Emitted()
    watched(bare_broker, Broken(), listener)

    with handling(emitted):
        work(bare_broker, send_to(bare_broker, FATES["retried"]).queue_name)

    assert [attempt.outcome for attempt in listener.ended_attempts] == ["retried", "succeeded"]
    decisions = [each["decision"] for each in emitted.labels_of("guard_errors_total")]
    assert decisions == ["begin", "process", "end"] * 2


def test_an_end_that_nobody_reported_is_no_success() -> None:
    """An interrupt that kept the after-hooks from running leaves an attempt that died."""
    message = MessageProxy(dramatiq.Message(queue_name="q", actor_name="a", args=(), kwargs={}, options={}))
    attempt = delivery_of(message).begin(message)

    assert attempt.conclude(message) == "died"
    assert attempt.finished_at is not None
    assert delivery_of(message).attempt is attempt


def test_nothing_of_an_exception_is_kept_alive() -> None:
    """An attempt keeps words about an exception, not the exception with its frames."""
    message = MessageProxy(dramatiq.Message(queue_name="q", actor_name="a", args=(), kwargs={}, options={}))
    attempt = delivery_of(message).begin(message)

    attempt.finish(Parked("night", delay_ms=1))

    assert [value for value in vars(attempt).values() if isinstance(value, BaseException)] == []


def test_a_repeated_ack_reports_nobody_twice() -> None:
    """Brokers run the ack's hooks again when the connection was lost."""
    message = MessageProxy(dramatiq.Message(queue_name="q", actor_name="a", args=(), kwargs={}, options={}))
    listener, broker = Listener(), StubBroker(middleware=[])
    listener.before_process_message(broker, message)
    listener.after_process_message(broker, message)

    listener.before_ack(broker, message)
    listener.before_ack(broker, message)

    assert len(listener.ended_attempts) == 1
    assert delivery_of(message).is_first_report("something else", listener)


@pytest.mark.parametrize("category", ["hunter2", "Nope", "", "a b", "x" * 33])
def test_a_category_that_is_no_word_is_unknown(category: str) -> None:
    """Anybody's exception may carry anything as its category; labels and columns take words."""
    assert word(category) == "unknown"
