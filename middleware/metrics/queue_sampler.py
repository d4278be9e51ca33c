"""How full the queues are, asked now and then, off the jobs' path."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

from dramatiq import Broker
from dramatiq.brokers.stub import StubBroker
from dramatiq.common import dq_name

from ..base.background import Outage, PeriodicThread
from ..base.emit import emit_gauge

#: Seconds between two looks at whether the worker is well, which cost no round trip.
_HEALTH_EVERY_S = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class QueueState:
    """How full a queue is."""

    #: Messages that are not done: waiting, delayed, and where the broker cannot tell them apart, in hand.
    depth: int
    #: Seconds since the oldest waiting message was due; None where the broker cannot tell cheaply.
    oldest_age_s: float | None = None


@runtime_checkable
class KnowsItsQueues(Protocol):
    """What a broker may offer, to be asked for more than the depth."""

    def queue_state(self, queue_name: str) -> QueueState:
        """How full the queue is."""


@runtime_checkable
class KnowsWhyTheyWait(Protocol):
    """What a broker may offer, to be asked why messages are parked."""

    def parked_by_cause(self, queue_name: str) -> Mapping[str, int]:
        """How many of a queue's messages are parked, by what for in one word."""


@runtime_checkable
class KnowsHowItsCallsGo(Protocol):
    """What a broker may offer, to be asked whether this process's worker is well."""

    @property
    def unwell(self) -> str | None:
        """Which of its calls fail, and why; None where it is well."""


#: Asks a broker about one of its queues; None when it cannot tell.
QueueProbe = Callable[[Broker, str], QueueState | None]


def queue_state(broker: Broker, queue_name: str) -> QueueState | None:
    """How full a queue is, as far as the broker's own methods tell.

    A broker with a `queue_state` method is asked by that, RabbitMQ's for its message counts, Redis's for its size,
    which counts messages in hand too.

    Example:
        >>> queue_state(broker, "exports")
        QueueState(depth=12, oldest_age_s=None)
    """
    if isinstance(broker, KnowsItsQueues):
        return broker.queue_state(queue_name)
    if isinstance(broker, StubBroker):
        return QueueState(broker.queues[queue_name].qsize() + broker.queues[dq_name(queue_name)].qsize())
    counts = getattr(broker, "get_queue_message_counts", None)
    if counts is not None:
        ready, delayed, _ = counts(queue_name)
        return QueueState(ready + delayed)
    size = getattr(broker, "do_qsize", None)
    return None if size is None else QueueState(int(size(queue_name)))


class QueueSampler:
    """Emits `queue_depth` and `queue_oldest_age_seconds` for every declared queue, `queue_parked` by cause where the
    broker knows causes, and `worker_unwell` where it knows that.

    Parameters:
      probe: Asks the broker; one round trip a queue with `queue_state`, and one for the causes.
      every_s: Seconds between two looks.
    """

    def __init__(self, probe: QueueProbe, every_s: float) -> None:
        self._probe = probe
        self._every_s = every_s
        self._parked: defaultdict[str, set[str]] = defaultdict(set)
        self._thread: PeriodicThread | None = None
        self._health: PeriodicThread | None = None

    def start(self, broker: Broker) -> None:
        """Look at once, and from then on every `every_s` seconds."""
        self._thread = PeriodicThread(
            "queue-sampler",
            partial(self._sample, broker),
            self._every_s,
            at_once=True,
            outage=Outage(
                logger,
                "Queues cannot be measured: %s",
                "Queues are measured again.",
                counter="queue_samples_failed_total",
            ),
        )
        self._thread.start()
        if isinstance(broker, KnowsHowItsCallsGo):
            every_s = min(self._every_s, _HEALTH_EVERY_S)
            self._health = PeriodicThread(
                "health-sampler", partial(_sample_health, broker), every_s, at_once=True
            )
            self._health.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Look no more; a look that hangs is left behind."""
        for thread in (self._thread, self._health):
            if thread is not None:
                thread.stop(timeout_s)

    def _sample(self, broker: Broker) -> None:
        for name in sorted(broker.get_declared_queues() - broker.get_declared_delay_queues()):
            self._emit(name, self._probe(broker, name))
            if isinstance(broker, KnowsWhyTheyWait):
                self._emit_parked(name, broker.parked_by_cause(name))

    def _emit_parked(self, name: str, counts: Mapping[str, int]) -> None:
        # A gauge stays where it was left: what nobody waits for any more is 0.
        self._parked[name] |= counts.keys()
        for cause in self._parked[name]:
            emit_gauge("queue_parked", counts.get(cause, 0), {"queue": name, "cause": cause})

    def _emit(self, name: str, state: QueueState | None) -> None:
        if state is None:
            return
        emit_gauge("queue_depth", state.depth, {"queue": name})
        if state.oldest_age_s is not None:
            emit_gauge("queue_oldest_age_seconds", state.oldest_age_s, {"queue": name})


def _sample_health(broker: KnowsHowItsCallsGo) -> None:
    emit_gauge("worker_unwell", int(broker.unwell is not None))
