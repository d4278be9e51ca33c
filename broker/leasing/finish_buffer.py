"""Finished messages that the server does not know of yet: they go with the next fetch, or a few milliseconds later."""

import time
from collections import deque
from collections.abc import Collection, Iterable

from .lease import BACK, DEAD, DONE, Lease
from .wakeup import Wakeup

#: A finished message waits this long for a fetch to go with, in seconds.
FLUSH_S = 0.005

#: Most leases ended by one call.
_BATCH_SIZE = 136
#: Commands that one call may take for them, by estimate, and bytes of messages that it may move; a call does more than
#: end leases.
_MAX_COMMANDS = 500
_MAX_BYTES = 1024 * 1024
#: What ends cost in commands: the first of a lane, one with a concurrency key, what is sent along, a change of a hash,
#: a dead letter, and what goes back.
_LANE, _KEYED_LANE, _ALONG, _CHANGE, _DEAD, _BACK = 16, 46, 24, 3, 11, 12


class FinishBuffer:
    """Ended leases, the oldest first, and the wake-up of whoever flushes them.

    State: a deque, a flag and a wake-up. Any thread appends, in atomic steps and under no lock; batches are
    taken and put back by the thread that holds the session's call lock; the session's timer waits.
    """

    def __init__(self) -> None:
        self._ended: deque[Lease] = deque()
        self._wakeup = Wakeup()
        #: The timer is about to flush; what is appended until it begins needs no wake-up of its own.
        self._woken = False

    def __len__(self) -> int:
        return len(self._ended)

    def append(self, lease: Lease) -> None:
        """Add a lease that just ended."""
        self._ended.append(lease)
        if not self._woken:
            self._woken = True
            self._wakeup.set()

    def extend(self, leases: Iterable[Lease]) -> None:
        """Add leases that ended some time ago."""
        self._ended.extend(leases)

    def take(self) -> list[Lease]:
        """Remove and return the oldest, as many as one call carries."""
        batch: list[Lease] = []
        lanes: set[tuple[str, str, str]] = set()
        commands = size = 0
        while self._ended and len(batch) < _BATCH_SIZE:
            lease = self._ended[0]
            lane = (lease.queue, lease.org, lease.lane)
            if lane not in lanes:
                lanes.add(lane)
                commands += _KEYED_LANE if lease.lane.count(":") > 1 else _LANE
            if lease.outcome != DONE or lease.carried or lease.operations:
                own_commands, own_bytes = _own_cost(lease)
                commands, size = commands + own_commands, size + own_bytes
            if batch and (commands > _MAX_COMMANDS or size > _MAX_BYTES):
                break
            batch.append(self._ended.popleft())
        return batch

    def put_back(self, batch: list[Lease]) -> None:
        """Return a batch whose call failed to where it was."""
        self._ended.extendleft(reversed(batch))

    def contents(self) -> Collection[Lease]:
        """All that is buffered now."""
        return set(self._ended)

    def overdue_in_s(self) -> float | None:
        """Seconds for which the oldest may still wait for a fetch; None when nothing is buffered."""
        try:
            return self._ended[0].done_s + FLUSH_S - time.monotonic()
        except IndexError:
            return None

    def wait(self, timeout_s: float) -> None:
        """Block until something is appended or `wake` is called, for so many seconds at most."""
        self._wakeup.wait(timeout_s)
        self._woken = False

    def wake(self) -> None:
        """End a wait."""
        self._wakeup.set()


def _own_cost(lease: Lease) -> tuple[int, int]:
    """Commands and bytes that an end costs beside those that it shares with others of its lane."""
    commands = _ALONG * len(lease.carried) + _CHANGE * len(lease.operations)
    size = sum(len(sent.record) for sent in lease.carried)
    if lease.outcome == DEAD:
        # It is read and written.
        return commands + _DEAD, size + 2 * lease.size
    return commands + (_BACK if lease.outcome == BACK else 0), size
