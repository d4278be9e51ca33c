"""What a process holds: one lease for each message it fetched, and the message that carries it through Dramatiq."""

import time
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from dramatiq import Message
from dramatiq.broker import MessageProxy

from ..bounds import to_wire

#: What a lease ends with, as the scripts know it.
DONE: Final = "done"
DEAD: Final = "dead"
BACK: Final = "back"
#: Taken by others: nothing is left to be reported about it.
LOST: Final = "lost"

#: Flag of a token: the message runs alone in its process; it killed too many to run at all.
ISOLATED: Final = "a"
QUARANTINED: Final = "p"


class Sent(NamedTuple):
    """An enqueue as the scripts take it."""

    message_id: str
    #: Distinguishes two enqueues of one message.
    enqueue_id: str
    delay_ms: int
    #: `<cause>\\n<key>` for a message that is parked; empty for others.
    parked: str
    record: bytes


class AckOperation(NamedTuple):
    """A change of a hash that is made together with the end of a lease, if one of its fields is as expected.

    Guards have a tuple of the same shape; it is what `on_ack` takes.
    """

    key: str
    field: str
    expected: str
    #: Field and value to set; None: the key is deleted.
    new: tuple[str, str] | None
    #: How long the key lives then, in milliseconds.
    ttl_ms: int

    def arguments(self) -> tuple[str | int, ...]:
        """As the scripts take it (parts/finish.lua); an empty field deletes the key."""
        return self.key, self.field, self.expected, *(self.new or ("", "")), self.ttl_ms


@dataclass(eq=False, slots=True)
class Lease:
    """A message that is leased by this process until the server knows its end.

    `token` is the fence: a number no other lease of the shard has, the time the message is ready since, what its org
    was charged for it in advance, its actor's rate, and when it was leased.
    """

    message_id: str
    token: str
    queue: str
    org: str
    lane: str
    #: Bytes of the message.
    size: int = 0
    fetched_s: float = field(default_factory=time.monotonic, init=False)
    began_s: float | None = field(default=None, init=False)
    done_s: float = field(default=0.0, init=False)
    outcome: str | None = field(default=None, init=False)
    carried: list[Sent] = field(default_factory=list, init=False)
    operations: list[AckOperation] = field(default_factory=list, init=False)
    #: Its start was none, and is given back to the actor's rate.
    refund: bool = field(default=False, init=False)
    #: Its end was sent, and no answer came: it may be known.
    unanswered: bool = field(default=False, init=False)
    #: What the run took, where somebody knows better than the clock.
    took_ms: float | None = field(default=None, init=False)

    @property
    def number(self) -> int:
        """The position among all leases of the shard."""
        return int(self.token.partition("|")[0])

    @property
    def charged_ms(self) -> float:
        """Milliseconds that its org was charged for it in advance."""
        return float(self.token.split("|", 3)[2])

    @property
    def flag(self) -> str:
        """ISOLATED, QUARANTINED, or empty."""
        return self.token.rpartition("|")[2]

    @property
    def was_taken_away(self) -> bool:
        """True if others have the message, or it went back, before it began here."""
        return self.outcome is not None and self.began_s is None

    def record(self) -> tuple[str | int | float | bytes, ...]:
        """As the scripts take it (parts/finish.lua), and in bytes where its text may have no encoding."""
        took_ms = self.took_ms
        if took_ms is None:
            took_ms = (self.done_s - (self.began_s or self.fetched_s)) * 1_000
        head = (
            self.message_id,
            self.token,
            self.outcome or DONE,
            f"{took_ms:.3f}",
            self.queue,
            self.org,
            self.lane,
            "1" if self.refund or self.outcome == BACK else "0",
            len(self.carried),
            len(self.operations),
        )
        if not self.carried and not self.operations:
            # Nearly every lease; what may be foreign is looked at at once.
            names = f"{self.message_id}{self.token}{self.queue}{self.org}{self.lane}"
            return head if names.isascii() else tuple(to_wire(value) for value in head)
        carried = (value for sent in self.carried for value in sent)
        changes = (value for each in self.operations for value in each.arguments())
        return tuple(to_wire(value) for value in (*head, *carried, *changes))


class Fetched(NamedTuple):
    """What a fetch brought."""

    leases: list[tuple[Lease, bytes]]
    #: Whether there may be more right away.
    more: bool
    #: Seconds until a delayed message of the queue is due; infinite when there is none.
    due_s: float


class LeasedMessage(MessageProxy):
    """A message on its way through the worker, with its lease."""

    def __init__(self, message: "Message[object]", lease: Lease) -> None:
        super().__init__(message)
        self.lease = lease


def drop(held: dict[str, Lease], lease: Lease) -> bool:
    """Remove a lease in one atomic step. Returns False if it is not there, or another lease of its message is."""
    found = held.pop(lease.message_id, None)
    if found is not None and found is not lease:
        held.setdefault(found.message_id, found)
    return found is lease
