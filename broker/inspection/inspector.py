"""Inspection of a broker: what waits where, for how long, on whom, and why. Nothing here changes anything."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from ..clients import own_client
from ..connection import ask
from ..scripts import Argument, Script
from . import views
from .lookup import LANES, batch, entry_of, lane_key, lanes_of, org_of, stored_org
from .views import Facts, Lane, QueueDepth, QueueState, WaitingMessage, WaitingState, WorkerView
from .why import Why, explain, shut_reasons

if TYPE_CHECKING:
    import redis

#: A worker that was silent for so long is taken for dead, in milliseconds.
DEFAULT_HEARTBEAT_TIMEOUT_MS: Final = 15_000
#: Most lanes and messages that one call lists by default.
DEFAULT_LIMIT: Final = 100
#: Of what is delayed, so many are read to find an org's.
MAX_INSPECTED: Final = 10_000

#: So much of what is delayed comes with one call.
_BATCH_SIZE = 1_000
#: A message may move while it is searched for; so often the search is repeated.
_TRIES = 3

_WHY = Script("why")
_DEPTHS = Script("depths")
_QUEUE_STATE = Script("queue_state")
_PARKED = Script("parked_by_cause")
_ASIDE = Script("list_aside")
_WORKERS = Script("list_workers")


class Inspector:
    """Inspects a `FairRedisBroker`, from anywhere; the broker itself is not needed.

    With `org` nothing of other orgs is seen, and another org's message is unknown.

    Parameters:
        client: a client of redis-py.
        base: the broker's `base`.
        heartbeat_timeout_ms: as the workers have it. Default 15,000.

    Raises:
        ConnectionClosed: from every method: the server does not answer.

    Example:
        >>> Inspector(broker.client, broker.base).why(message.message_id).cause
        'delayed'
    """

    def __init__(
        self, client: "redis.Redis", base: str, *, heartbeat_timeout_ms: int = DEFAULT_HEARTBEAT_TIMEOUT_MS
    ) -> None:
        self._client = own_client(client)
        self._base = base
        self._silent_ms = heartbeat_timeout_ms

    def why(self, message_id: str, org: str | None = None, *, queues: Sequence[str] = ()) -> Why:
        """Explain why a message has not started.

        Parameters:
            message_id: the message's.
            org: only if it is this org's. Default any.
            queues: whose dead letters are searched, besides those of queues with messages. Default none.
        """
        entry, facts, record = "", {}, b""
        for _ in range(_TRIES):
            reply = _WHY(self._client, self._base, [message_id, entry, *queues])
            facts, record = json.loads(reply[0]), reply[1]
            if facts.get("state") != "ready" or facts.get("place") is not None:
                break
            entry = entry_of(self._client, self._base, message_id, record) or ""
        if org is not None and record and org_of(record) != org:
            facts = {}
        return explain(message_id, facts, record, silent_ms=self._silent_ms)

    def depth(self, *queues: str, org: str | None = None) -> list[QueueDepth]:
        """How many messages are where, by queue. Costs a scan of all that is leased.

        Parameters:
            queues: their names. Default: all that have a message that is not dead.
            org: count only this org's. Default all.
        """
        now_ms, rows, parked = _DEPTHS(self._client, self._base, [stored_org(org), *queues])
        kinds = _by_queue(parked)
        found = [_depth(row, now_ms, kinds.get(row["queue"], {})) for row in json.loads(rows)]
        return sorted(found, key=lambda each: each.queue)

    def oldest(self, queue: str) -> float | None:
        """Seconds that the oldest message waits of those that nothing holds back; None where there is none."""
        return self.queue_state(queue).oldest_age_s

    def queue_state(self, queue: str) -> QueueState:
        """How full a queue is, in one round trip, for metrics. The oldest of the first 1,000 orgs' messages."""
        now_ms, depth, *since = _QUEUE_STATE(self._client, self._base, [queue])
        return QueueState(depth=depth, oldest_age_s=views.age_s(since[0], now_ms) if since else None)

    def parked_by_cause(self, queue: str) -> dict[str, int]:
        """How many messages of a queue wait for what, in one word, in one round trip: those that are parked, and those
        whose lane or org may not run (`pause`, `breaker`, `limit`, `key`, `rate`; of the first 1,000 lanes).

        Example:
            >>> inspector.parked_by_cause("publishing")
            {'breaker': 12, 'limit': 340}
        """
        reply = _PARKED(self._client, self._base, [queue])
        return dict(
            sorted((word.decode(), number) for word, number in zip(reply[::2], reply[1::2], strict=True))
        )

    def queues(self) -> list[str]:
        """The queues that have a message which is not dead."""
        return sorted(name.decode() for name in ask(self._client, "HKEYS", f"{self._base}:n"))

    def lanes(self, queue: str, org: str | None = None, *, limit: int = DEFAULT_LIMIT) -> list[Lane]:
        """A queue's lanes that are not empty: orgs in the order of their turns, and last those that have to wait.

        Parameters:
            queue: its name.
            org: only this org's. Default all.
            limit: how many at most. Default 100.
        """
        now_ms, rows = LANES(self._client, self._base, [queue, stored_org(org), limit, 1])
        return [_lane(queue, row, now_ms) for row in json.loads(rows)]

    def waiting(
        self, queue: str, org: str | None = None, *, actor: str | None = None, limit: int = DEFAULT_LIMIT
    ) -> list[WaitingMessage]:
        """Messages that wait: those that are due, lane by lane, then those that wait to run alone, then the others.

        Of the two last the first 10,000 are read, by when they are due. Messages may move while this goes from one lane
        to the next.

        Parameters:
            queue: its name.
            org: only this org's. Default all.
            actor: only this actor's. Default any.
            limit: how many at most. Default 100.
        """
        aside = chain(self._aside("qx", queue, org), self._aside("qd", queue, org))
        found = chain(self._ready(queue, org, actor, limit), aside)
        return list(islice((each for each in found if actor in (None, each.actor)), limit))

    def workers(self, org: str | None = None) -> list[WorkerView]:
        """Worker processes, with what each has leased, the longest first.

        Parameters:
            org: show only this org's messages. Default all.
        """
        now_ms, rows = _WORKERS(self._client, self._base, [])
        return [views.read_worker(row, now_ms, org) for row in json.loads(rows)]

    def _ready(self, queue: str, org: str | None, actor: str | None, limit: int) -> Iterator[WaitingMessage]:
        for row in lanes_of(self._client, self._base, queue, org, limit):
            if actor not in (None, views.read_lane(row["lane"]).actor):
                continue
            key = lane_key(self._base, queue, row["org"], row["lane"])
            for entry in batch(self._client, key, 0, limit):
                since_ms, _, message_id = entry.decode().partition("|")
                yield _waiting(queue, message_id, since_ms, row["org"], row["lane"], "ready")

    def _aside(self, which: str, queue: str, org: str | None) -> Iterator[WaitingMessage]:
        for start in range(0, MAX_INSPECTED, _BATCH_SIZE):
            arguments: list[Argument] = [which, queue, stored_org(org), start, _BATCH_SIZE]
            looked_at, *reply = _ASIDE(self._client, self._base, arguments)
            texts = [each.decode() for each in reply]
            for at in range(0, len(texts), 5):
                message_id, due_ms, whose, lane, parked = texts[at : at + 5]
                cause = parked.partition("\n")[0]
                yield _waiting(queue, message_id, due_ms, whose, lane, _state_aside(which, parked), cause)
            if looked_at < _BATCH_SIZE:
                return


def _by_queue(flat: Sequence[bytes]) -> dict[str, dict[str, int]]:
    """Numbers of parked messages by queue and kind, from the fields and values of their hash."""
    found: dict[str, dict[str, int]] = {}
    for name, number in zip(flat[::2], flat[1::2], strict=True):
        queue, _, kind = name.decode().partition("\n")
        found.setdefault(queue, {})[kind] = int(number)
    return found


def _depth(row: Mapping[str, Any], now_ms: int, parked_by_kind: Mapping[str, int]) -> QueueDepth:
    oldest_s = views.age_s(row["oldest"], now_ms) if "oldest" in row else None
    if "ready" in row:  # of one org
        return QueueDepth(queue=row["queue"], ready=row["ready"], leased=row["leased"], oldest_age_s=oldest_s)
    parked = sum(parked_by_kind.values())
    held = sum(number for kind, number in parked_by_kind.items() if views.is_held(kind))
    waiting = row["delayed"] + row["suspects"] + row["leased"]
    return QueueDepth(
        queue=row["queue"],
        ready=max(0, int(row["all"]) - waiting),
        leased=row["leased"],
        delayed=max(0, row["delayed"] - parked),
        parked=parked - held,
        held=held,
        suspects=row["suspects"],
        dead=row["dead"],
        oldest_age_s=oldest_s,
    )


def _lane(queue: str, row: Facts, now_ms: int) -> Lane:
    name, time = views.read_lane(str(row["lane"])), row.get("time")
    return Lane(
        queue=queue,
        org=views.read_org(str(row["org"])),
        actor=name.actor,
        priority=name.priority,
        key=name.key,
        length=int(str(row["length"])),
        oldest_age_s=views.age_s(str(row["since"]), now_ms),
        virtual_time=None if time is None else float(str(time)),
        shut_because=tuple(each.text for each in shut_reasons({**row, "now": now_ms})),
    )


def _state_aside(which: str, parked: str) -> WaitingState:
    if which == "qx":
        return "suspect"
    return "held" if views.is_held(parked.partition("\n")[2]) else "parked" if parked else "delayed"


def _waiting(
    queue: str, message_id: str, due_ms: str, org: str, lane_name: str, state: WaitingState, cause: str = ""
) -> WaitingMessage:
    lane = views.read_lane(lane_name)
    return WaitingMessage(
        message_id=message_id,
        queue=queue,
        org=views.read_org(org),
        actor=lane.actor,
        priority=lane.priority,
        key=lane.key,
        state=state,
        due_ms=int(float(due_ms)),
        cause=cause or None,
    )
