"""Draining: a worker that stops begins nothing new, lets what it has end, and hands the rest back uncharged."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from dramatiq import Actor, Broker, Worker
from dramatiq.broker import MessageProxy
from dramatiq.common import iter_queue
from dramatiq.middleware.shutdown import Shutdown

from .base.classification import class_name
from .base.delegation import SupportsAckOperations, is_dramatiq_redis
from .base.emit import emit_counter, labels_of
from .base.errors import Parked
from .base.guard import Guard, Outcome, Position
from .base.interrupts import Window, make_interruptible, window_of
from .base.stop_signals import catch_repeated_signals

#: Seconds that running jobs may take to end: less than the 30 that Kubernetes gives a pod by default.
DEFAULT_DRAIN_S = 25.0

#: Seconds that interrupted jobs may take to clean up after themselves.
DEFAULT_UNWIND_S = 1.0

#: How often fetched messages are looked for meanwhile, in seconds.
_LOOK_S = 0.05
#: How long handing back may take at the very end, in seconds; the message broker may be away.
_HAND_BACK_S = 2.0

logger = logging.getLogger(__name__)


class Draining(Guard[int]):
    """Ends a worker's work in an orderly way and in a bounded time.

    Without it a stopping worker waits up to ten minutes for what runs, keeps what it has fetched to itself all the
    while, may still begin some of it, and is killed by its supervisor half a minute later, in the middle of
    everything. With it, from the moment the worker is told to stop,

    - no job begins, and messages that were fetched and not begun go back at once;
    - what runs may end by itself within `drain_s`;
    - what runs then gets `Shutdown` raised inside its function, once, and `unwind_s` to clean up; `Retries` hands
      its message back with the attempt uncharged;
    - what cannot be interrupted, inside C code, is given up: its message is handed back uncharged, its thread ends
      with the process, and `clean` is False, for whoever decides the exit code.

    Under Dramatiq's own command it begins with the signal, and signals that follow within two seconds are the same
    request, as when a whole group is signalled; a later one ends the process at once.

    Costs no round trip while the worker runs. Needs CPython without gevent for the interrupts.

    Parameters:
      drain_s: Seconds that running jobs may take to end. Default 25.
      unwind_s: Seconds that interrupted jobs may take to clean up. Default 1.
      monotonic: Seconds that only go forward. Default `time.monotonic`.

    Example:
      >>> broker.add_middleware(Draining(drain_s=25))
    """

    position = Position.DRAIN

    def __init__(
        self,
        *,
        drain_s: float = DEFAULT_DRAIN_S,
        unwind_s: float = DEFAULT_UNWIND_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if drain_s < 0 or unwind_s < 0:
            raise ValueError(f"drain_s and unwind_s must be at least 0, not {drain_s} and {unwind_s}")
        super().__init__()
        self.drain_s = drain_s
        self.unwind_s = unwind_s
        self._monotonic = monotonic
        #: By thread. A dict's own operations are atomic: an interrupt that lands in a hook leaves no lock taken.
        self._running: dict[int, tuple[MessageProxy, Window]] = {}
        self._stop: _Stop | None = None

    @property
    def draining(self) -> bool:
        """Return whether the worker of this process is to stop."""
        return self._stop is not None and self._stop.begun.is_set()

    @property
    def clean(self) -> bool:
        """Return whether nothing had to be abandoned; True as long as nothing was."""
        return self._stop is None or self._stop.clean

    def begin(self) -> None:
        """Stop now, without waiting: for a signal's handler. Dramatiq's own stop does the same, a little later."""
        stop = self._stop
        if stop is not None and not stop.begun.is_set():
            for thread in stop.worker.workers:
                # What `thread.stop()` does, without its line in the log: handlers may not write.
                thread.running = False
            stop.begun.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the drain is over. Returns whether it is."""
        return self._stop is None or self._stop.over.wait(timeout_s)

    def before_declare_actor(self, broker: Broker, actor: "Actor[..., Any]") -> None:
        make_interruptible(actor)

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        self._stop = _Stop(worker)
        catch_repeated_signals(self.begin)
        threading.Thread(
            target=self._drain, args=(self._stop,), name="pressroom-draining", daemon=True
        ).start()

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        stop = self._stop
        if stop is None:
            return
        self.begin()
        if not stop.over.wait(self.drain_s + self.unwind_s + _HAND_BACK_S):
            stop.clean = False
        # Those that are left would only be waited for.
        worker.workers = [thread for thread in worker.workers if not thread.is_alive()]

    def admit(self, broker: Broker, message: MessageProxy) -> int:
        if self.draining:
            raise Parked("the worker is stopping", delay_ms=0, key="draining")
        thread_id = threading.get_ident()
        self._running[thread_id] = message, window_of(message)
        return thread_id

    def settle(self, broker: Broker, message: MessageProxy, held: int, outcome: Outcome) -> None:
        self._running.pop(held, None)

    def _drain(self, stop: "_Stop") -> None:
        stop.begun.wait()
        if not self._attempts():
            self._stop_early(stop.worker)
        try:
            if not self._join(stop, self.drain_s):
                self._interrupt()
                if not self._join(stop, self.unwind_s):
                    stop.clean = False
                    self._give_up(stop.worker)
            _hand_back_waiting(stop.worker)
        finally:
            _stop_consumers(stop.worker)
            stop.over.set()

    def _stop_early(self, worker: Worker) -> None:
        # Where nothing is in flight, consumers may stop with the workers, unless acks need their threads.
        if _acks_by_itself(worker.broker):
            _stop_consumers(worker)

    def _join(self, stop: "_Stop", timeout_s: float) -> bool:
        """Whether all of the worker's threads have ended in time."""
        until_s = self._monotonic() + timeout_s
        while alive := [thread for thread in stop.worker.workers if thread.is_alive()]:
            _hand_back_waiting(stop.worker)
            if self._monotonic() >= until_s:
                return False
            alive[0].join(_LOOK_S)
        return True

    def _interrupt(self) -> None:
        for message, window in self._attempts():
            if window.interrupt(Shutdown):
                emit_counter("drain_interrupted_total", labels_of(message))
                logger.warning(
                    "Message %s of %s still runs after %s s; it is interrupted and handed back.",
                    message.message_id,
                    message.actor_name,
                    self.drain_s,
                )

    def _give_up(self, worker: Worker) -> None:
        abandoned = [message for message, window in self._attempts() if window.abandon()]
        for message in abandoned:
            emit_counter("drain_abandoned_total", labels_of(message))
            logger.error(
                "Message %s of %s cannot be interrupted; it is handed back and its thread ends with the process.",
                message.message_id,
                message.actor_name,
            )
        _requeue(worker, abandoned)

    def _attempts(self) -> list[tuple[MessageProxy, Window]]:
        return list(self._running.values())


@dataclass(eq=False)
class _Stop:
    """One worker's stop, from its boot on."""

    worker: Worker
    clean: bool = True
    begun: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


def _acks_by_itself(broker: Broker) -> bool:
    """Whether acks need no consumer's thread: on Dramatiq's Redis broker, and where they carry operations along."""
    return isinstance(broker, SupportsAckOperations) or is_dramatiq_redis(broker)


def _stop_consumers(worker: Worker) -> None:
    for consumer in worker.consumers.values():
        consumer.stop()


def _hand_back_waiting(worker: Worker) -> None:
    """Return what was fetched and not begun; what cannot be returned now waits for the next look."""
    waiting = list(iter_queue(worker.work_queue))  # type: ignore[no-untyped-call]
    if not _requeue(worker, [item.message for item in waiting]):
        for item in waiting:
            worker.work_queue.put(item)


def _requeue(worker: Worker, messages: Iterable[MessageProxy]) -> bool:
    by_queue = defaultdict(list)
    for message in messages:
        by_queue[message.queue_name].append(message)
    try:
        for queue_name, held in by_queue.items():
            worker.consumers[queue_name].requeue_messages(held)
    except Exception as error:  # noqa: BLE001  # each broker has its own for being away
        logger.warning("Messages cannot be handed back (%s); the broker reclaims them.", class_name(error))
        return False
    return True
