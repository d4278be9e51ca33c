"""Interrupts that reach a job's function and nothing around it.

An asynchronous exception is delivered whenever its thread next runs Python code. Aimed at a worker's thread as a
whole, as Dramatiq's own time limit does, one that comes late lands in a hook, where it loses a retry, or in the
ack, where it ends the thread. Here every attempt has a window that is open only while `actor.fn` runs. Closing it
takes back what was sent and not yet delivered, under the lock that sending needs.
"""

import ctypes
import functools
import threading
from enum import Enum, auto
from typing import Any, ClassVar

from dramatiq import Actor
from dramatiq.broker import MessageProxy
from dramatiq.middleware import TimeLimitExceeded
from dramatiq.threading import (
    Interrupt,
    current_platform,
    is_gevent_active,
    raise_thread_exception,
    supported_platforms,
)


class DeadlineExceeded(TimeLimitExceeded):
    """The attempt's time is used up. Not an `Exception`, so that no job swallows it by accident."""

    category: ClassVar[str] = "timeout"
    retryable: ClassVar[bool] = True

    def __init__(self, message: str = "the time for this attempt is used up") -> None:
        super().__init__(message)


class Cancelled(Interrupt):
    """Somebody asked for this job to stop. Not an `Exception`, so that no job swallows it by accident."""

    category: ClassVar[str] = "cancelled"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "the job was cancelled on request") -> None:
        super().__init__(message)


class _State(Enum):
    WAITING = auto()
    OPEN = auto()
    CLOSED = auto()


class Window:
    """The time in which one attempt may be interrupted, at most once: the first reason wins.

    That it happens at most once is what makes closing safe: an interrupt that lands while the window is being
    closed is the only one, so closing again is left in peace.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = _State.WAITING
        self._thread_id = 0
        self._reason: type[Interrupt] | None = None
        self._abandoned = False

    @property
    def is_waiting(self) -> bool:
        """Whether the function has not begun."""
        return self._state is _State.WAITING

    @property
    def is_open(self) -> bool:
        """Whether the function is running."""
        return self._state is _State.OPEN

    def interrupt(self, reason: type[Interrupt]) -> bool:
        """Raise `reason` inside the function; before it began, as soon as it begins.

        Parameters:
            reason: an exception's class that needs no arguments.

        Returns:
            Whether it was sent: not when the function is over, or another interrupt came first.
        """
        with self._lock:
            if self._state is _State.CLOSED or self._reason is not None:
                return False
            self._reason = reason
            if self._state is _State.OPEN:
                raise_thread_exception(self._thread_id, reason)  # type: ignore[no-untyped-call]
            return True

    def abandon(self) -> bool:
        """Give the function up for good: should it ever return, its thread stops there, for ever.

        For a process that is about to end and has already handed the message on.

        Returns:
            Whether the function was running; otherwise nothing is changed.
        """
        with self._lock:
            self._abandoned = self._state is _State.OPEN
            return self._abandoned

    def open(self) -> None:
        """Begin, in the thread that is to be interrupted.

        Raises:
            Interrupt: the one that was asked for before.
        """
        with self._lock:
            self._thread_id = threading.get_ident()
            self._state = _State.OPEN
            early = self._reason
        if early is not None:
            raise early

    def close(self) -> None:
        """End: an interrupt on its way is taken back, and none is sent any more."""
        with self._lock:
            self._state = _State.CLOSED
            if self._reason is not None:
                _take_back(self._thread_id)
        if self._abandoned:
            threading.Event().wait()


class _ThisThread(threading.local):
    message: MessageProxy | None = None
    window: Window | None = None


_this_thread = _ThisThread()


def window_of(message: MessageProxy) -> Window:
    """The window of the attempt that this worker thread is about to make, the same for every guard that asks.

    Example:
        >>> window_of(message).interrupt(Shutdown)
        True
    """
    if _this_thread.message is not message or _this_thread.window is None:
        _this_thread.message = message
        _this_thread.window = Window()
    return _this_thread.window


def make_interruptible(actor: "Actor[..., Any]") -> None:
    """Wrap the actor's function so that windows open and close around it; once, however many guards ask.

    Called outside an attempt, or by another actor's function, it runs as it always did.
    """
    inner = actor.fn
    if getattr(inner, "_opens_window", False):
        return

    @functools.wraps(inner)
    def within_window(*args: Any, **kwargs: Any) -> Any:
        window = _this_thread.window
        if window is None or not window.is_waiting:
            return inner(*args, **kwargs)
        try:
            window.open()
            return inner(*args, **kwargs)
        finally:
            try:
                window.close()
            except Interrupt:
                # Too late to matter: the function has ended, and how it ended stands.
                window.close()

    within_window._opens_window = True  # type: ignore[attr-defined]  # functions take attributes
    actor.fn = within_window


def can_interrupt() -> bool:
    """Whether threads can be interrupted here: on CPython, without gevent."""
    return current_platform in supported_platforms and not is_gevent_active()  # type: ignore[no-untyped-call]


class _Delivered(BaseException):
    """Sent by a thread to itself."""


def _take_back(thread_id: int) -> None:
    set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
    set_exception(ctypes.c_ulong(thread_id), None)
    # Up to 3.12, CPython goes on looking for what was taken back, in every thread and at every call: calls take
    # longer for the rest of the process, and ones that are traced never begin. A delivery ends the search.
    try:
        set_exception(ctypes.c_ulong(threading.get_ident()), ctypes.py_object(_Delivered))
        for _ in range(100):
            pass
    except _Delivered:
        pass
