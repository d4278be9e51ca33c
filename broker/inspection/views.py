"""What is seen of a broker: its queues, lanes and workers, and what waits."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote

#: What a script returns about one thing, by name. What it did not find is None or False there.
Facts = Mapping[str, object]

#: Where a message that waits stands.
WaitingState = Literal["ready", "delayed", "parked", "held", "suspect"]

#: What a worker publishes of itself that is shown as it is.
_PUBLISHED = ("pid", "host", "version", "threads", "rss_bytes", "started_ms", "unwell")
#: Beyond this a number is not exact in a script.
_MAX_EXACT = 2.0**53
#: What messages are parked under that wait for a worker of another version: one that knows their actor, or theirs.
HELD = frozenset({"actor", "version"})


@dataclass(frozen=True, kw_only=True)
class QueueState:
    """How full a queue is."""

    #: Messages that are not done, leased ones included.
    depth: int
    #: Seconds that the oldest one waits of those that nothing holds back; None when there is none.
    oldest_age_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class QueueDepth:
    """How many messages of a queue are where. Of one org's, `ready` and `leased` alone are known, and others None."""

    queue: str
    #: Due, whether or not something holds them back.
    ready: int
    #: With a worker process: running, or about to.
    leased: int
    #: Not due yet.
    delayed: int | None = None
    #: Put off by something that is known; see `parked_by_cause`.
    parked: int | None = None
    #: Waiting for a worker of a newer version.
    held: int | None = None
    #: Waiting to run alone, since workers died while they ran.
    suspects: int | None = None
    #: Rejected messages that the broker still keeps, whatever was replayed of them since.
    dead: int | None = None
    #: Seconds that the oldest one waits of those that nothing holds back.
    oldest_age_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Lane:
    """Messages of one org and actor, of one priority and concurrency key, in the order in which they were due."""

    queue: str
    #: None: messages that belong to no org.
    org: str | None
    actor: str
    priority: int
    #: The concurrency key, where it has one.
    key: str | None
    length: int
    oldest_age_s: float
    #: The org's place in the order of orgs: the lowest is next. None while the whole org is held back.
    virtual_time: float | None
    #: Why nothing of it may start, in words; empty when it may.
    shut_because: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class InFlightMessage:
    """A message that a worker process has."""

    message_id: str
    queue: str
    org: str | None
    actor: str
    #: Seconds since it was fetched.
    age_s: float


@dataclass(frozen=True, kw_only=True)
class WorkerView:
    """A worker process as the broker knows it."""

    id: str
    #: Seconds since its last heartbeat.
    last_beat_s: float
    #: It fetches nothing more until it is resumed.
    quiet: bool
    #: What it published of itself; None, and no queues, where it has not yet.
    pid: int | None = None
    host: str | None = None
    version: str | None = None
    queues: tuple[str, ...] = ()
    threads: int | None = None
    region: str | None = None
    #: Which of its calls fail although the server answers, and why; None where it is well.
    unwell: str | None = None
    rss_bytes: int | None = None
    started_ms: int | None = None
    #: How many messages it has leased, and which.
    leased: int = 0
    in_flight: tuple[InFlightMessage, ...] = ()

    @property
    def place(self) -> str:
        """Host and process, as people search for it."""
        return self.id if self.host is None else f"{self.host}:{self.pid}"


@dataclass(frozen=True, kw_only=True)
class WaitingMessage:
    """A message that waits."""

    message_id: str
    queue: str
    org: str | None
    actor: str
    priority: int
    key: str | None
    state: WaitingState
    #: When it became due, or will be: epoch milliseconds by the server's clock.
    due_ms: int
    #: Why it was put off.
    cause: str | None = None


@dataclass(frozen=True, kw_only=True)
class LaneName:
    """The parts of a lane's name."""

    actor: str
    priority: int
    key: str | None


def read_lane(name: str) -> LaneName:
    """A lane's name as it is stored, taken apart.

    Example:
        >>> read_lane("publish:5:example.org:2")
        LaneName(actor='publish', priority=5, key='example.org')
    """
    # What `keys.part` escapes, it escapes as addresses do.
    actor, _, rest = name.partition(":")
    priority, _, key = rest.partition(":")
    return LaneName(
        actor=unquote(actor), priority=whole(priority), key=unquote(key.partition(":")[0]) if key else None
    )


def read_org(stored: str) -> str | None:
    """An org as people name it; None for messages that belong to none."""
    return unquote(stored) or None


def age_s(since_ms: str | bytes, now_ms: int) -> float:
    """Seconds from a time in milliseconds until now, both by one clock."""
    return max(0.0, (now_ms - whole(since_ms)) / 1_000)


def read_worker(facts: Facts, now_ms: int, org: str | None = None) -> WorkerView:
    """A worker process, from what a script returns; with `org`, only that org's messages are shown."""
    about = facts.get("about")
    published = _published(about) if isinstance(about, str) else {}
    messages = facts.get("messages")
    return WorkerView(
        id=str(facts["id"]),
        last_beat_s=age_s(str(facts["beat"]), now_ms),
        quiet=bool(facts["quiet"]),
        queues=tuple(published["queues"]) if isinstance(published.get("queues"), list) else (),
        region=published.get("region") or None,
        **{name: published.get(name) for name in _PUBLISHED},
        leased=whole(str(facts["leased"])),
        in_flight=_in_flight(messages if isinstance(messages, list) else [], now_ms, org),
    )


def leased_ms(token: str) -> int | None:
    """The epoch milliseconds at which a lease began, from its token; None for tokens without it."""
    parts = token.split("|")
    return whole(parts[4]) if len(parts) > 4 else None


def whole(text: str | bytes) -> int:
    """A number as it is stored, without its fraction: within what a script takes exactly, and 0 for what is none."""
    try:
        return int(max(-_MAX_EXACT, min(float(text), _MAX_EXACT)))
    except ValueError:  # no number, or NaN
        return 0


def shown(stored: bytes) -> str:
    """Text as it is stored, for people; bytes that are none are replaced."""
    return stored.decode("utf-8", "replace")


def read_json(stored: bytes) -> Any:
    """What a script describes in JSON, whatever text it found."""
    return json.loads(shown(stored))


def is_held(key: str) -> bool:
    """Check that what is parked under a key waits for a worker of another version."""
    return key.partition(":")[0] in HELD


def _published(about: str) -> dict[str, Any]:
    try:
        published = json.loads(about)
    except (ValueError, RecursionError):
        return {}
    return published if isinstance(published, dict) else {}


def _in_flight(
    messages: Sequence[Mapping[str, str]], now_ms: int, org: str | None
) -> tuple[InFlightMessage, ...]:
    found = [
        InFlightMessage(
            message_id=each["id"],
            queue=each["queue"],
            org=read_org(each["org"]),
            actor=read_lane(each["lane"]).actor,
            age_s=age_s(str(leased_ms(each["token"]) or now_ms), now_ms),
        )
        for each in messages
        if org in (None, read_org(each["org"]))
    ]
    return tuple(sorted(found, key=lambda each: -each.age_s))
