"""Inspection of a broker: what waits where, for how long, on whom, and why. Nothing here changes anything."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from ..clients import own_client
from ..connection import ask
from ..scripts import Argument, Script
from . import views
from .lane_walk import Step, orgs_of, walk_lanes
from .lookup import batch, entry_of, lane_key, org_of, stored_org
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
_BATCH_SIZE = 150
#: So many lanes, workers, leases and queues.
_ROWS_AT_ONCE = 200
_WORKERS_AT_ONCE = 150
_LEASES_AT_ONCE = 200
_QUEUES_AT_ONCE = 15
#: A message may move while it is searched for; so often the search is repeated.
_TRIES = 3

_WHY = Script("why")
_DEPTHS = Script("depths")
_QUEUE_STATE = Script("queue_state")
_PARKED = Script("parked_by_cause")
_ASIDE = Script("list_aside")
_LANES = Script("list_lanes")
_WORKERS = Script("list_workers")
_LEASES = Script("list_leases")


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
            facts, record = views.read_json(reply[0]), reply[1]
            if facts.get("state") != "ready" or facts.get("place") is not None:
                break
            entry = entry_of(self._client, self._base, message_id, record) or ""
        if org is not None and record and org_of(record) != org:
            facts = {}
        return explain(message_id, facts, record, silent_ms=self._silent_ms)

    def depth(self, *queues: str, org: str | None = None) -> list[QueueDepth]:
        """How many messages are where, by queue. With `org` it goes through that org's lanes, and all that is leased.

        Parameters:
            queues: their names. Default: all that have a message that is not dead.
            org: count only this org's. Default all.
        """
        names, found = sorted(set(queues)) or self.queues(), []
        leased = Counter(self._leased_queues(org)) if org is not None else Counter[str]()
        for start in range(0, len(names), _QUEUES_AT_ONCE):
            batched = names[start : start + _QUEUES_AT_ONCE]
            now_ms, rows, parked = _DEPTHS(self._client, self._base, [stored_org(org), *batched])
            kinds = _by_queue(parked)
            for row in views.read_json(rows):
                name = row["queue"]
                if org is not None:
                    row |= {"ready": self._length(name, org), "leased": leased[name]}
                found.append(_depth(row, now_ms, kinds.get(name, {})))
        return found

    def oldest(self, queue: str) -> float | None:
        """Seconds that the oldest message waits of those that nothing holds back; None where there is none."""
        return self.queue_state(queue).oldest_age_s

    def queue_state(self, queue: str) -> QueueState:
        """How full a queue is, in one round trip, for metrics. The oldest of the first 30 orgs' messages."""
        now_ms, depth, *since = _QUEUE_STATE(self._client, self._base, [queue])
        return QueueState(depth=depth, oldest_age_s=views.age_s(since[0], now_ms) if since else None)

    def parked_by_cause(self, queue: str) -> dict[str, int]:
        """How many messages of a queue wait for what, in one word, in one round trip: those that are parked, and those
        that may not run (`pause`, `breaker`, `limit`, `key`, `rate`). Where more than tens of orgs stand aside, the
        latter is an estimate: of some, times how many there are.

        Example:
            >>> inspector.parked_by_cause("publishing")
            {'breaker': 12, 'limit': 340}
        """
        reply = _PARKED(self._client, self._base, [queue])
        return dict(
            sorted((views.shown(word), number) for word, number in zip(reply[::2], reply[1::2], strict=True))
        )

    def queues(self) -> list[str]:
        """The queues that have a message which is not dead."""
        return sorted(views.shown(name) for name in ask(self._client, "HKEYS", f"{self._base}:n"))

    def lanes(self, queue: str, org: str | None = None, *, limit: int = DEFAULT_LIMIT) -> list[Lane]:
        """A queue's lanes that are not empty: orgs in the order of their turns, and last those that have to wait.

        Parameters:
            queue: its name.
            org: only this org's. Default all.
            limit: how many at most. Default 100.
        """
        found = self._lanes(queue, org, limit, with_facts=True)
        return [_lane(queue, row, now_ms) for row, now_ms in islice(found, limit)]

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
        found: list[WorkerView] = []
        for row, now_ms in self._worker_rows():
            row["messages"] = list(self._leases(row["id"]))
            found.append(views.read_worker(row, now_ms, org))
        return found

    def _ready(self, queue: str, org: str | None, actor: str | None, limit: int) -> Iterator[WaitingMessage]:
        for row, _ in self._lanes(queue, org, limit):
            if actor not in (None, views.read_lane(row["lane"]).actor):
                continue
            key = lane_key(self._base, queue, row["org"], row["lane"])
            for entry in batch(self._client, key, 0, limit):
                since_ms, _, message_id = views.shown(entry).partition("|")
                yield _waiting(queue, message_id, since_ms, row["org"], row["lane"], "ready")

    def _aside(self, which: str, queue: str, org: str | None) -> Iterator[WaitingMessage]:
        start = 0
        while start < MAX_INSPECTED:
            arguments: list[Argument] = [which, queue, stored_org(org), start, _BATCH_SIZE]
            looked_at, *reply = _ASIDE(self._client, self._base, arguments)
            texts = [views.shown(each) for each in reply]
            for at in range(0, len(texts), 5):
                message_id, due_ms, whose, lane, parked = texts[at : at + 5]
                cause = parked.partition("\n")[0]
                yield _waiting(queue, message_id, due_ms, whose, lane, _state_aside(which, parked), cause)
            start += looked_at
            if not looked_at:
                return

    def _lanes(
        self, queue: str, org: str | None, limit: int, *, with_facts: bool = False
    ) -> Iterator[tuple[dict[str, Any], int]]:
        """Lanes that are not empty as the script describes them, each with the server's time, until all are seen."""

        def call(step: Step) -> tuple[tuple[list[dict[str, Any]], int], int, int, int]:
            arguments = [queue, min(limit, _ROWS_AT_ONCE), int(with_facts), *step.arguments()]
            now_ms, rows, through, place, rank = _LANES(self._client, self._base, arguments)
            return (views.read_json(rows), now_ms), through, place, rank

        left = self.depth(queue)[0].ready if org is None else 0
        for rows, now_ms in walk_lanes(orgs_of(self._client, self._base, queue, org, ready_first=True), call):
            for row in rows:
                yield row, now_ms
                left -= row["length"]
            # Beyond the ready ones, orgs without any are searched: no longer than there is something to be found.
            if org is None and left <= 0:
                return

    def _length(self, queue: str, org: str) -> int:
        return sum(row["length"] for row, _ in self._lanes(queue, org, _ROWS_AT_ONCE))

    def _worker_rows(self) -> Iterator[tuple[dict[str, Any], int]]:
        start = 0
        while True:
            now_ms, text = _WORKERS(self._client, self._base, [start, _WORKERS_AT_ONCE])
            rows = views.read_json(text)
            for row in rows:
                yield row, now_ms
            if len(rows) < _WORKERS_AT_ONCE:
                return
            start += len(rows)

    def _leases(self, worker_id: str) -> Iterator[dict[str, str]]:
        """What a worker has leased, a few in each call."""
        cursor: int | None = None
        key = f"{self._base}:lease:{worker_id}"
        while cursor != 0:
            cursor, tokens = ask(self._client, "HSCAN", key, cursor or 0, "COUNT", _LEASES_AT_ONCE)
            left = list(tokens)
            while left:
                read, *reply = _LEASES(self._client, self._base, left[:_LEASES_AT_ONCE])
                for at in range(0, len(reply), 4):
                    message_id, queue, org, lane = (views.shown(each) for each in reply[at : at + 4])
                    token = views.shown(tokens[reply[at]])
                    yield {"id": message_id, "token": token, "queue": queue, "org": org, "lane": lane}
                del left[:read]

    def _leased_queues(self, org: str) -> Iterator[str]:
        for row, _ in self._worker_rows():
            yield from (each["queue"] for each in self._leases(row["id"]) if each["org"] == stored_org(org))


def _by_queue(flat: Sequence[bytes]) -> dict[str, dict[str, int]]:
    """Numbers of parked messages by queue and kind, from the fields and values of their hash."""
    found: dict[str, dict[str, int]] = {}
    for name, number in zip(flat[::2], flat[1::2], strict=True):
        queue, _, kind = views.shown(name).partition("\n")
        found.setdefault(queue, {})[kind] = views.whole(number)
    return found


def _depth(row: Mapping[str, Any], now_ms: int, parked_by_kind: Mapping[str, int]) -> QueueDepth:
    oldest_s = views.age_s(row["oldest"], now_ms) if "oldest" in row else None
    if "ready" in row:  # of one org
        return QueueDepth(queue=row["queue"], ready=row["ready"], leased=row["leased"], oldest_age_s=oldest_s)
    parked = sum(parked_by_kind.values())
    held = sum(number for kind, number in parked_by_kind.items() if views.is_held(kind))
    leased = int(row["leased"])
    waiting = row["delayed"] + row["suspects"] + leased
    return QueueDepth(
        queue=row["queue"],
        ready=max(0, views.whole(str(row["all"])) - waiting),
        leased=leased,
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
        oldest_age_s=views.age_s(str(row.get("since", now_ms)), now_ms),
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
        due_ms=views.whole(due_ms),
        cause=cause or None,
    )
