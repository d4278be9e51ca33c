"""A broker with neighbours that have nothing to do with what is foreign, and the ways in which that is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import dramatiq
import redis
from dramatiq import Message
from dramatiq.middleware import Callbacks, Pipelines, Retries

from broker import FairRedisBroker, Inspector
from broker.scripts import Script
from tests.broker.workers import started
from tests.middleware.brokers import close
from tests.middleware.eventually import eventually

#: A worker that is dead.
GHOST = "ghost"


class World:
    """A broker with jobs of several orgs, which have nothing to do with what is foreign.

    Parameters:
        client: of a server that nobody else uses.
    """

    def __init__(self, client: "redis.Redis") -> None:
        self.client = client
        self.broker = FairRedisBroker(
            client=client,
            namespace=uuid4().hex,
            middleware=[Retries(min_backoff=1, max_backoff=5), Pipelines(), Callbacks()],
            heartbeat_timeout=2_000,
        )
        self.ran: set[str] = set()
        self.failed: set[str] = set()

        @dramatiq.actor(broker=self.broker, actor_name="neighbour", max_retries=3)
        def neighbour(name: str, *_: object) -> str:
            if name.startswith("fails") and name not in self.failed:
                self.failed.add(name)
                raise ValueError(name)
            self.ran.add(name)
            return name

        self.actor = neighbour
        self.names: set[str] = set()

    def key(self, *parts: str) -> str:
        """One of its keys."""
        return ":".join((self.broker.base, *parts))

    def neighbours(self) -> None:
        """Send some: ready, delayed, parked, with a key, one that fails once, a pipeline."""
        round_ = len(self.names)
        for org in ("a", "b", None):
            self._send(f"ready {org} {round_}", org=org)
            self._send(f"delayed {org} {round_}", org=org, delay=20)
        self._send(f"keyed {round_}", org="a", concurrency=["k", 1])
        self._send(f"fails {round_}", org="b")
        self.names |= {f"first {round_}", f"then {round_}"}
        steps = [
            self.actor.message_with_options(args=(f"{step} {round_}",), org="b") for step in ("first", "then")
        ]
        dramatiq.pipeline(steps, broker=self.broker).run()  # type: ignore[no-untyped-call]
        parked = self.actor.message_with_options(args=(f"parked {round_}",), org="a")
        self.names.add(f"parked {round_}")
        self.broker.park(parked, delay_ms=30, cause="something", key="door")

    def look(self) -> None:
        """Ask for everything that people are shown; none of it may fail."""
        view = Inspector(self.client, self.broker.base)
        view.depth("default")
        view.depth("default", org="a")
        view.queue_state("default")
        view.parked_by_cause("default")
        view.lanes("default")
        view.workers()
        for each in view.waiting("default"):
            assert view.why(each.message_id, queues=["default"]).text
        for name in ("odd", "nobody"):
            assert view.why(name, queues=["default"]).text

    def run(self) -> list[bytes]:
        """Have a worker run all neighbours. Returns all dead letters."""
        self.look()
        with started(self.broker, threads=2):
            done = eventually(lambda: self.ran >= self.names)
        self.look()
        assert done, f"never run: {sorted(self.names - self.ran)}"
        return self.letters()

    def letters(self) -> list[bytes]:
        """Records of all dead letters."""
        return [
            record
            for key in self.client.scan_iter(self.key("xm", "*"), _type="hash")
            for record in self.client.hvals(key)
            if isinstance(record, bytes)
        ]

    def ready(self, name: str = "odd") -> "Message[Any]":
        """A message that ran nowhere yet, on its way through the broker."""
        return self.actor.message_with_options(args=(name,), org="odd")

    def _send(self, name: str, **options: Any) -> None:
        self.names.add(name)
        self.actor.send_with_options(args=(name,), **options)


@contextmanager
def world_on(client: "redis.Redis") -> Iterator[World]:
    """One for an example; nothing is left of it."""
    world = World(client)
    try:
        yield world
    finally:
        close(world.broker)
        for key in client.scan_iter(f"{world.broker.base}:*"):
            client.delete(key)


def put_record(world: World, message_id: str, record: bytes, stands: str) -> None:
    """Write a record into Redis, where it stands, and that it counts."""
    client = world.client
    client.hset(world.key("m"), message_id, record)
    client.hincrby(world.key("n"), "default", 1)
    client.hincrby(world.key("no"), "odd", 1)
    if stands == "ready":
        client.rpush(world.key("l", "default", "odd", "neighbour:0"), f"1|{message_id}")
        client.zadd(world.key("ql", "default", "odd"), {"neighbour:0": 1})
        client.zadd(world.key("qr", "default"), {"odd": 0})
    else:
        client.zadd(world.key("qd" if stands == "delayed" else "qx", "default"), {message_id: 1})


def corrupt(world: World, where: str, value: bytes, score: float) -> None:
    """Write a value into Redis that is none there."""
    client, key = world.client, world.key
    match where:
        case "lane entry":
            client.lpush(key("l", "default", "a", "neighbour:0"), value)
        case "delayed":
            client.zadd(key("qd", "default"), {value: score})
            stored: list[Any] = client.hkeys(key("m"))
            for message_id in stored:
                client.zadd(key("qd", "default"), {message_id: score}, xx=True)
        case "lane":
            client.zadd(key("ql", "default", "a"), {value: score})
        case "org":
            client.zadd(key("qr", "default"), {value: score})
        case "aside":
            client.zadd(key("qs", "default"), {value: score})
        case "token":
            _hold(world, value)
        case "worker":
            client.zadd(key("workers"), {value: score})
        case "heard" | "time" | "cost" | "numbers":
            letters = {"heard": "heard", "time": "qt:default", "cost": "qc:default", "numbers": "seq"}[where]
            client.set(key(letters), value)
        case "waiters":
            client.sadd(key("b", "a"), value)
            client.sadd(key("bk", "a", "k"), value)
        case _:
            letters, field = {
                "parked": ("p", "m1"),
                "parked count": ("pn", "default\ndoor"),
                "crashes": ("d", "m1"),
                "gate": ("g", "a:neighbour"),
                "share": ("o", "a"),
                "rate": ("r", "neighbour"),
                "mean": ("avg", "neighbour"),
                "queue size": ("n", "default"),
                "org size": ("no", "a"),
                "leased": ("a", "a"),
                "leased by key": ("ak", "a\nk"),
            }[where]
            fields = client.hkeys(key("m")) if field == "m1" else [field]
            for each in fields[:2]:
                client.hset(key(letters), each, value)


def _hold(world: World, token: bytes) -> None:
    """Some are with a worker that is dead, and the token of one is foreign."""
    Script("fetch")(
        world.client, world.broker.base, [GHOST, 1_000, 60_000, 0, "default", 4, 1_000_000, 0, 0, "share"]
    )
    held = world.client.hkeys(world.key("lease", GHOST))
    world.client.hset(world.key("lease", GHOST), held[0], token)
    world.client.hset(world.key("lease", GHOST), "nobody", token)
    world.client.zadd(world.key("workers"), {GHOST: 0})
