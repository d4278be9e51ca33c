"""Counts what the jobs do, and how long they wait and take."""

import threading
import time
from collections import defaultdict
from typing import Any

from dramatiq import Broker, Message, Worker
from dramatiq.broker import MessageProxy
from dramatiq.errors import ActorNotFound

from ..base.emit import emit_counter, emit_gauge, emit_metric, labels_of
from ..base.observer import Attempt, Observer, Option, Position
from .queue_sampler import QueueProbe, QueueSampler, queue_state

#: The message option that says from when on a worker could have had the message: milliseconds since 1970.
DUE_MS = "due_ms"

#: How often queues are measured, in seconds.
DEFAULT_SAMPLE_EVERY_S = 15.0

#: The label of what has no error, and of an actor that this process does not know.
NONE = "none"


class Metrics(Observer):
    """Emits what happens to every message, to whatever handlers were added with `add_metric_handler`.

    Without it nobody sees that an actor fails more often than yesterday, or that its queue grows. Emitted are

    - `attempts_total` by actor, queue, outcome and category, the outcomes being succeeded, failed, retried, parked,
      skipped, cancelled, expired and died;
    - `attempt_seconds`, a timer, and `attempts_in_flight`, a gauge, by actor and queue;
    - `message_wait_seconds`, a timer by actor and queue: from when a message was due to when a worker had it;
    - `messages_rejected_total` by queue and cause: messages that no actor of this build could be given;
    - `queue_depth` and, where the broker knows them, `queue_oldest_age_seconds` by queue and `queue_parked` by queue
      and cause;
    - `worker_unwell`, where the broker knows: 1 while calls of this process's worker fail although the server answers.

    Labels have few values each: never an org, an id or a text of an error. Other guards emit their own: parks by
    cause, breakers, dead letters. Costs some microseconds a message and no round trip; measuring costs one round
    trip a queue every `sample_every_s` seconds in each process.

    Parameters:
      sample_every_s: Seconds between two measurements of the queues; None for none. Default 15.
      probe: Asks the broker how full a queue is. Default `queue_state`, which knows Dramatiq's brokers and
        every broker with a `queue_state` method.

    Example:
      >>> add_metric_handler(PrometheusHandler())
      >>> broker.add_middleware(Metrics())
    """

    position = Position.COUNT
    message_options = (Option(DUE_MS, "life"),)

    def __init__(
        self, *, sample_every_s: float | None = DEFAULT_SAMPLE_EVERY_S, probe: QueueProbe = queue_state
    ) -> None:
        if sample_every_s is not None and sample_every_s <= 0:
            raise ValueError(f"sample_every_s must be more than 0, or None for never; not {sample_every_s}")
        super().__init__()
        self._sampler = None if sample_every_s is None else QueueSampler(probe, sample_every_s)
        self._in_flight: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._lock = threading.Lock()

    def before_enqueue(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        super().before_enqueue(broker, message, delay)
        # A delayed message that comes due is enqueued again, without a delay; it has been due since then.
        if delay is not None or DUE_MS not in message.options:
            message.options[DUE_MS] = _now_ms() + (delay or 0)

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        if self._sampler is not None:
            self._sampler.start(broker)

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        if self._sampler is not None:
            self._sampler.stop()

    def began(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        attempt.kept[id(self)] = True
        self._count_in_flight(message, 1)
        due_ms = message.options.get(DUE_MS)
        if isinstance(due_ms, int | float):
            waited_s = max(0.0, (_now_ms() - due_ms) / 1_000)
            emit_metric("timer", "message_wait_seconds", waited_s, labels_of(message))

    def processed(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        if attempt.kept.pop(id(self), False):
            self._count_in_flight(message, -1)

    def ended(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        self.processed(broker, message, attempt)
        emit_metric("timer", "attempt_seconds", attempt.duration_ms / 1_000, labels_of(message))
        category = attempt.error_category or NONE
        emit_counter("attempts_total", labels_of(message, outcome=str(attempt.outcome), category=category))

    def rejected(self, broker: Broker, message: MessageProxy) -> None:
        # The actor's name is the sender's to choose, so it is no label.
        cause = "unknown_actor" if isinstance(message._exception, ActorNotFound) else "other"
        emit_counter("messages_rejected_total", {"queue": message.queue_name, "cause": cause})

    def _count_in_flight(self, message: MessageProxy, change: int) -> None:
        key = message.actor_name, message.queue_name
        with self._lock:
            self._in_flight[key] += change
            # Under the lock, or an older count could be emitted last and stay.
            emit_gauge("attempts_in_flight", self._in_flight[key], labels_of(message))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
