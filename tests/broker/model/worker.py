"""A worker process as the scripts see it: what it holds, what it has yet to tell, and what it does not know."""

from dataclasses import dataclass, field
from typing import Literal

from broker.keys import split_record
from broker.leasing.lease import AckOperation, Lease, Sent
from broker.leasing.prefetch import MAX_ROOM_BYTES
from broker.scripts import Argument
from tests.broker.model.scripted import Shard

#: A worker that was silent for so long is taken for dead.
SILENT_MS = 10_000
DEAD_TTL_MS = 30 * 3_600_000

#: What the network does to a call: the answer arrives, or it gets lost on its way back.
Fate = Literal["answered", "answer lost"]


@dataclass
class Worker:
    """One incarnation.

    The order of its calls is that of `broker/leasing/session.py`; its threads and its timing are left out.
    """

    shard: Shard
    worker_id: str
    mode: str = "any"
    age_share: float = 0.1
    holds: list[Lease] = field(default_factory=list)
    finished: list[Lease] = field(default_factory=list)
    #: Taken by others, which the job's thread does not know.
    lost: list[Lease] = field(default_factory=list)
    unsure: bool = False
    known: bool = False
    isolated_in: str | None = None
    #: How many ends the last answer refused.
    refused: int = 0
    #: How long until something of a queue is due, as the last fetch of it said.
    due_ms: dict[str, int] = field(default_factory=dict)

    @property
    def idle(self) -> bool:
        """Whether nothing is in hand."""
        return not self.holds

    def may_fetch(self, queue: str) -> str | None:
        """In which mode, if at all."""
        if self.mode == "probe" or self.isolated_in is not None:
            if not self.idle or (self.isolated_in not in (None, queue)):
                return None
            return "alone" if self.isolated_in == queue else self.mode
        return self.mode

    def fetch(self, queue: str, room: int, max_active: int, fate: Fate = "answered") -> list[Lease] | None:
        """Lease what is next; None where the answer got lost, or nothing may be asked for."""
        self.reconcile()
        mode = self.may_fetch(queue)
        if mode is None:
            return None
        batch, self.finished = self.finished, []
        room = 1 if mode in ("alone", "probe") else room
        head = (self.worker_id, SILENT_MS, DEAD_TTL_MS, len(batch))
        reply = self.shard.run(
            "fetch", *head, *_records(batch), queue, room, MAX_ROOM_BYTES, max_active, self.age_share, mode
        )
        if fate != "answered":
            self.finished, self.unsure = batch, True
            return None
        self._heed(reply)
        self.due_ms[queue] = reply[3]
        fetched = []
        for at in range(5, len(reply), 3):
            where, org, lane, _ = split_record(reply[at + 2])
            fetched.append(Lease(reply[at].decode(), reply[at + 1].decode(), where, org, lane))
        self.holds += fetched
        if reply[4] == 2:
            self.isolated_in = queue
        elif self.isolated_in == queue and not (mode == "alone" and fetched):
            self.isolated_in = None
        return fetched

    def end(
        self,
        lease: Lease,
        outcome: str,
        *,
        carried: tuple[Sent, ...] = (),
        operations: tuple[AckOperation, ...] = (),
        took_ms: float = 10.0,
        refund: bool = False,
    ) -> None:
        """Remember what became of a message."""
        lease.outcome, lease.took_ms, lease.refund = outcome, took_ms, refund
        lease.carried, lease.operations = list(carried), list(operations)
        for held in (self.holds, self.lost):
            if lease in held:
                held.remove(lease)
        self.finished.append(lease)

    def flush(self, fate: Fate = "answered", *, queues: tuple[str, ...] = ()) -> None:
        """Say what is finished, and that it lives; what is due of these queues is made ready."""
        batch, self.finished = self.finished, []
        reply = self.shard.run(
            "finish",
            self.worker_id,
            SILENT_MS,
            DEAD_TTL_MS,
            len(batch),
            *_records(batch),
            *queues,
            len(queues),
        )
        if fate != "answered":
            self.finished, self.unsure = batch, True
        else:
            self._heed(reply)

    def reconcile(self) -> None:
        """Give back what came with an answer that got lost."""
        if self.unsure:
            known = [
                value for each in (*self.holds, *self.finished) for value in (each.message_id, each.token)
            ]
            while not self.shard.run("reconcile", self.worker_id, *known)[1]:
                pass
            self.unsure = False

    def _heed(self, reply: list[int]) -> None:
        self.refused = reply[0]
        if reply[1] and self.known:
            # Others took it for dead: whatever it held is theirs.
            self.lost += self.holds
            self.holds = []
        self.known = True


def _records(batch: list[Lease]) -> list[Argument]:
    return [value for lease in batch for value in lease.record()]
