"""The guard that keeps one trace from `send` to the last retry."""

import time
from collections.abc import Iterator, Sequence
from time import perf_counter
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from middleware import GuardError
from middleware.base.guard import Guard
from middleware.tracing import ERRORS, Tracing
from tests.middleware.attempt_outcomes import FATES, Fate, Faulty, send_to, watched
from tests.middleware.brokers import replace_stack, stored, work


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Holds the spans that ended."""
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    """An SDK as an application has it."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


def of_kind(spans: Sequence[ReadableSpan], kind: SpanKind) -> list[ReadableSpan]:
    """Those spans, in the order they began."""
    return sorted((span for span in spans if span.kind is kind), key=lambda span: span.start_time or 0)


def reported(span: ReadableSpan) -> dict[str, object]:
    """What a span says."""
    return dict(span.attributes or {})


@pytest.mark.parametrize("fate", FATES.values(), ids=list(FATES))
def test_a_message_is_one_trace_whatever_it_goes_through(
    bare_broker: dramatiq.Broker, exporter: InMemorySpanExporter, provider: TracerProvider, fate: Fate
) -> None:
    """One producer span at send, one consumer span below it for each attempt, each with its outcome."""
    watched(bare_broker, Tracing(tracer_provider=provider))

    message = send_to(bare_broker, fate, org="acme")
    work(bare_broker, message.queue_name)

    spans = exporter.get_finished_spans()
    (producer,) = of_kind(spans, SpanKind.PRODUCER)
    consumers = of_kind(spans, SpanKind.CONSUMER)
    assert producer.name == f"send {message.queue_name}"
    assert {span.name for span in consumers} == {f"process {message.queue_name}"}
    assert {span.parent.span_id for span in consumers if span.parent} == {producer.context.span_id}
    assert {span.context.trace_id for span in spans} == {producer.context.trace_id}
    assert tuple(reported(span)["messaging.dramatiq.outcome"] for span in consumers) == fate.outcomes
    expected = [StatusCode.ERROR if each in ERRORS else StatusCode.UNSET for each in fate.outcomes]
    assert [span.status.status_code for span in consumers] == expected


def test_spans_say_what_the_conventions_ask_for(
    bare_broker: dramatiq.Broker, exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    """Both spans name system, operation, destination and message; the attempt names the error by class."""
    watched(bare_broker, Tracing(tracer_provider=provider))

    message = send_to(bare_broker, FATES["failed"], org="acme")
    work(bare_broker, message.queue_name)

    spans = exporter.get_finished_spans()
    (producer,), (consumer,) = of_kind(spans, SpanKind.PRODUCER), of_kind(spans, SpanKind.CONSUMER)
    common = {
        "messaging.system": "dramatiq",
        "messaging.destination.name": message.queue_name,
        "messaging.message.id": message.message_id,
        "messaging.dramatiq.actor": message.actor_name,
        "messaging.dramatiq.org": "acme",
    }
    assert reported(producer) == common | {
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }
    fingerprint = reported(consumer)["messaging.dramatiq.fingerprint"]
    assert reported(consumer) == common | {
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.dramatiq.attempt": 1,
        "messaging.dramatiq.outcome": "failed",
        "messaging.dramatiq.error_category": "network",
        "messaging.dramatiq.fingerprint": fingerprint,
        "error.type": f"{Faulty.__module__}.Faulty",
    }
    assert consumer.status.description == "network"
    assert consumer.events == ()


def test_what_a_job_does_and_sends_is_in_its_trace(
    bare_broker: dramatiq.Broker, exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    """The attempt is the current span while the job runs, and no longer."""
    watched(bare_broker, Tracing(tracer_provider=provider))
    queue, after = f"q{uuid4().hex}", []

    class Spy(dramatiq.Middleware):
        def after_ack(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
            after.append(trace.get_current_span().get_span_context().is_valid)

    bare_broker.add_middleware(Spy())

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def second() -> None:
        """Does nothing."""

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def first() -> None:
        with provider.get_tracer("job").start_as_current_span("query"):
            second.send()

    with provider.get_tracer("web").start_as_current_span("request") as request:
        first.send()
    work(bare_broker, queue)

    spans = exporter.get_finished_spans()
    by_id = {span.context.span_id: span for span in spans}
    second_attempt = of_kind(spans, SpanKind.CONSUMER)[1]
    chain = [second_attempt.name]
    current = second_attempt
    while current.parent is not None:
        current = by_id[current.parent.span_id]
        chain.append(current.name)
    assert chain == [
        f"process {queue}",
        f"send {queue}",
        "query",
        f"process {queue}",
        f"send {queue}",
        "request",
    ]
    assert {span.context.trace_id for span in spans} == {request.get_span_context().trace_id}
    assert after == [False, False]


def test_the_span_lasts_as_long_as_the_attempt(
    bare_broker: dramatiq.Broker, exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    """It ends where the function did, not where the broker let go of the message."""
    watched(bare_broker, Tracing(tracer_provider=provider))
    queue, moments = f"q{uuid4().hex}", []

    class Spy(dramatiq.Middleware):
        def before_ack(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
            moments.append(time.time_ns())

    bare_broker.add_middleware(Spy())

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def job() -> None:
        moments.append(time.time_ns())

    job.send()
    work(bare_broker, queue)

    (span,) = of_kind(exporter.get_finished_spans(), SpanKind.CONSUMER)
    ran, acked = moments
    assert span.start_time is not None
    assert span.end_time is not None
    # Two clocks are read, and one of them in microseconds.
    slack_ns = 5_000_000
    assert span.start_time <= ran + slack_ns
    assert ran - slack_ns <= span.end_time <= acked + slack_ns


def test_a_delayed_message_goes_by_the_name_of_its_queue(
    bare_broker: dramatiq.Broker, exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    """Brokers keep it in another queue for a while, which nobody asked about; moving it makes no span."""
    watched(bare_broker, Tracing(tracer_provider=provider))
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def later() -> None:
        """Does nothing."""

    later.send_with_options(delay=5)
    work(bare_broker, queue)

    names = [span.name for span in exporter.get_finished_spans()]
    assert sorted(names) == [f"process {queue}", f"send {queue}"]


def test_a_trace_that_comes_with_the_message_goes_on(
    bare_broker: dramatiq.Broker, exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    """What an outbox kept with the message counts, not what the relay does when it sends it."""
    watched(bare_broker, Tracing(tracer_provider=provider))
    kept = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    with provider.get_tracer("relay").start_as_current_span("relay"):
        message = send_to(bare_broker, FATES["succeeded"], traceparent=kept)

    (producer,) = of_kind(exporter.get_finished_spans(), SpanKind.PRODUCER)
    assert f"{producer.context.trace_id:032x}" == "4bf92f3577b34da6a3ce929d0e0e4736"
    (there,) = stored(bare_broker, message.queue_name)
    assert there.options["traceparent"].split("-")[2] == f"{producer.context.span_id:016x}"


@pytest.mark.parametrize("junk", ["", "00-zz-zz-01", 7, None, ["x"], {"a": "b"}])
def test_a_trace_context_that_is_none_begins_a_trace(
    exporter: InMemorySpanExporter, provider: TracerProvider, junk: object
) -> None:
    """Whoever writes into the queue cannot break the guard."""
    broker = StubBroker(middleware=[Tracing(tracer_provider=provider)])
    fate = FATES["succeeded"]

    message = send_to(broker, fate, traceparent=junk, tracestate=junk)
    work(broker, message.queue_name)

    producer, consumer = exporter.get_finished_spans()
    assert producer.context.trace_id == consumer.context.trace_id


def test_a_send_that_was_refused_shows_as_an_error(
    exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    """Its span ends when the thread sends again, and is marked."""

    class Refusing(Guard):
        def check(
            self, broker: dramatiq.Broker, message: "dramatiq.Message[object]", delay: int | None
        ) -> None:
            if message.options.get("refuse"):
                raise GuardError("no")

    broker = StubBroker(middleware=[])
    replace_stack(broker, Tracing(tracer_provider=provider), Refusing())

    with pytest.raises(GuardError):
        send_to(broker, FATES["succeeded"], refuse=True)
    send_to(broker, FATES["succeeded"])

    refused, sent = of_kind(exporter.get_finished_spans(), SpanKind.PRODUCER)
    assert (refused.status.status_code, refused.status.description) == (StatusCode.ERROR, "not enqueued")
    assert sent.status.status_code is StatusCode.UNSET


def test_a_trace_that_is_not_sampled_stays_so() -> None:
    """The sender's decision travels with the message, and no span is made for it."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    broker = StubBroker(middleware=[Tracing(tracer_provider=provider)])
    unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"

    message = send_to(broker, FATES["succeeded"], traceparent=unsampled)
    (there,) = stored(broker, message.queue_name)
    work(broker, message.queue_name)

    assert exporter.get_finished_spans() == ()
    assert there.options["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    assert there.options["traceparent"].endswith("-00")
    provider.shutdown()


def test_without_an_sdk_messages_stay_as_they_are(bare_broker: dramatiq.Broker) -> None:
    """Where nobody traces nothing is written into messages, and jobs run."""
    watched(bare_broker, Tracing())

    message = send_to(bare_broker, FATES["succeeded"])
    (there,) = stored(bare_broker, message.queue_name)
    work(bare_broker, message.queue_name)

    assert "traceparent" not in there.options


def test_without_an_sdk_it_costs_microseconds() -> None:
    """A message, from send to ack, costs well under a millisecond."""
    broker, guard = StubBroker(middleware=[]), Tracing()
    messages: list[dramatiq.Message[object]] = [
        dramatiq.Message(queue_name="q", actor_name="a", args=(), kwargs={}, options={}) for _ in range(1_000)
    ]

    begun = perf_counter()
    for message in messages:
        guard.before_enqueue(broker, message, None)
        guard.after_enqueue(broker, message, None)
        proxy = MessageProxy(message)
        guard.before_process_message(broker, proxy)
        guard.after_process_message(broker, proxy)
        guard.before_ack(broker, proxy)
        guard.after_ack(broker, proxy)
    each_us = (perf_counter() - begun) * 1_000

    assert each_us < 500
