"""No script does more than 1,000 commands, or touches more than 1,000 elements or 4 MiB, whatever waits."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq import Message

from broker import FairRedisBroker, Inspector, Operations
from tests.broker import script_costs
from tests.middleware.brokers import close
from tests.middleware.own_server import own_valkey

pytestmark = pytest.mark.slow

#: How many wait, in turn; "make model" has them at 10,000 and 100,000.
SIZES: Final = [int(each) for each in os.environ.get("BOUNDS_SIZES", "200 1500").split()]
#: From so many on a call is as long as it may be; then it does no more for ten times as many, but for steps of a search
#: by halving.
LONG, GROWTH = 10_000, 24
#: A fetch asks for so many: what eight threads take, and 128 ahead.
ROOM: Final = 136
FAR_MS: Final = 4_000_000_000_000
MIB: Final = 1024 * 1024

Costs = dict[str, script_costs.Cost]


class Scene:
    """A broker of its own, whose scripts count what they do."""

    def __init__(self, client: "redis.Redis", url: str) -> None:
        self.client = client
        self._url = url
        self.namespace = uuid4().hex
        self.broker = self._new_broker()
        self.look = Inspector(self.broker.client, self.broker.base)
        self.operations = Operations(self.broker.client, self.broker.base)
        self.found: Costs = {}

    def send(self, count: int, options: Callable[[int], dict[str, Any]], *, delay: int | None = None) -> None:
        """Send so many messages; the options of each are made of its number."""
        with self._new_broker_for_a_call() as sender:
            for start in range(0, count, 2_000):
                answers = sender.send_many(
                    (_message(**options(number)) for number in range(start, min(count, start + 2_000))),
                    delay=delay,
                )
                assert not [each for each in answers if isinstance(each, Exception)]
        self.count("sending")

    def count(self, what: str, call: Callable[[], object] = lambda: None) -> Any:
        """Call, and keep the most that each script has cost since the last time."""
        result = call()
        for name, cost in script_costs.costs(self.client).items():
            self.found[f"{what}: {name}"] = cost
        return result

    def fetch(self, what: str, *, times: int = 3, ack: bool = False) -> int:
        """A worker that begins, fetches so often, and ends. Returns how many messages it got."""

        def work() -> int:
            with self._new_broker_for_a_call() as worker:
                session = worker._sessions
                consumer = worker.consume("q", prefetch=ROOM, timeout=10)
                got = 0
                for _ in range(times):
                    held = []
                    while (message := next(consumer)) is not None:
                        held.append(message)
                        if len(held) >= ROOM:
                            break
                    got += len(held)
                    for message in held if ack else []:
                        consumer.ack(message)
                assert session is not None
                return got

        return int(self.count(what, work))

    def look_around(self, when: str, *, org: str | None = "acme") -> None:
        """All that people and metrics look at."""
        self.count(f"{when}, state", lambda: self.look.queue_state("q"))
        self.count(f"{when}, causes", lambda: self.look.parked_by_cause("q"))
        self.count(f"{when}, depth", lambda: self.look.depth())
        self.count(f"{when}, depth of an org", lambda: self.look.depth("q", org=org))
        self.count(f"{when}, lanes", lambda: self.look.lanes("q"))
        self.count(f"{when}, lanes of an org", lambda: self.look.lanes("q", org))
        self.count(f"{when}, waiting", lambda: self.look.waiting("q"))
        self.count(f"{when}, workers", lambda: self.look.workers())

    def clean(self, when: str, count: int) -> None:
        """Count all, drop all."""
        assert self.count(f"{when}, dry", lambda: self.operations.clean("q", dry_run=True)) == count
        assert self.count(f"{when}, clean", lambda: self.operations.clean("q")) == count
        assert self.broker.do_qsize("q") == 0

    def close(self) -> None:
        """Drop everything."""
        close(self.broker)

    def _new_broker(self) -> FairRedisBroker:
        return FairRedisBroker(url=self._url, namespace=self.namespace, middleware=[])

    @contextmanager
    def _new_broker_for_a_call(self) -> Iterator[FairRedisBroker]:
        made = self._new_broker()
        made.declare_queue("q")
        try:
            yield made
        finally:
            close(made)


@pytest.fixture(scope="module")
def own_server() -> Iterator[tuple[str, "redis.Redis"]]:
    """A server that nobody else talks to."""
    with own_valkey() as own, redis.Redis.from_url(own.url, socket_timeout=120) as client:
        yield own.url, client


@pytest.fixture
def played(own_server: tuple[str, "redis.Redis"]) -> Callable[[Callable[[Scene, int], None]], None]:
    """Plays a scene at each size, and compares what the scripts have cost."""
    url, client = own_server

    def play(act: Callable[[Scene, int], None], sizes: list[int] = SIZES) -> None:
        found = []
        with script_costs.counted():
            for size in sizes:
                scene = Scene(client, url)
                try:
                    act(scene, size)
                finally:
                    scene.close()
                    client.flushall()
                found.append(scene.found)
        faults = [*_beyond(found[-1]), *(_grown(found[0], found[-1]) if sizes[0] >= LONG else ())]
        if faults:
            pytest.fail("\n".join(faults))

    return play


Play = Callable[..., None]


def pause(scene: Scene, gates: dict[str, tuple[int, str]]) -> None:
    """Put everything aside, look at it, change the gates, let it in again."""
    scene.count("a pause", lambda: scene.broker.shut("pauses", gates))
    assert scene.fetch("fetch after a pause") == 0
    scene.look_around("paused")
    scene.count("its words", lambda: scene.broker.shut("pauses", dict.fromkeys(gates, (0, "longer"))))
    scene.count("another's", lambda: scene.broker.shut("breakers", {"a:other": (FAR_MS, "down")}))
    scene.count("another's end", lambda: scene.broker.shut("breakers", {}))
    scene.fetch("fetch after a change")


def end_of_pause(scene: Scene) -> None:
    """Let everything in again."""
    scene.count("its end", lambda: scene.broker.shut("pauses", {}))
    assert scene.fetch("fetch after its end") > 0


@pytest.mark.parametrize("kind", ["key", "priority", "actor"])
def test_one_org_with_very_many_lanes(played: Play, kind: str) -> None:
    """By concurrency keys, by priorities, or by both for two actors."""

    def options(number: int) -> dict[str, Any]:
        if kind == "key":
            return {"org": "acme", "concurrency": (f"doc:{number}", 1)}
        if kind == "priority":
            return {"org": "acme", "priority": number - 100}
        return {
            "org": "acme",
            "concurrency": (f"doc:{number}", 1),
            "priority": 5,
            "actor": f"act{number % 2}",
        }

    def act(scene: Scene, count: int) -> None:
        scene.send(count, options)
        scene.fetch("fetch")
        scene.look_around("open")
        actors = {"a:act": (0, "paused"), "a:act0": (0, "paused"), "a:act1": (0, "paused")}
        pause(scene, actors)
        end_of_pause(scene)
        pause(
            scene, {"x:acme:act": (0, "paused"), "x:acme:act0": (0, "paused"), "x:acme:act1": (0, "paused")}
        )
        scene.clean("paused", count)
        scene.send(count, options)
        scene.count("flush", lambda: scene.broker.flush("q"))
        assert scene.broker.do_qsize("q") == 0

    played(act)


@pytest.mark.parametrize("gate", ["a:act", "o:", "x:"])
def test_very_many_orgs_with_one_message(played: Play, gate: str) -> None:
    """All paused by their actor's gate, or each by its own."""

    def act(scene: Scene, count: int) -> None:
        scene.send(count, lambda number: {"org": f"org{number}"})
        scene.fetch("fetch", ack=True, times=1)
        waits = scene.broker.do_qsize("q")
        scene.look_around("open", org="org7")
        gates = {"a:act": (0, "paused")}
        if gate != "a:act":
            ending = ":act" if gate == "x:" else ""
            gates = {f"{gate}org{number}{ending}": (0, "paused") for number in range(count)}
        pause(scene, gates)
        for _ in range(count // 50):  # until all stand aside
            if scene.look.oldest("q") is None:
                break
            assert scene.fetch("fetch while it is paused") == 0
        scene.look_around("all aside", org="org7")
        pause(scene, gates)
        end_of_pause(scene)
        scene.clean("open", waits)
        scene.send(count, lambda number: {"org": f"org{number}"})
        scene.count("flush", lambda: scene.broker.flush("q"))
        assert scene.broker.do_qsize("q") == 0

    played(act)


@pytest.mark.parametrize("org", ["acme", ""])
def test_very_many_delayed_that_are_due_at_once(played: Play, org: str) -> None:
    """Of one org, or each of its own."""

    def act(scene: Scene, count: int) -> None:
        scene.send(count, lambda number: {"org": org or f"org{number}"}, delay=1)
        assert scene.fetch("promotion", times=4, ack=True) > 0
        scene.look_around("due", org=org or "org7")
        scene.clean("due", scene.broker.do_qsize("q"))
        scene.send(count, lambda number: {"org": org or f"org{number}"}, delay=1)
        scene.count("flush", lambda: scene.broker.flush("q"))
        assert scene.broker.do_qsize("q") == 0

    played(act)


def test_very_many_orgs_that_wait_for_their_rate(played: Play) -> None:
    """Each for its own."""

    def act(scene: Scene, count: int) -> None:
        scene.broker.enforce(
            SimpleNamespace(kind="rate", actor="act", interval_ms=60_000.0, tolerance_ms=0.0)
        )
        due_ms = scene.broker.server_now_ms() + 50_000
        with scene.client.pipeline() as many:
            for number in range(count):
                many.set(f"{scene.broker.base}:t:org{number}:act", due_ms)
            many.execute()
        scene.send(count, lambda number: {"org": f"org{number}"})
        for _ in range(count // 50):
            if scene.look.oldest("q") is None:
                break
            assert scene.fetch("fetch over the rate") == 0
        scene.look_around("aside", org="org7")
        scene.clean("aside", count)

    played(act)


def test_very_many_lanes_that_wait_for_one_key(played: Play) -> None:
    """One of them runs, the others let other work pass; when it ends, the next goes on."""

    def act(scene: Scene, count: int) -> None:
        scene.send(count, lambda number: {"org": "acme", "concurrency": ("one", 1), "priority": number})
        for number in range(3):
            assert scene.fetch(f"fetch, number {number}", ack=True, times=2) >= 1
        scene.look_around("waiting")
        scene.clean("waiting", scene.broker.do_qsize("q"))

    played(act)


def test_messages_of_a_mebibyte(played: Play) -> None:
    """Sent, fetched, given back, and dead."""

    def act(scene: Scene, count: int) -> None:
        body = "x" * MIB
        with scene._new_broker_for_a_call() as sender:
            sender.send_many(_message(body, org="acme") for _ in range(count))
        scene.count("sending")
        scene.fetch("fetch", times=2)
        scene.fetch("fetch and end", times=3, ack=True)
        scene.look_around("waiting")
        scene.clean("waiting", scene.broker.do_qsize("q"))

    played(act, [64, 256])


def test_ends_of_messages_of_a_mebibyte(played: Play) -> None:
    """What is dead keeps its bytes, and what is sent with an end has its own."""

    def act(scene: Scene, count: int) -> None:
        body = "x" * MIB
        with scene._new_broker_for_a_call() as broker:
            broker.send_many(_message(body, org="acme") for _ in range(count))
            consumer = broker.consume("q", prefetch=count, timeout=10)
            held = list(consumer_of(consumer, count))
            assert len(held) == count
            for each in held:
                consumer.nack(each)
        scene.count("dead")
        scene.count("flush", lambda: scene.broker.flush("q"))

    played(act, [16, 64])


def consumer_of(consumer: dramatiq.broker.Consumer, most: int) -> Iterator[Any]:
    """What it has, so many at most; it is given several chances."""
    chances = 20
    while most and chances:
        message = next(consumer)
        if message is None:
            chances -= 1
        else:
            most -= 1
            yield message


def _message(*args: object, actor: str = "act", **options: Any) -> "Message[Any]":
    return Message(queue_name="q", actor_name=actor, args=args, kwargs={}, options=options)


def _beyond(found: Costs) -> list[str]:
    return [f"{what}: {cost.beyond()}" for what, cost in found.items() if cost.beyond()]


def _grown(small: Costs, large: Costs) -> Iterator[str]:
    for what in small.keys() & large.keys():
        for each in ("commands", "elements"):
            had, has = getattr(small[what], each), getattr(large[what], each)
            if has > had + GROWTH:
                yield f"{what}: {had} {each}, then {has}"
