"""Cancellation: jobs stop when somebody asks, wherever they are: queued, delayed, parked or running."""

import functools
import logging
import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar

from dramatiq import Actor, Broker, Worker
from dramatiq.broker import MessageProxy

from ..base.classification import category_of
from ..base.emit import emit_counter, labels_of
from ..base.errors import Skipped
from ..base.guard import Guard, Option, Outcome, Position
from ..base.interrupts import Cancelled, DeadlineExceeded, Window, make_interruptible, window_of
from ..base.options import option_of
from ..base.poller import Poller, shared_poller
from ..deadlines.guard import remaining
from .requests import CancellationStore, RequestCache

logger = logging.getLogger(__name__)


class Cancellation(Guard["RunningAttempt"]):
    """Stops messages that somebody asked to be stopped, with `CancellationClient`.

    Without it a job that was sent by mistake runs, or its queue is emptied by hand with everybody else's work in
    it.

    - A message that waits, in whatever way, is found when its turn comes and done without running.
    - A running job stops at its next `checkpoint()`; one with the option `interrupt_on_cancel` at once.
    - Either way it ends as `Skipped("cancelled")`: acked, not retried, in no dead letters, and no success: its outcome
      is `cancelled`, counted in `messages_cancelled_total`. No success or failure callback fires.
    - A job that raises an error of its own with category `cancelled` ends the same way.

    Costs no round trip a job: requests reach each process by one background poll a second, in which an idle store
    is asked once. A store that is away is asked again; until it answers, what was known stays in force.

    Actor and message option: `interrupt_on_cancel` (bool, default False).

    Parameters:
      store: Where requests are kept.
      flags: The poll that fetches them. Default the process's own, shared with other guards.

    Example:
      >>> broker.add_middleware(Cancellation(RedisCancellationStore(client)))
      >>> @dramatiq.actor
      ... def export(rows):
      ...     for row in rows:
      ...         checkpoint()
      ...         write(row)
      >>> CancellationClient(RedisCancellationStore(client)).cancel(message.message_id)
    """

    position = Position.CANCEL
    actor_options: ClassVar[set[str]] = {"interrupt_on_cancel"}
    message_options = (Option("interrupt_on_cancel", "caller"),)

    def __init__(self, store: CancellationStore, *, flags: Poller | None = None) -> None:
        super().__init__()
        self._requests = RequestCache(store)
        self._flags = flags or shared_poller()
        #: By thread. A dict's own operations are atomic: an interrupt that lands in a hook leaves no lock taken.
        self._running: dict[int, RunningAttempt] = {}

    def before_declare_actor(self, broker: Broker, actor: "Actor[..., Any]") -> None:
        make_interruptible(actor)
        _end_cancelled_jobs_skipped(actor)

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        super().before_worker_boot(broker, worker)
        self._flags.add("cancellations", self.refresh)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self._flags.remove(self.refresh)

    def refresh(self) -> None:
        """Fetch what was asked since the last time, and interrupt the running jobs that want to be.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        self._requests.refresh()
        for attempt in list(self._running.values()):
            if attempt.interrupts and attempt.is_cancelled():
                attempt.window.interrupt(Cancelled)

    def admit(self, broker: Broker, message: MessageProxy) -> "RunningAttempt":
        attempt = RunningAttempt(
            message=message,
            window=window_of(message),
            interrupts=bool(option_of(broker, message, "interrupt_on_cancel")),
            is_cancelled=lambda: self._requests.match(message),
        )
        # Known before it is asked about, so that a request between the two is not missed.
        _current.set(attempt)
        self._running[threading.get_ident()] = attempt
        if attempt.is_cancelled():
            self._forget()
            raise _cancelled(message, "waiting")
        return attempt

    def settle(self, broker: Broker, message: MessageProxy, held: "RunningAttempt", outcome: Outcome) -> None:
        self._forget()

    def _forget(self) -> None:
        _current.set(None)
        self._running.pop(threading.get_ident(), None)


def checkpoint() -> None:
    """Mark a place in a job where it is safe to stop. Costs a look into memory; outside a job it does nothing.

    Raises:
        Cancelled: somebody asked for this job to stop.
        DeadlineExceeded: its time is used up.

    Example:
        >>> for row in rows:
        ...     checkpoint()
        ...     write(row)
    """
    attempt = _current.get()
    if attempt is not None and attempt.is_cancelled():
        raise Cancelled
    if remaining() == 0:
        raise DeadlineExceeded


@dataclass(eq=False, kw_only=True)
class RunningAttempt:
    message: MessageProxy
    window: Window
    interrupts: bool
    is_cancelled: Callable[[], bool]


_current: ContextVar[RunningAttempt | None] = ContextVar("pressroom_cancellation", default=None)


def _end_cancelled_jobs_skipped(actor: "Actor[..., Any]") -> None:
    inner = actor.fn
    if getattr(inner, "_ends_cancelled", False):
        return

    @functools.wraps(inner)
    def cancellable(*args: Any, **kwargs: Any) -> Any:
        try:
            return inner(*args, **kwargs)
        except BaseException as error:
            attempt = _current.get()
            # A job may call another actor's function; only the message's own ends with it.
            if attempt is None or attempt.message.actor_name != actor.actor_name:
                raise
            if category_of(error) != "cancelled":
                raise
            raise _cancelled(attempt.message, "running") from error

    cancellable._ends_cancelled = True  # type: ignore[attr-defined]  # functions take attributes
    actor.fn = cancellable


def _cancelled(message: MessageProxy, cause: str) -> Skipped:
    emit_counter("messages_cancelled_total", labels_of(message, cause=cause))
    logger.info("Message %s of %s was cancelled while %s.", message.message_id, message.actor_name, cause)
    return Skipped("cancelled")
