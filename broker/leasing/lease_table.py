"""The leases of one worker session: which messages it holds, which of them have begun, and on which thread."""

import threading
from collections.abc import Collection, Iterable

from .lease import LOST, Lease, drop


class LeaseTable:
    """What a session holds, from the fetch of a message until the server knows its end.

    State: three dictionaries, changed by any thread. Each change is one atomic step and takes no lock, since worker
    threads may be interrupted between any two lines of Python. Only `add` and `remove` are left to one thread at a
    time: the one that holds the session's call lock.
    """

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}
        self._unstarted: dict[str, Lease] = {}
        self._running: dict[threading.Thread, Lease] = {}

    def __len__(self) -> int:
        return len(self._leases)

    def add(self, leases: Iterable[Lease]) -> None:
        """Hold leases that were fetched."""
        for lease in leases:
            self._unstarted[lease.message_id] = self._leases[lease.message_id] = lease

    def unstarted_bytes(self) -> int:
        """Bytes of the messages that were fetched and have not begun."""
        return sum(lease.size for lease in list(self._unstarted.values()))

    def start(self, lease: Lease, thread: threading.Thread, now_s: float) -> bool:
        """Mark a lease as running on a thread. Returns False if it was returned or lost before."""
        if not drop(self._unstarted, lease):
            return False
        self._running[thread] = lease
        lease.began_s = now_s
        return True

    def withdraw(self, lease: Lease) -> bool:
        """Keep a lease from starting. Returns False if it has started, or was withdrawn before."""
        return drop(self._unstarted, lease)

    def remove(self, leases: Collection[Lease]) -> None:
        """Drop leases whose ends the server knows."""
        held = self._leases
        for lease in leases:
            drop(held, lease)

    def unstarted(self, *, before_s: float, queue: str | None = None) -> list[Lease]:
        """Leases that were fetched before a monotonic time and have not begun, the last one fetched first.

        Parameters:
            before_s: the time.
            queue: only of this queue. Default None: of any.
        """
        leases = list(self._unstarted.values())
        found = [each for each in leases if each.fetched_s <= before_s and queue in (None, each.queue)]
        return sorted(found, key=lambda lease: lease.number, reverse=True)

    def forfeit(self) -> int:
        """Drop what has not begun, since others took all of it over. Returns how many leases were held.

        What runs keeps its thread, and is refused at its end.
        """
        held = list(self._leases.values())
        for lease in held:
            if drop(self._unstarted, lease):
                drop(self._leases, lease)
                lease.outcome = LOST
        return len(held)

    def tokens(self) -> list[str]:
        """Message id and token of each lease, as the scripts take them."""
        return [text for lease in self._leases.values() for text in (lease.message_id, lease.token)]

    def find_lost(self, buffered: Collection[Lease], *, before_s: float) -> tuple[list[Lease], list[Lease]]:
        """Leases that ended and are not buffered, and leases that began and that no living thread runs.

        Parameters:
            buffered: what is going to be reported.
            before_s: only what ended or began before this monotonic time; anything later may be under way.
        """
        # Not by their idents: a new thread may have a dead one's.
        for thread in [thread for thread in list(self._running) if not thread.is_alive()]:
            self._running.pop(thread, None)
        leases, running = list(self._leases.values()), set(self._running.values())
        ended = [each for each in leases if each.outcome is not None and each.done_s < before_s]
        begun = [each for each in leases if each.outcome is None and (each.began_s or before_s) < before_s]
        return [each for each in ended if each not in buffered], [
            each for each in begun if each not in running
        ]
