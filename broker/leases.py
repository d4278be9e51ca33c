"""What a process holds: one lease for each message it fetched, and the message that carries it through Dramatiq."""

import time
from typing import Final

from dramatiq import Message
from dramatiq.broker import MessageProxy

#: What a lease ends with, as the scripts know it.
DONE: Final = "done"
DEAD: Final = "dead"
BACK: Final = "back"
#: Taken by others: nothing is left to be said about it.
LOST: Final = "lost"

#: An enqueue that goes along with the end of a lease: mid, delay in milliseconds, record.
Carried = tuple[str, int, bytes]


class Lease:
    """One message, leased by this process until its end was told.

    `token` is the fence: a number no other lease of the shard has, the time the message is ready since, and what
    its org was charged for it in advance.
    """

    __slots__ = (
        "began_s",
        "carried",
        "done_s",
        "fetched_s",
        "lane",
        "mid",
        "org",
        "outcome",
        "queue",
        "thread",
        "token",
        "took_ms",
    )

    def __init__(self, mid: str, token: str, queue: str, org: str, lane: str) -> None:
        self.mid = mid
        self.token = token
        self.queue = queue
        self.org = org
        self.lane = lane
        self.fetched_s = time.monotonic()
        self.began_s: float | None = None
        self.done_s = 0.0
        self.outcome: str | None = None
        self.carried: list[Carried] = []
        self.thread = 0
        #: What the run took, where somebody knows better than the clock.
        self.took_ms: float | None = None

    @property
    def number(self) -> int:
        """Its place among all leases of the shard."""
        return int(self.token.partition("|")[0])

    @property
    def was_taken_away(self) -> bool:
        """Whether it went to others before it began here."""
        return self.outcome is not None and self.began_s is None

    def record(self) -> tuple[str | int | float | bytes, ...]:
        """As the scripts take it (parts/finish.lua)."""
        took_ms = self.took_ms
        if took_ms is None:
            took_ms = (self.done_s - (self.began_s or self.fetched_s)) * 1_000
        head = (
            self.mid,
            self.token,
            self.outcome or DONE,
            f"{took_ms:.3f}",
            self.queue,
            self.org,
            self.lane,
            len(self.carried),
        )
        if not self.carried:
            return head
        return (*head, *(value for each in self.carried for value in each))


class LeasedMessage(MessageProxy):
    """A message on its way through the worker, with its lease."""

    def __init__(self, message: "Message[object]", lease: Lease) -> None:
        super().__init__(message)
        self.lease = lease
