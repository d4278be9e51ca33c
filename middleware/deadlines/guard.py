"""Deadlines: no attempt goes on for longer than it may, and one that cannot be stopped takes its process with it."""

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar

from dramatiq import Actor, Broker, Message, Worker
from dramatiq.broker import MessageProxy
from dramatiq.middleware import AgeLimit, ShutdownNotifications, SkipMessage, TimeLimit
from dramatiq.middleware.shutdown import Shutdown

from ..base.bounds import check_positive
from ..base.emit import emit_counter, labels_of
from ..base.errors import Fault, GuardError, InvalidPayload
from ..base.guard import Guard, Option, Outcome, Position
from ..base.interrupts import DeadlineExceeded, Window, can_interrupt, make_interruptible, window_of
from ..base.options import option_of
from .stuck_process import Replacement, log_stack
from .watchdog import Watchdog

#: How long an attempt may take, in milliseconds, where neither its actor nor its message says: ten minutes.
DEFAULT_TIME_LIMIT_MS = 600_000

#: How long an interrupted attempt may take to end, in milliseconds, before it counts as stuck.
DEFAULT_GRACE_MS = 10_000

#: How late the watching thread may be, in milliseconds, before the process counts as frozen.
DEFAULT_FROZEN_AFTER_MS = 60_000

#: What of Dramatiq's own this guard does instead.
_REPLACED = (TimeLimit, AgeLimit, ShutdownNotifications)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunningJob:
    """An attempt that runs in this process."""

    message_id: str
    actor: str
    #: Seconds since it began, and how many it may take; None for no limit.
    age_s: float
    limit_s: float | None
    #: Over its limit and the grace period, and still inside the function.
    stuck: bool


class Expired(GuardError, SkipMessage):
    """The message is too old to begin. It is rejected, whole, and so reaches the dead letters."""

    category: ClassVar[str] = "timeout"


class Deadlines(Guard["TimedAttempt"]):
    """Bounds how long attempts run and how old messages may get.

    Without it a job that hangs holds its thread for ever. Dramatiq's own `TimeLimit` interrupts whatever the thread
    does at that moment, hooks and acks included, and gives up on a thread that does not react. This guard does the
    work of `TimeLimit`, `AgeLimit` and `ShutdownNotifications`, and takes them out of the broker when a worker
    boots:

    - An attempt over its time limit gets `DeadlineExceeded` raised inside the actor's function and nowhere else. It
      is retried and charged like any failure; its category is `timeout`.
    - One that still runs a grace period later (inside C code, or swallowing exceptions) is *stuck*: its stack is
      logged, without values; the attempt is charged; what else the process has in hand is interrupted or handed
      back, uncharged; and the process ends with code 79, for its supervisor to start another.
    - A message past `expires_at` or older than `max_age` never begins: it is rejected, category `timeout`.
    - `notify_shutdown` actors get `Shutdown` raised inside their function when the worker stops. `Retries` hands
      their messages back uncharged.
    - `remaining()` returns how long the job has, for the time-outs of what it calls.

    Costs no round trip. Needs CPython without gevent; elsewhere only `remaining()`, expiry and `checkpoint()` work.

    Actor and message options: `time_limit` (ms an attempt may take; infinity for no limit), `max_age` (ms since the
    message was made, after which no attempt begins), `notify_shutdown` (bool). Message option: `expires_at` (epoch
    ms after which no attempt begins or goes on).

    Parameters:
      time_limit_ms: For actors and messages that name none, in milliseconds. Default 600,000.
      max_age_ms: Likewise. Default None: of any age.
      notify_shutdown: Likewise. Default False: jobs are let finish.
      grace_ms: Milliseconds from the interrupt to being stuck, and for others to end then. Default 10,000.
      frozen_after_ms: The watching thread is this late: a job holds the interpreter's lock, so a timer outside of
        it writes all stacks to standard error and ends the process with code 1. Default 60,000; None for never,
        as a debugger may need.
      exit_process: Ends the process, given the exit code. Default `os._exit`; None only logs what is stuck.
      now_ms: The time as epoch milliseconds. Default the system's.
      monotonic: Seconds that only go forward. Default `time.monotonic`.

    Example:
      >>> broker.add_middleware(Deadlines())
      >>> @dramatiq.actor(time_limit=30_000)
      ... def fetch(url):
      ...     return httpx.get(url, timeout=remaining())
      >>> fetch.send_with_options(args=(url,), expires_at=tomorrow_ms)
    """

    checks_payload = True
    position = Position.TIME
    actor_options: ClassVar[set[str]] = {"time_limit", "max_age", "notify_shutdown"}
    message_options = (Option("expires_at", "life"),)

    def __init__(
        self,
        *,
        time_limit_ms: float = DEFAULT_TIME_LIMIT_MS,
        max_age_ms: float | None = None,
        notify_shutdown: bool = False,
        grace_ms: float = DEFAULT_GRACE_MS,
        frozen_after_ms: float | None = DEFAULT_FROZEN_AFTER_MS,
        exit_process: Callable[[int], object] | None = os._exit,
        now_ms: Callable[[], float] = lambda: time.time() * 1_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        check_positive(time_limit_ms=time_limit_ms, max_age_ms=max_age_ms)
        check_positive(grace_ms=grace_ms, frozen_after_ms=frozen_after_ms)
        super().__init__()
        self.time_limit_ms = time_limit_ms
        self.max_age_ms = max_age_ms
        self.notify_shutdown = notify_shutdown
        self.grace_s = grace_ms / 1_000
        self._exit_process = exit_process
        self._now_ms = now_ms
        self._monotonic = monotonic
        frozen_after_s = None if frozen_after_ms is None else frozen_after_ms / 1_000
        self._watchdog = Watchdog(self._scan, frozen_after_s=frozen_after_s, monotonic=monotonic)
        #: By thread. A dict's own operations are atomic: an interrupt that lands in a hook leaves no lock taken.
        self._running: dict[int, TimedAttempt] = {}
        self._worker: tuple[Broker, Worker] | None = None
        self._shutting_down = False
        self._replacing = False

    def before_declare_actor(self, broker: Broker, actor: "Actor[..., Any]") -> None:
        make_interruptible(actor)

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        super().before_worker_boot(broker, worker)
        _take_out(broker)
        if not can_interrupt():
            logger.warning("Jobs cannot be interrupted here; that takes CPython without gevent.")
        self._worker = (broker, worker)
        self._shutting_down = False

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        # First the flag, then who runs; `_begin` the other way round. So one of the two sees what the other did.
        self._shutting_down = True
        for attempt in list(self._running.values()):
            if attempt.notify_shutdown:
                attempt.window.interrupt(Shutdown)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        # In a replacement the watching thread itself waits for this hook.
        if not self._replacing:
            self._watchdog.stop()

    def running_jobs(self) -> list[RunningJob]:
        """Return what runs in this process, the oldest first; for heartbeats and people."""
        now_s = self._monotonic()
        running = sorted(self._running.values(), key=lambda each: each.begun_s)
        return [each.seen(now_s, self.grace_s) for each in running]

    def check(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        for name in ("time_limit", "max_age", "expires_at"):
            _number(message, name, None)

    def admit(self, broker: Broker, message: MessageProxy) -> "TimedAttempt":
        options = broker.get_actor(message.actor_name).options
        now_ms = self._now_ms()
        max_age_ms = _number(message, "max_age", options.get("max_age", self.max_age_ms))
        expires_at_ms = _number(message, "expires_at", None)
        too_old_at_ms = math.inf if max_age_ms is None else message.message_timestamp + max_age_ms
        if now_ms >= min(too_old_at_ms, math.inf if expires_at_ms is None else expires_at_ms):
            emit_counter("messages_expired_total", labels_of(message))
            message.fail()
            raise Expired("the message is too old to begin; send a new one if it still matters")
        limit_ms = _number(message, "time_limit", options.get("time_limit", self.time_limit_ms)) or math.inf
        left_ms = limit_ms if expires_at_ms is None else min(limit_ms, expires_at_ms - now_ms)
        now_s = self._monotonic()
        attempt = TimedAttempt(
            message=message,
            window=window_of(message),
            thread_id=threading.get_ident(),
            begun_s=now_s,
            deadline_s=now_s + left_ms / 1_000,
            notify_shutdown=bool(option_of(broker, message, "notify_shutdown", self.notify_shutdown)),
        )
        self._begin(attempt)
        return attempt

    def settle(self, broker: Broker, message: MessageProxy, held: "TimedAttempt", outcome: Outcome) -> None:
        _left_s.set(None)
        self._running.pop(held.thread_id, None)

    def _begin(self, attempt: "TimedAttempt") -> None:
        self._running[attempt.thread_id] = attempt
        if self._replacing or (self._shutting_down and attempt.notify_shutdown):
            attempt.window.interrupt(Shutdown)
        if attempt.deadline_s < math.inf:
            _left_s.set(lambda: max(0.0, attempt.deadline_s - self._monotonic()))
            self._watchdog.expect(attempt.deadline_s)
        else:
            _left_s.set(None)

    def _scan(self) -> float:
        """Interrupt what is over its time and deal with what is stuck; the moment to look again."""
        now_s = self._monotonic()
        running = list(self._running.values())
        stuck = []
        for attempt in running:
            if attempt.abandoned or now_s < attempt.deadline_s:
                continue
            if not attempt.overdue:
                attempt.overdue = True
                self._interrupt(attempt)
            elif now_s >= attempt.deadline_s + self.grace_s:
                attempt.abandoned = True
                stuck.append(attempt)
        self._give_up(stuck)
        return min((attempt.next_look_s(self.grace_s) for attempt in running), default=math.inf)

    def _interrupt(self, attempt: "TimedAttempt") -> None:
        if attempt.window.interrupt(DeadlineExceeded):
            logger.warning(
                "Message %s of %s is over its time and is interrupted.",
                attempt.message.message_id,
                attempt.message.actor_name,
            )
            emit_counter("deadlines_exceeded_total", labels_of(attempt.message))

    def _give_up(self, overdue: "list[TimedAttempt]") -> None:
        replaces = self._exit_process is not None and self._worker is not None
        # Whoever has left the function meanwhile is not stuck: its hooks may take as long as they need.
        stuck = [each for each in overdue if (each.window.abandon() if replaces else each.window.is_open)]
        for attempt in stuck:
            log_stack(attempt.message, attempt.thread_id)
            emit_counter("jobs_stuck_total", labels_of(attempt.message))
        if stuck and self._exit_process is not None and self._worker is not None:
            self._replacing = True
            others = [each for each in list(self._running.values()) if each not in stuck]
            replacement = Replacement(
                *self._worker,
                stuck={each.thread_id: each.message for each in stuck},
                others={each.thread_id: (each.message, each.window) for each in others},
                timeout_s=self.grace_s,
            )
            self._watchdog.allow(replacement.longest_s)
            replacement.run(self._exit_process)


def remaining() -> float | None:
    """Return the seconds that are left to the job that calls, at least 0; None where it has no deadline, or is no job.

    Threads that a job starts itself ask in a copy of its context (`contextvars.copy_context`).

    Example:
        >>> httpx.get(url, timeout=remaining())
    """
    left_s = _left_s.get()
    return None if left_s is None else left_s()


_left_s: ContextVar[Callable[[], float] | None] = ContextVar("pressroom_left_s", default=None)


@dataclass(eq=False, kw_only=True)
class TimedAttempt:
    message: MessageProxy
    window: Window
    thread_id: int
    begun_s: float
    deadline_s: float
    notify_shutdown: bool
    overdue: bool = False
    abandoned: bool = False

    def seen(self, now_s: float, grace_s: float) -> RunningJob:
        limit_s = self.deadline_s - self.begun_s
        return RunningJob(
            message_id=self.message.message_id,
            actor=self.message.actor_name,
            age_s=round(now_s - self.begun_s, 3),
            limit_s=round(limit_s, 3) if limit_s < math.inf else None,
            stuck=now_s >= self.deadline_s + grace_s and self.window.is_open,
        )

    def next_look_s(self, grace_s: float) -> float:
        if self.abandoned:
            return math.inf
        return self.deadline_s + grace_s if self.overdue else self.deadline_s


def _number(message: "Message[Any] | MessageProxy", name: str, default: float | None) -> float | None:
    value = message.options.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        reason = "must be a number of milliseconds, more than 0"
        raise InvalidPayload(message.actor_name, [Fault(f"options.{name}", reason)])
    return value


def _take_out(broker: Broker) -> None:
    replaced = [type(each).__name__ for each in broker.middleware if type(each) in _REPLACED]
    if replaced:
        # A new list: this one is being walked through.
        broker.middleware = [each for each in broker.middleware if type(each) not in _REPLACED]
        logger.info("Deadlines does the work of %s, which leave the broker.", ", ".join(replaced))
