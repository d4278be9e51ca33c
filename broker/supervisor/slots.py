"""The slot of one worker: who serves there, its successor and predecessor, and when the next one may start."""

import math
from collections.abc import Iterator

from .child import Child

#: The longest wait is this many times the first.
_MAX_FACTOR = 60


class Backoff:
    """How long to wait before a worker is started again that ended by itself.

    A worker that ran well is replaced at once. One that died fast is waited for, twice as long each time.

    Parameters:
        first_s: seconds after the first fast death.
        ran_well_s: seconds after which a death is not fast.

    Example:
        >>> backoff = Backoff(first_s=1, ran_well_s=60)
        >>> [backoff.after(ran_s) for ran_s in (2, 2, 2, 3_600, 2)]
        [1, 2, 4, 0.0, 1]
    """

    def __init__(self, *, first_s: float, ran_well_s: float) -> None:
        self._first_s = first_s
        self._ran_well_s = ran_well_s
        self._fast_deaths = 0

    def after(self, ran_s: float) -> float:
        """Seconds to wait now, after a worker ended that had run for so long."""
        if ran_s >= self._ran_well_s:
            self._fast_deaths = 0
            return 0.0
        # 2^10 is over the most already; more would only make large numbers.
        times = min(1 << min(self._fast_deaths, 10), _MAX_FACTOR)
        self._fast_deaths += 1
        return self._first_s * times


class WorkerSlot:
    """A slot for one worker, over all the processes that fill it in turn."""

    def __init__(self, number: int, backoff: Backoff) -> None:
        self.number = number
        self.backoff = backoff
        #: Works, or boots to; None while the next one is waited for.
        self.serving: Child | None = None
        #: Its successor, which is not ready yet.
        self.successor: Child | None = None
        #: Its predecessor, which drains.
        self.predecessor: Child | None = None
        #: No process is started here before this time.
        self.start_at_s = 0.0
        #: A successor is wanted, while the one that serves is all right.
        self.rolling = False

    def children(self) -> Iterator[Child]:
        """All processes of this slot."""
        yield from (each for each in (self.serving, self.successor, self.predecessor) if each is not None)

    def wants_child(self) -> bool:
        """Check that a process is to be started here."""
        if self.serving is None:
            return True
        return self.rolling and self.successor is None and self.predecessor is None

    def fill(self, child: Child) -> None:
        """Fill the slot with a process that was started for it."""
        if self.serving is None:
            self.serving = child
        else:
            self.successor = child

    def take_over(self) -> Child | None:
        """Put a successor that is ready in charge. Returns the process that has to leave for it, if any."""
        if self.successor is None or not self.successor.ready:
            return None
        self.serving, self.predecessor, self.successor = self.successor, self.serving, None
        return self.predecessor

    def remove(self, child: Child, now_s: float) -> float | None:
        """Remove a process that has ended. Where it served and its successor is under way, that one serves.

        Returns:
            Seconds until the next one may start; None for a process that was asked to end.
        """
        if child is self.predecessor:
            self.predecessor = None
            self.rolling = False
        elif child is self.successor:
            self.successor = None
        else:
            self.serving, self.successor = self.successor, None
            self.rolling = False
        if child.stop_requested:
            return None
        wait_s = self.backoff.after(now_s - child.started_s)
        self.start_at_s = now_s + wait_s
        return wait_s


class QuarantineSlot:
    """The slot for the process in which suspects run alone, and which runs only while there are any."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        #: The probe; None while nobody is suspected, or the next one is waited for.
        self.child: Child | None = None
        #: Suspects wait.
        self.wanted = False
        #: No probe is started before this time.
        self.start_at_s = 0.0

    def wants_child(self) -> bool:
        """Check that a probe is to be started."""
        return self.wanted and self.child is None

    def remove(self, child: Child, now_s: float) -> float | None:
        """Remove a probe that has ended.

        Returns:
            Seconds until the next one may start; None when nothing is left to run alone, or it was asked to end.
        """
        self.child = None
        if child.idle:
            self.wanted = False
            return None
        # What is to be run alone is expected to end the process; one that had begun nothing must not spin.
        expected = child.began or child.stopping or child.stop_requested
        wait_s = self._backoff.after(math.inf if expected else now_s - child.started_s)
        self.start_at_s = now_s + wait_s
        return None if child.stop_requested else wait_s
