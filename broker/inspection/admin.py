"""What operators change: messages that are dropped, priorities, workers that are to be quiet."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final, Literal

from dramatiq import Message
from dramatiq.errors import DecodeError

from ..clients import own_client
from ..connection import ask, server_time_ms
from ..keys import part
from ..scripts import Argument, Script
from .lookup import entry_of, org_of, stored_org
from .removal import clean_lanes
from .views import WaitingState

if TYPE_CHECKING:
    import redis

#: All states in which messages can be dropped.
WAITING: Final[frozenset[WaitingState]] = frozenset({"ready", "delayed", "parked", "held", "suspect"})
#: How many messages that stand in no lane one call drops, or counts.
BATCH_SIZE: Final = 38
COUNTED_SIZE: Final = 250

#: What became of a message that was to get another priority: it has it, a worker has the message already, the
#: message is not here, or it cannot be read.
Moved = Literal["done", "in_hand", "unknown", "undecodable"]

#: A message may move while it is searched for; so often the search is repeated.
_TRIES = 3

_CLEAN_ASIDE = Script("clean_aside")
_REPRIORITISE = Script("reprioritise")
_QUIET = Script("quiet")


class Operations:
    """Changes what waits in a `FairRedisBroker`, from anywhere; the broker itself is not needed.

    Parameters:
        client: a client of redis-py.
        base: the broker's `base`.

    Raises:
        ConnectionClosed: from every method: the server does not answer; a part may have been done.

    Example:
        >>> Operations(broker.client, broker.base).clean("exports", org="acme", dry_run=True)
        1204
    """

    def __init__(self, client: "redis.Redis", base: str) -> None:
        self._client = own_client(client)
        self._base = base

    def clean(
        self,
        queue: str,
        *,
        org: str | None = None,
        actor: str | None = None,
        older_than_ms: int | None = None,
        states: Collection[WaitingState] = WAITING,
        dry_run: bool = False,
    ) -> int:
        """Drop a queue's messages that wait, for good: they do not become dead letters.

        Done in small batches; what is sent meanwhile stays. Leased messages are left as they are.

        Parameters:
            queue: its name.
            org: only this org's. Default all.
            actor: only this actor's. Default any.
            older_than_ms: only those that are due for longer, or, when they are not due, were sent before. Default
                all.
            states: only those in one of these. Default all.
            dry_run: only count them. Default False.

        Returns:
            How many were dropped, or would be.
        """
        now = server_time_ms(self._client)
        before = "inf" if older_than_ms is None else f"{now - older_than_ms:.0f}"
        stored_actor = "" if actor is None else part(actor)
        found = 0
        if "ready" in states:
            # What was sent since is not meant.
            due_before = f"{now:.0f}" if older_than_ms is None and not dry_run else before
            found += clean_lanes(
                self._client,
                self._base,
                queue,
                org=org,
                actor=stored_actor,
                before=due_before,
                dry_run=dry_run,
            )
        chosen = (queue, stored_org(org), stored_actor, before, int(dry_run))
        if put_off := sorted(set(states) - {"ready", "suspect"}):
            found += self._clean_aside(("qd", *chosen), put_off, COUNTED_SIZE if dry_run else BATCH_SIZE)
        if "suspect" in states:
            found += self._clean_aside(("qx", *chosen), ["suspect"], COUNTED_SIZE if dry_run else BATCH_SIZE)
        return found

    def set_priority(self, message_id: str, priority: int, *, org: str | None = None) -> Moved:
        """Give a message that waits another priority, for this and all later attempts. It keeps its age.

        Parameters:
            message_id: the message's.
            priority: 0 for most; the lower, the more urgent, and each step counts as much as a second of waiting.
            org: only if it is this org's. Default any.
        """
        for _ in range(_TRIES):
            record = self._record(message_id)
            if record is None or (org is not None and org_of(record) != org):
                return "unknown"
            try:
                changed = _with_priority(record, priority)
            except DecodeError:
                return "undecodable"
            if changed == record:
                return "done"
            entry = entry_of(self._client, self._base, message_id, record) or ""
            if _REPRIORITISE(self._client, self._base, [message_id, record, changed, entry]):
                return "done"
        return "in_hand"

    def quiet(self, worker_id: str) -> bool:
        """Have a worker fetch nothing more; what it has fetched it runs. Returns False if there is no such worker."""
        return bool(_QUIET(self._client, self._base, [worker_id, 1]))

    def resume(self, worker_id: str) -> bool:
        """Resume fetching. Returns False if the worker was not quiet."""
        return bool(_QUIET(self._client, self._base, [worker_id, 0]))

    def _clean_aside(self, chosen: Sequence[Argument], states: Collection[WaitingState], number: int) -> int:
        found, looked_at, from_ms, skip = 0, number, "-inf", 0
        while looked_at:
            arguments = [*chosen, from_ms, skip, number, *states]
            dropped, looked_at, from_ms, skip = _CLEAN_ASIDE(self._client, self._base, arguments)
            found += dropped
        return found

    def _record(self, message_id: str) -> bytes | None:
        record = ask(self._client, "HGET", f"{self._base}:m", message_id)
        return record if isinstance(record, bytes) else None


def _with_priority(record: bytes, priority: int) -> bytes:
    """A record whose lane and message have another priority."""
    *start, lane, enqueue_id, body = record.split(b"\n", 4)
    actor, _, *key = lane.split(b":")
    message = Message.decode(body)
    message.options["priority"] = priority
    lane = b":".join((actor, str(priority).encode(), *key))
    return b"\n".join((*start, lane, enqueue_id, message.encode()))
