"""Bytes that are no message: kept as they came, and in nobody's way."""

from collections.abc import Sequence
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.errors import BrokerConnectionError, ConnectionClosed, DecodeError

from app.embedded import Servers
from broker import FairRedisBroker
from middleware import Retries, StoreUnavailable
from middleware.dead_letters.guard import DeadLetters
from middleware.dead_letters.letter import DeadLetter
from middleware.dead_letters.memory import MemoryDeadLetterStore
from middleware.dead_letters.undecodable import keep_undecodable
from tests.middleware.brokers import close, dead, replace_stack, work
from tests.middleware.dead_letters.sample_letters import put_raw

GARBAGE = (b"\x00\xff hunter2", b'{"no": "message"}', b'{"no": "message"}', b"")


class Flaky(MemoryDeadLetterStore):
    """A store that does not answer the first times."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    def put(self, letters: Sequence[DeadLetter]) -> int:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        return super().put(letters)


class World:
    """A broker whose worker keeps what it cannot read, and an actor that takes numbers."""

    def __init__(self, broker: dramatiq.Broker, failures: int = 0) -> None:
        self.broker = broker
        self.store = Flaky(failures)
        replace_stack(broker, DeadLetters(self.store), Retries(max_retries=0))
        self.queue = f"q{uuid4().hex}"
        self.ran: list[int] = []
        ran = self.ran

        @dramatiq.actor(broker=broker, queue_name=self.queue)
        def number(value: int) -> None:
            ran.append(value)

        self.actor = number

    def fill(self) -> None:
        """Good messages, and bytes that are none between them."""
        for at, raw in enumerate(GARBAGE):
            self.actor.send(at)
            put_raw(self.broker, self.queue, raw)

    def letters(self) -> Sequence[DeadLetter]:
        """Let a worker empty the queue."""
        work(self.broker, self.queue)
        return self.store.of_every_org().list()


def test_they_are_kept_as_they_came(bare_broker: dramatiq.Broker, caplog: pytest.LogCaptureFixture) -> None:
    """Each of two that are equal; the good messages beside them are worked on; no log quotes them."""
    world = World(bare_broker)
    world.fill()

    letters = world.letters()

    assert sorted(letter.raw or b"" for letter in letters) == sorted(GARBAGE)
    assert {(each.org, each.actor, each.message_id, each.payload) for each in letters} == {(None,) * 4}
    assert {(each.category, each.queue, each.attempts) for each in letters} == {
        ("validation", world.queue, 0)
    }
    assert sorted(world.ran) == [0, 1, 2, 3]
    assert "hunter2" not in caplog.text


def test_they_are_rejected_like_any_other(bare_broker: dramatiq.Broker) -> None:
    """They lie among the broker's rejected messages, and nothing is left in the queue or in anybody's hands."""
    world = World(bare_broker)
    world.fill()
    world.letters()

    if isinstance(bare_broker, FairRedisBroker):
        assert sorted(dead(bare_broker, world.queue)) == sorted(GARBAGE)
        assert bare_broker.do_qsize(world.queue) == 0
    elif isinstance(bare_broker, RedisBroker):
        name = f"{bare_broker.namespace}:{world.queue}"
        assert sorted(bare_broker.client.hvals(f"{name}.XQ.msgs")) == sorted(GARBAGE)
        assert bare_broker.client.hlen(f"{name}.msgs") == 0
        assert list(bare_broker.client.scan_iter(f"{bare_broker.namespace}:__acks__*{world.queue}*")) == []
    else:
        assert isinstance(bare_broker, StubBroker)
        assert len(bare_broker.dead_letters) == len(GARBAGE)


def test_while_they_cannot_be_kept_they_are_not_rejected(bare_broker: dramatiq.Broker) -> None:
    """The consumer tries again until the store is back, and goes on."""
    world = World(bare_broker, failures=2)
    waits: list[float] = []
    guard = bare_broker.middleware[0]
    assert isinstance(guard, DeadLetters)
    keep_undecodable(bare_broker, guard._keep_undecodable, wait=waits.append)
    world.fill()

    letters = world.letters()

    assert len(letters) == len(GARBAGE)
    assert waits == [1.0, 1.0]
    assert sorted(world.ran) == [0, 1, 2, 3]


def test_a_delay_queue_is_looked_after_too(bare_broker: dramatiq.Broker) -> None:
    """Delayed messages wait in a queue of their own; the letter names the queue they were for."""
    world = World(bare_broker)
    world.actor.send_with_options(args=(7,), delay=1)
    put_raw(bare_broker, f"{world.queue}.DQ", b"?")

    (letter,) = world.letters()

    assert (letter.raw, letter.queue) == (b"?", world.queue)
    assert world.ran == [7]


def test_without_the_guard_good_messages_are_stranded(servers: Servers) -> None:
    """Why this is needed: what Dramatiq's Redis consumer fetched along with such bytes is nobody's any more."""
    broker = RedisBroker(url=servers.redis_url, namespace=uuid4().hex, middleware=[])  # type: ignore[no-untyped-call]
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=broker, queue_name=queue)
    def fine() -> None: ...

    put_raw(broker, queue, b"?")
    fine.send()

    with pytest.raises(DecodeError):
        next(broker.consume(queue, prefetch=2, timeout=10))

    assert next(broker.consume(queue, prefetch=2, timeout=10)) is None
    broker.flush(queue)
    close(broker)


class OneError(Consumer):
    """A consumer of some other broker."""

    def __next__(self) -> MessageProxy | None:
        raise DecodeError("no", b"?", ValueError())  # type: ignore[no-untyped-call]


class Other(dramatiq.Broker):
    """Some other broker."""

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 30_000) -> Consumer:
        return OneError()


def test_another_broker_is_left_to_its_own_ways() -> None:
    """What it raises is kept, and raised on."""
    kept: list[tuple[str, bytes, str]] = []
    broker = Other(middleware=[])
    keep_undecodable(broker, lambda *each: kept.append(each))

    with pytest.raises(DecodeError):
        next(broker.consume("q"))

    assert kept == [("q", b"?", "")]


def test_a_broker_is_wrapped_once() -> None:
    """However many workers boot on it."""
    broker = StubBroker(middleware=[])
    keep_undecodable(broker, lambda *each: None)
    consume = broker.consume
    keep_undecodable(broker, lambda *each: None)

    assert broker.consume is consume


def test_a_connection_that_is_lost_meanwhile_loses_nothing(bare_broker: dramatiq.Broker) -> None:
    """It is waited out, and the rest of the queue is worked on."""
    world = World(bare_broker)
    world.actor.send(1)
    put_raw(bare_broker, world.queue, b"?")
    failures = [ConnectionClosed("gone"), BrokerConnectionError("gone")]  # type: ignore[no-untyped-call]
    waits: list[float] = []
    kept: list[bytes] = []

    def keep(queue: str, raw: bytes, mark: str) -> None:
        if failures:
            raise failures.pop()
        kept.append(raw)

    keep_undecodable(bare_broker, keep, wait=waits.append)
    world.letters()

    assert (kept, waits, world.ran) == ([b"?"], [1.0, 1.0], [1])
