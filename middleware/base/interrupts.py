"""Interrupts that reach a job's function and nothing around it.

An asynchronous exception is delivered whenever its thread next runs Python code. Aimed at a worker's thread as a
whole, as Dramatiq's own time limit does, one that comes late lands in a hook, where it loses a retry, or in the
ack, where it ends the thread. Here every attempt has a window that is open only while `actor.fn` runs. Closing it
takes back what was sent and not yet delivered, under the lock that sending needs.

Python ignores what is raised in a finalizer or in a weak reference's callback, and garbage is collected anywhere. An
interrupt that lands there is sent again.
"""

import _thread
import ctypes
import functools
import sys
import threading
import time
from contextlib import suppress
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

#: How long a finalizer has to end before what it swallowed is sent again, in seconds.
_AGAIN_S = 0.01


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
        """True until the function begins."""
        return self._state is _State.WAITING

    @property
    def is_open(self) -> bool:
        """True while the function runs."""
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
                _on_swallowed()
                _interrupted[self._thread_id] = self
                raise_thread_exception(self._thread_id, reason)  # type: ignore[no-untyped-call]
            return True

    def send_again(self, swallowed: type[BaseException] | None) -> bool:
        """Called in the interrupted thread, where Python has ignored an exception: whether it was the interrupt.

        It is sent once more, and so on until it hits the function, or the function is over.
        """
        if swallowed is None or swallowed is not self._reason or self._state is not _State.OPEN:
            return False
        # Not `threading.Thread`: a finalizer may run while its own thread holds the lock that one takes.
        _thread.start_new_thread(self._send_again, ())
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
                _interrupted.pop(self._thread_id, None)
                _take_back(self._thread_id)
        if self._abandoned:
            threading.Event().wait()

    def _send_again(self) -> None:
        time.sleep(_AGAIN_S)
        with self._lock:
            if self._state is _State.OPEN:
                raise_thread_exception(self._thread_id, self._reason)  # type: ignore[no-untyped-call]


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
    """True where threads can be interrupted: on CPython, without gevent."""
    return current_platform in supported_platforms and not is_gevent_active()  # type: ignore[no-untyped-call]


class _Delivered(BaseException):
    """Sent by a thread to itself."""


def _take_back(thread_id: int) -> None:
    set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
    set_exception(ctypes.c_ulong(thread_id), None)
    # Up to 3.12, CPython goes on looking for what was taken back, in every thread and at every call: calls take
    # longer for the rest of the process, and ones that are traced never begin. A delivery ends the search, also the
    # one for what another thread has sent itself; hence again and again.
    with suppress(_Delivered):
        while True:
            set_exception(ctypes.c_ulong(threading.get_ident()), ctypes.py_object(_Delivered))


#: Threads that were interrupted, and have not left the function.
_interrupted: dict[int, Window] = {}
#: Taken once and never given back.
_hearing = threading.Lock()
_tell_unraisable = sys.__unraisablehook__


def _on_swallowed() -> None:
    """Listen to what Python ignores; whoever listened before hears everything else."""
    global _tell_unraisable
    if _hearing.acquire(blocking=False):
        _tell_unraisable, sys.unraisablehook = sys.unraisablehook, _heed


def _heed(problem: "sys.UnraisableHookArgs") -> None:
    window = _interrupted.get(threading.get_ident())
    if window is not None and window.send_again(problem.exc_type):
        return
    if problem.exc_type is not _Delivered:
        _tell_unraisable(problem)
