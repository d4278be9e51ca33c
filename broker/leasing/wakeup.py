"""Wakes one thread that waits, from any other, under no lock that an interrupt could leave taken."""

import threading
from contextlib import suppress


class Wakeup:
    """A flag that one thread waits for and any thread raises; it is down again when the wait is over.

    Raising it is one atomic step. A wait is over when its time is: `SimpleQueue.get(timeout=...)` of CPython 3.11,
    which does as much, never comes back where the time ends just as it gets its lock.

    State: a lock that is free while the flag is up.

    Example:
        >>> wakeup = Wakeup()
        >>> wakeup.set()
        >>> wakeup.wait(5.0)
        True
    """

    def __init__(self) -> None:
        self._down = threading.Lock()
        self._down.acquire()

    def set(self) -> None:
        """Raise the flag; no effect while it is up."""
        with suppress(RuntimeError):
            self._down.release()

    def wait(self, timeout_s: float) -> bool:
        """Block until the flag is up, and take it down. Returns False when the time is over.

        Parameters:
            timeout_s: most seconds to wait; none where it is negative.
        """
        return self._down.acquire(timeout=max(0.0, timeout_s))
