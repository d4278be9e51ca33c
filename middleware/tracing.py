"""One trace from `send` to the last retry, in OpenTelemetry's terms, without a payload or an error's text in it."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from dramatiq import Broker, Message
from dramatiq.broker import MessageProxy
from dramatiq.common import q_name

from .base.messages import org_of
from .base.observer import Attempt, Observer, Option, Position

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider

#: What spans call the messaging system.
SYSTEM = "dramatiq"

#: Outcomes that make a span an error. What is parked, skipped or cancelled went as it should.
ERRORS = ("failed", "retried", "expired", "died")


class Tracing(Observer):
    """Writes a span for each message sent and for each attempt at it, all in the sender's trace.

    Without it a trace ends where a request enqueues a job. With it the first `send` makes a span of kind producer
    and puts its W3C trace context into the message's options, `traceparent` and `tracestate`, where it stays over
    retries and parks; each attempt is a span of kind consumer below it, and current while the job runs, so that
    what the job calls and sends joins the trace. A message that carries a trace context before it is first sent,
    from an outbox for example, continues that one.

    Spans follow the semantic conventions for messaging, with `messaging.dramatiq.actor`, `.attempt`, `.outcome`,
    `.org`, `.cause`, `.error_category` and `.fingerprint` besides, and `error.type` for the class. Neither
    payloads nor the text of errors are recorded. A span of a send that was refused or that failed ends, as an
    error, when its thread sends again.

    Where the process has no OpenTelemetry SDK the guard costs some microseconds a message. No round trips.

    Parameters:
      tracer_provider: Makes the tracer. Default None: the process's own, as OpenTelemetry is configured.

    Raises:
      ImportError: OpenTelemetry is missing; install `pressroom[otel]`.

    Example:
      >>> broker.add_middleware(Tracing())
    """

    position = Position.TRACE
    message_options = (Option("traceparent", "caller"), Option("tracestate", "caller"))

    def __init__(self, *, tracer_provider: "TracerProvider | None" = None) -> None:
        super().__init__()
        try:
            from opentelemetry import context, trace
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise ImportError("Tracing needs OpenTelemetry; install pressroom[otel]") from error
        self._context = context
        self._trace = trace
        # Only the trace context: baggage may hold anything, and a message is no place for it.
        self._propagator = TraceContextTextMapPropagator()
        self._tracer = trace.get_tracer("pressroom", tracer_provider=tracer_provider)

    def check(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        self._end_what_was_not_sent()
        queue = q_name(message.queue_name)
        # Where the message has no trace context of its own, this gives back the current one.
        parent = self._propagator.extract(_carried(message), context=self._context.get_current())
        span = self._tracer.start_span(
            f"send {queue}",
            context=parent,
            kind=self._trace.SpanKind.PRODUCER,
            attributes=_attributes(message, "send", queue),
        )
        self._propagator.inject(message.options, context=self._trace.set_span_in_context(span, parent))
        if span.is_recording():
            _unsent.set((span, message.message_id))

    def after_enqueue(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        span, message_id = _unsent.get() or (None, "")
        if span is not None and message_id == message.message_id:
            _unsent.set(None)
            # Only now: guards below fill it in.
            org = org_of(message)
            if org is not None:
                span.set_attribute("messaging.dramatiq.org", org)
            span.end()

    def began(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        parent = self._propagator.extract(_carried(message), context=self._context.Context())
        span = self._tracer.start_span(
            f"process {message.queue_name}",
            context=parent,
            kind=self._trace.SpanKind.CONSUMER,
            attributes=_attributes(message, "process", message.queue_name),
            start_time=_start_ns(attempt),
        )
        token = self._context.attach(self._trace.set_span_in_context(span, parent))
        attempt.kept[id(self)] = span, token

    def processed(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        span, token = attempt.kept.get(id(self), (None, None))
        if token is not None:
            attempt.kept[id(self)] = span, None
            self._context.detach(token)

    def ended(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        span, _ = attempt.kept.pop(id(self), (None, None))
        if span is None or not span.is_recording():
            return
        reported = {
            "messaging.dramatiq.attempt": attempt.number,
            "messaging.dramatiq.outcome": attempt.outcome,
            "messaging.dramatiq.org": org_of(message),
            "messaging.dramatiq.cause": attempt.cause,
            "messaging.dramatiq.error_category": attempt.error_category,
            "messaging.dramatiq.fingerprint": attempt.fingerprint,
            "error.type": attempt.error_class,
        }
        span.set_attributes({name: value for name, value in reported.items() if value is not None})
        if attempt.outcome in ERRORS:
            span.set_status(self._trace.StatusCode.ERROR, attempt.error_category or attempt.outcome)
        # What the job took, without what came after it.
        span.end(_start_ns(attempt) + int(attempt.duration_ms * 1_000_000))

    def _end_what_was_not_sent(self) -> None:
        span, _ = _unsent.get() or (None, "")
        if span is not None:
            _unsent.set(None)
            span.set_status(self._trace.StatusCode.ERROR, "not enqueued")
            span.end()


#: The span of the message that is about to be enqueued here, and the message's id.
_unsent: ContextVar["tuple[Span, str] | None"] = ContextVar("pressroom_unsent", default=None)


def _start_ns(attempt: Attempt) -> int:
    return int(attempt.started_at.timestamp() * 1_000_000) * 1_000


def _carried(message: "MessageProxy | Message[Any]") -> dict[str, str]:
    names = ("traceparent", "tracestate")
    return {name: message.options[name] for name in names if isinstance(message.options.get(name), str)}


def _attributes(
    message: "MessageProxy | Message[Any]", operation: str, queue: str
) -> dict[str, str | int | float | bool]:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
        "messaging.message.id": message.message_id,
        "messaging.dramatiq.actor": message.actor_name,
    }
