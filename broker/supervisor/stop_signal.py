"""How a worker process learns that it is to stop, whatever its main thread does at that moment."""

import os
import select
import signal
from collections.abc import Callable
from types import FrameType

_observers: list[Callable[[int], object]] = []


def on_stop_signal(notify: Callable[[int], object]) -> None:
    """Register a function that a supervisor's worker calls for each SIGTERM, on its main thread and at once.

    In a process that is no such worker it is never called.

    Parameters:
        notify: takes the signal's number. It runs in a signal handler: it must not block.

    Example:
        >>> on_stop_signal(lambda number: draining.begin())
    """
    _observers.append(notify)


class StopSignal:
    """SIGTERM, as the wish that this process stops.

    SIGINT and SIGHUP reach a whole group from a terminal; they are the supervisor's to act on, and ignored here.
    """

    def __init__(self) -> None:
        self.to_stop = False
        # A pipe that the interpreter writes to, and no event: a handler may run while its own thread holds an event's
        # lock, and does not run at all while the main thread waits, where another thread got the signal or where it
        # came just before the wait began.
        self._read_fd, write_fd = os.pipe()
        for fd in (self._read_fd, write_fd):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._handle)

    def wait(self) -> None:
        """Block until SIGTERM was received."""
        while not self.wait_for(None):
            pass

    def wait_for(self, timeout_s: float | None) -> bool:
        """Block until any signal was received, or the time is over. Returns True once SIGTERM was received.

        Parameters:
            timeout_s: most seconds to wait; None: for ever.
        """
        if not self.to_stop and select.select([self._read_fd], [], [], timeout_s)[0]:
            os.read(self._read_fd, 4_096)
        return self.to_stop

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.to_stop = True
        for notify in _observers:
            notify(number)
