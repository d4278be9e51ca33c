"""Retries: nothing is lost, only what failed is charged, and what cannot help is not tried."""

import json
import logging
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import TimeLimitExceeded
from dramatiq.middleware.shutdown import Shutdown
from hypothesis import given
from hypothesis import strategies as st

from middleware import Callbacks, Parked, Retries, is_final_attempt
from middleware.retries import ENQUEUE_WAITS_S
from tests.middleware.brokers import work
from tests.middleware.recorded_metrics import Emitted, handling
from tests.middleware.retrying_jobs import QUICK, Fault, Job, Watch


def test_a_failed_message_is_tried_as_often_as_it_may_and_then_rejected(
    bare_broker: dramatiq.Broker, watch: Watch
) -> None:
    """The first attempt and `max_retries` more."""
    job = Job(bare_broker, *[ValueError()] * 9, max_retries=2)

    job.actor.send()
    work(bare_broker, job.queue)

    assert job.runs == 3
    assert [options.get("retries", 0) for options in watch.options] == [0, 1, 2]
    assert len(watch.rejected) == 1


def test_five_parks_leave_a_job_its_one_retry(bare_broker: dramatiq.Broker, watch: Watch) -> None:
    """Parked inside the job, it is charged nothing, and the parks are counted apart."""
    parks = [Parked("waits", delay_ms=1) for _ in range(5)]
    job = Job(bare_broker, *parks, ValueError(), ValueError(), max_retries=1)

    job.actor.send()
    work(bare_broker, job.queue)

    assert job.runs == 7
    assert watch.options[5]["parked"] == {"cause": "waits", "count": 5}
    assert watch.rejected[0]["retries"] == 1


@pytest.mark.parametrize(
    "error",
    [Shutdown(), Fault(retry_after_s=6)],
    ids=["shutdown", "long Retry-After"],
)
def test_what_is_not_the_jobs_fault_costs_no_attempt(error: BaseException) -> None:
    """A worker that stops, a remote service that asks for time."""
    broker, delays = recording_broker()
    job = Job(broker, error, max_retries=0)
    message = job.actor.send()

    process(broker, message, error)

    (delay,) = delays
    assert delay == (0 if isinstance(error, Shutdown) else 6_000)
    assert message.options.get("retries", 0) == 0


def test_a_short_retry_after_is_the_least_of_an_ordinary_back_off() -> None:
    """It is charged, and waited for."""
    broker, delays = recording_broker(Retries(min_backoff=1, max_backoff=1))
    job = Job(broker, max_retries=3)
    message = job.actor.send()

    process(broker, message, Fault(retry_after_s=5))

    assert delays == [5_000]
    assert message.options["retries"] == 1


def test_an_error_that_is_not_retryable_is_final_at_once(bare_broker: dramatiq.Broker, watch: Watch) -> None:
    """By a plain attribute, so that no error has to import us."""
    job = Job(bare_broker, Fault(retryable=False, category="validation"), max_retries=9)

    job.actor.send()
    work(bare_broker, job.queue)

    assert job.runs == 1
    assert watch.rejected[0]["error"]["category"] == "validation"


def test_throws_means_what_it_means_in_dramatiq(bare_broker: dramatiq.Broker, watch: Watch) -> None:
    """An expected class is final."""
    job = Job(bare_broker, KeyError(), max_retries=9, throws=KeyError)

    job.actor.send()
    work(bare_broker, job.queue)

    assert job.runs == 1


def test_retry_when_means_what_it_means_in_dramatiq(bare_broker: dramatiq.Broker, watch: Watch) -> None:
    """A predicate replaces the count."""

    def twice(retries: int, _error: BaseException) -> bool:
        return retries < 2

    queue, runs = f"q{uuid4().hex}", []

    @dramatiq.actor(broker=bare_broker, queue_name=queue, retry_when=twice)
    def judged() -> None:
        runs.append(1)
        raise ValueError

    judged.send()
    work(bare_broker, queue)
    assert len(runs) == 3


def test_a_retry_with_a_delay_of_its_own_waits_that_long() -> None:
    """As in Dramatiq, and it is charged."""
    broker, delays = recording_broker()
    job = Job(broker, max_retries=1)
    message = job.actor.send()

    process(broker, message, dramatiq.Retry(delay=77))

    assert (delays, message.options["retries"]) == ([77], 1)


def test_the_message_keeps_the_kind_of_its_error_and_none_of_its_text(
    bare_broker: dramatiq.Broker, watch: Watch
) -> None:
    """No traceback, no value: class, category and a fingerprint that groups faults of one kind."""
    job = Job(bare_broker, ConnectionError("password hunter2"), max_retries=1)

    job.actor.send()
    work(bare_broker, job.queue)

    kept = watch.options[1]["error"]
    assert kept["class"] == "ConnectionError"
    assert kept["category"] == "network"
    assert len(kept["fingerprint"]) == 12
    assert "hunter2" not in json.dumps(watch.options)
    assert "traceback" not in watch.options[1]


def test_on_retry_exhausted_is_reported(bare_broker: dramatiq.Broker, watch: Watch) -> None:
    """As in Dramatiq, once, with how often it was tried again and how often it could have been."""
    reported: list[tuple[str, dict[str, int]]] = []
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def tell(message: dict[str, Any], counts: dict[str, int]) -> None:
        reported.append((message["message_id"], counts))

    job = Job(bare_broker, *[ValueError()] * 2, max_retries=1, on_retry_exhausted="tell")
    sent = job.actor.send()
    work(bare_broker, job.queue)
    work(bare_broker, queue)

    assert reported == [(sent.message_id, {"retries": 1, "max_retries": 1})]


def test_an_enqueue_that_fails_is_repeated_until_it_succeeds(caplog: pytest.LogCaptureFixture) -> None:
    """A dropped connection in the middle of a retry loses nothing."""
    waits: list[float] = []
    broker, delays = recording_broker(Retries(**QUICK, wait=waits.append))
    job = Job(broker, max_retries=3)
    message = job.actor.send()
    broker.fail_enqueues = len(ENQUEUE_WAITS_S)

    with caplog.at_level(logging.WARNING):
        proxy = process(broker, message, ValueError())

    assert len(delays) == 1
    assert waits == list(ENQUEUE_WAITS_S)
    assert not proxy.failed


def test_an_enqueue_that_fails_to_the_last_rejects_the_message_instead_of_acking_it() -> None:
    """It ends in the dead letters, not nowhere."""
    broker, delays = recording_broker(Retries(**QUICK, wait=lambda _s: None))
    job = Job(broker, max_retries=3)
    message = job.actor.send()
    broker.fail_enqueues = 1_000

    with handling(emitted := Emitted()):
        proxy = process(broker, message, ValueError())

    assert proxy.failed
    assert delays == []
    assert emitted.labels_of("retry_enqueue_failed_total") == [{"actor": "job"}]


@pytest.mark.parametrize("option", ["retries", "max_retries", "min_backoff"])
def test_a_forged_option_rejects_the_message_instead_of_losing_it(option: str) -> None:
    """What cannot be decided on ends in the dead letters, not acked."""
    broker, delays = recording_broker()
    job = Job(broker)
    message = job.actor.send()
    message.options[option] = "many"

    with handling(emitted := Emitted()):
        proxy = process(broker, message, ValueError())

    assert proxy.failed
    assert delays == []
    assert emitted.labels_of("retry_undecided_total") == [{"actor": "job", "error": "ValueError"}]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Parked("waits for ai", delay_ms=1, key="breaker:ai"), "breaker"),
        (Parked("night", delay_ms=1), "night"),
        (Shutdown(), "shutdown"),
        (Fault(retry_after_s=60.0), "retry_after"),
    ],
    ids=["key", "cause", "shutdown", "retry after"],
)
def test_parks_are_counted_by_what_is_waited_for(error: BaseException, cause: str) -> None:
    """Without whose it is: a label has few values."""
    broker, _ = recording_broker()
    message = Job(broker).actor.send()

    with handling(emitted := Emitted()):
        process(broker, message, error)

    assert emitted.labels_of("messages_parked_total") == [{"actor": "job", "cause": cause}]


def test_an_actor_has_a_back_off_of_its_own() -> None:
    """From its first to its longest, whatever the guard's are."""
    broker, delays = recording_broker(Retries(uniform=lambda _low, high: high))
    message = Job(broker, min_backoff=10, max_backoff=25).actor.send()

    for _ in range(3):
        process(broker, message, ValueError())

    assert delays == [10, 20, 25]


def test_a_job_that_succeeds_is_neither_tried_again_nor_rejected() -> None:
    """It is acked, and nothing is kept about it."""
    broker, delays = recording_broker()
    proxy = MessageProxy(Job(broker).actor.send())
    broker.recording = True

    broker.emit_after("process_message", proxy, result=None)

    assert (proxy.failed, delays) == (False, [])
    assert "error" not in proxy.options


def test_a_message_that_another_guard_doomed_is_left_untouched() -> None:
    """It is rejected, not tried again."""
    broker, delays = recording_broker()
    job = Job(broker, max_retries=3)
    proxy = MessageProxy(job.actor.send())
    proxy.fail()

    broker.middleware[-1].after_process_message(broker, proxy, exception=ValueError())

    assert delays == []


def test_a_time_limit_is_an_ordinary_failure() -> None:
    """It is charged."""
    broker, delays = recording_broker()
    job = Job(broker, max_retries=3)
    message = job.actor.send()

    process(broker, message, TimeLimitExceeded())

    assert len(delays) == 1
    assert message.options["retries"] == 1
    assert message.options["error"]["category"] == "timeout"


@given(
    retries=st.integers(0, 60),
    first=st.integers(1, 10_000),
    most=st.integers(10_000, 7 * 24 * 3_600_000),
    draw=st.floats(0, 1),
)
def test_back_off_doubles_up_to_its_bound_with_full_jitter(
    retries: int, first: int, most: int, draw: float
) -> None:
    """Any point between nothing and min(most, first * 2**retries)."""
    bounds: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return low + draw * (high - low)

    broker, delays = recording_broker(
        Retries(min_backoff=first, max_backoff=most, max_retries=99, uniform=uniform)
    )
    job = Job(broker)
    message = job.actor.send_with_options(retries=retries)

    process(broker, message, ValueError())

    assert bounds == [(0, min(most, first * 2 ** min(retries, 32)))]
    assert delays == [int(draw * bounds[0][1])]


def test_a_job_learns_whether_an_error_would_be_its_end(bare_broker: dramatiq.Broker, watch: Watch) -> None:
    """As it then comes about: what is charged and used up, or not retryable, ends it; parks and shutdowns never."""
    asked: list[list[bool]] = []
    queue = f"q{uuid4().hex}"

    def fn() -> None:
        errors = (ValueError(), Fault(retryable=False), Parked("waits", delay_ms=1), Shutdown())
        asked.append([is_final_attempt(error) for error in (*errors, Fault(retry_after_s=6))])
        raise ValueError

    declare = dramatiq.actor(broker=bare_broker, queue_name=queue, actor_name="job", max_retries=1)
    actor: dramatiq.Actor[[], None] = declare(fn)
    actor.send()
    work(bare_broker, queue)

    assert asked == [[False, True, False, False, False], [True, True, False, False, False]]
    assert len(watch.rejected) == 1


def test_outside_an_attempt_every_error_is_the_end() -> None:
    """Nobody would try again; also not in a thread whose last job is over, or was skipped by itself."""
    assert is_final_attempt(ValueError())
    broker, _ = recording_broker(Retries(max_retries=3))
    message = MessageProxy(Job(broker).actor.send())
    for hook, ending in (("process_message", {"exception": ValueError()}), ("skip_message", {})):
        broker.emit_before("process_message", message)
        assert not is_final_attempt(ValueError())
        broker.recording = True
        broker.emit_after(hook, message, **ending)
        assert is_final_attempt(ValueError())


@pytest.mark.parametrize(
    "options", [{"max_retries": -1}, {"min_backoff": 0}, {"min_backoff": 5, "max_backoff": 4}], ids=str
)
def test_nonsense_is_refused_when_the_guard_is_made(options: dict[str, Any]) -> None:
    """With what would make sense."""
    with pytest.raises(ValueError, match="must be at least"):
        Retries(**options)


class RecordingBroker(StubBroker):
    """Remembers with what delays messages are enqueued again, and fails when told to."""

    def __init__(self, retries: Retries) -> None:
        super().__init__(middleware=[Callbacks(), retries])
        self.delays: list[int] = []
        self.fail_enqueues = 0
        self.recording = False

    def enqueue(
        self, message: "dramatiq.Message[Any]", *, delay: int | None = None
    ) -> "dramatiq.Message[Any]":
        if not self.recording:
            return super().enqueue(message, delay=delay)
        if self.fail_enqueues:
            self.fail_enqueues -= 1
            raise ConnectionError("dropped")
        self.delays.append(delay or 0)
        return message


def recording_broker(retries: Retries | None = None) -> tuple[RecordingBroker, list[int]]:
    """A broker and the delays it was asked for."""
    broker = RecordingBroker(retries or Retries())
    return broker, broker.delays


def process(broker: RecordingBroker, message: "dramatiq.Message[Any]", error: BaseException) -> MessageProxy:
    """Let one attempt at the message fail."""
    broker.recording = True
    proxy = MessageProxy(message)
    broker.emit_after("process_message", proxy, exception=error)
    return proxy
