"""Sending many at once, and what is refused at the door: nothing half-written, nothing lost."""

import socket
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq import Message
from dramatiq.brokers.stub import StubBroker
from dramatiq.encoder import Encoder as DramatiqEncoder
from dramatiq.encoder import JSONEncoder, PickleEncoder
from dramatiq.middleware import Middleware, MiddlewareError

from app.embedded import Servers
from broker import FairRedisBroker, MessageTooLarge, NotReplicated, QueueFull
from broker.sending import Encoder
from tests.broker.conftest import MakeBroker
from tests.broker.workers import all_of, dead, folders, run_all, take
from tests.middleware.eventually import eventually
from tests.middleware.own_server import own_valkey

pytestmark = pytest.mark.slow


class Counting(redis.Redis):
    """Counts what is sent."""

    calls = 0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


class Refused(MiddlewareError):
    """What a hook of the test raises."""


class RefusesOdd(Middleware):
    """Refuses a message when it is sent."""

    def before_enqueue(self, broker: dramatiq.Broker, message: "Message[Any]", delay: int | None) -> None:
        if message.args[0] % 2 == 1:
            raise Refused


class Shouted(Message[Any]):
    """A message that encodes itself in another way."""

    def encode(self) -> bytes:
        return super().encode().upper()


@pytest.mark.parametrize("encoder", [JSONEncoder(), PickleEncoder()], ids=["json", "pickle"])
@pytest.mark.parametrize("kind", [Message, Shouted])
def test_a_message_is_stored_as_dramatiq_encodes_it(
    kind: "type[Message[Any]]", encoder: DramatiqEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the byte, and by the encoder that is set; nothing else that was put on it goes along."""
    monkeypatch.setattr("dramatiq.message.global_encoder", encoder)
    message = kind("default", "act", (1, "é"), {"b": None}, {"org": "acme", "z": [1.5]}, "m1", 7)
    vars(message)["noted"] = object()

    record = Encoder(StubBroker())(message, 0).record

    assert record.split(b"\n", 4)[4] == message.encode()


def test_many_messages_go_in_few_calls(servers: Servers, new_broker: MakeBroker) -> None:
    """A thousand in four; in order, each runs once."""
    ran: list[int] = []
    client = Counting(connection_pool=redis.ConnectionPool.from_url(servers.redis_url))
    fair = new_broker(client=client)
    actor = dramatiq.actor(broker=fair)(ran.append)
    answers = fair.send_many(actor.message(n) for n in range(1_000))
    calls = client.calls
    run_all(fair)
    client.connection_pool.disconnect()

    assert [each.args[0] for each in answers if isinstance(each, Message)] == list(range(1_000))
    assert ran == list(range(1_000))
    # And one that asks what kind of server it is.
    assert calls <= 6


def test_what_a_hook_refuses_is_left_out(new_broker: MakeBroker) -> None:
    """Its place in the answers says why; the others go."""
    fair = new_broker(middleware=[RefusesOdd()])
    actor = dramatiq.actor(broker=fair)(_nothing)

    answers = fair.send_many([actor.message(n) for n in range(4)])

    assert [isinstance(each, Refused) for each in answers] == [False, True, False, True]
    assert fair.do_qsize("default") == 2


def test_many_delayed_messages_wait(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """With one delay for all."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    fair.send_many([actor.message(n) for n in range(3)], delay=100_000)

    assert folders(raw, fair) == {"delayed": 3}


def test_a_full_queue_refuses_all_or_nothing(new_broker: MakeBroker) -> None:
    """Also when the many go in several calls; other queues take theirs."""
    fair = new_broker(max_queue_depth=600)
    actor = dramatiq.actor(broker=fair)(_nothing)
    other = dramatiq.actor(broker=fair, actor_name="other", queue_name="other")(_nothing)
    for n in range(10):
        actor.send(n)

    answers = fair.send_many([*(actor.message(n) for n in range(595)), other.message(1)])

    assert all(isinstance(each, QueueFull) for each in answers[:595])
    assert isinstance(answers[595], Message)
    assert (fair.do_qsize("default"), fair.do_qsize("other")) == (10, 1)
    assert not [
        each for each in fair.send_many([actor.message(n) for n in range(590)]) if isinstance(each, Exception)
    ]
    assert fair.do_qsize("default") == 600


def test_a_full_queue_says_when_to_try_again(new_broker: MakeBroker) -> None:
    """Whose messages are too many, how many there are; an end makes room."""
    fair = new_broker(max_queue_depth=1)
    actor = dramatiq.actor(broker=fair)(_nothing)
    actor.send(1)

    with pytest.raises(QueueFull, match="queue default has 1 messages") as refused:
        actor.send(2)

    assert (refused.value.queue, refused.value.org, refused.value.depth) == ("default", None, 1)
    assert refused.value.retry_after_s > 0
    run_all(fair)
    actor.send(3)


def test_a_full_org_keeps_no_other_out(new_broker: MakeBroker) -> None:
    """Its messages count over all queues, whatever they wait for."""
    fair = new_broker(max_org_depth=2)
    actor = dramatiq.actor(broker=fair)(_nothing)
    other = dramatiq.actor(broker=fair, actor_name="other", queue_name="other")(_nothing)
    actor.send_with_options(args=(1,), org="a", delay=100_000)
    other.send_with_options(args=(1,), org="a")

    with pytest.raises(QueueFull, match="org a has 2 messages"):
        actor.send_with_options(args=(1,), org="a")
    actor.send_with_options(args=(1,), org="b")


def test_what_is_in_comes_back_into_a_full_queue(new_broker: MakeBroker, raw: "redis.Redis") -> None:
    """A retry, a park, a message handed back are never refused."""
    fair = new_broker(max_queue_depth=1)
    ran: list[int] = []

    @dramatiq.actor(broker=fair, max_retries=2, min_backoff=1, max_backoff=1)
    def fails_once(n: int) -> None:
        ran.append(n)
        if len(ran) == 1:
            raise OSError

    fails_once.send(1)
    run_all(fair)
    assert (ran, dead(raw, fair)) == ([1, 1], 0)

    sent = fails_once.send(2)
    fair.park(fails_once.message(3), delay_ms=100_000, cause="it waits", key="something")
    consumer = fair.consume("default", timeout=300)
    message = take(consumer)
    consumer.requeue([message])
    assert take(consumer).message_id == sent.message_id


def test_a_message_that_is_too_large_is_refused(new_broker: MakeBroker) -> None:
    """With its size, and without a byte of it; in `send_many` the others go."""
    fair = new_broker(max_message_bytes=2_000)
    actor = dramatiq.actor(broker=fair)(_nothing)

    with pytest.raises(
        MessageTooLarge, match=r"a message of _nothing has 3\d\d\d bytes and may have 2000"
    ) as refused:
        actor.send("secret" * 500)

    assert "secret" not in str(refused.value)
    answers = fair.send_many([actor.message("x" * 3_000), actor.message("x")])
    assert [type(each) for each in answers] == [MessageTooLarge, Message]
    assert fair.do_qsize("default") == 1


def test_a_message_without_its_replica_says_so(new_broker: MakeBroker) -> None:
    """It is there, and may be sent again; only `durability="replica"` asks for one."""
    fair = new_broker(durability="replica")
    actor = dramatiq.actor(broker=fair)(_nothing)
    message = actor.message(1)

    with pytest.raises(NotReplicated, match="no replica confirmed"):
        fair.enqueue(message)

    assert fair.do_qsize("default") == 1


def test_a_replica_that_has_the_message_lets_the_send_return(new_broker: MakeBroker) -> None:
    """It has it by then."""
    with own_valkey() as first, own_valkey() as second, redis.Redis.from_url(second.url) as replica:
        port = _listen_on_tcp(first.url)
        replica.replicaof("127.0.0.1", port)
        assert eventually(lambda: replica.info("replication")["master_link_status"] == "up")
        fair = new_broker(first.url, durability="replica")
        dramatiq.actor(broker=fair)(_nothing).send(1)

        assert replica.hlen(f"{fair.base}:m") == 1
        fair.close()


def test_a_second_copy_of_a_message_runs_too(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """Who sends one message twice gets it twice, as on Dramatiq's own broker, and nothing stays behind."""
    ran: list[int] = []
    message = dramatiq.actor(broker=fair)(ran.append).message(1)
    for _ in range(3):
        fair.enqueue(message)

    assert folders(raw, fair) == {"ready": 3}
    run_all(fair)
    assert ran == [1, 1, 1]
    assert not raw.exists(f"{fair.base}:m")


def test_bounds_have_to_be_numbers_that_let_something_in(new_broker: MakeBroker) -> None:
    """Refused when the broker is made."""
    with pytest.raises(ValueError, match="max_org_depth must be at least 1, not 0"):
        new_broker(max_org_depth=0)


def test_several_consumers_share_what_was_sent(fair: FairRedisBroker) -> None:
    """What one call brought is handed out once."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    sent = {
        each.message_id
        for each in fair.send_many([actor.message(n) for n in range(20)])
        if isinstance(each, Message)
    }
    consumers = [fair.consume("default", prefetch=20, timeout=200) for _ in range(2)]

    seen = [each.message_id for consumer in consumers for each in all_of(consumer)]

    assert sorted(seen) == sorted(sent)


def _listen_on_tcp(url: str) -> int:
    """The port of a server that so far has a Unix socket alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with redis.Redis.from_url(url) as client:
        client.config_set("port", port)
    return port


def _nothing(*_: object) -> None:
    pass
