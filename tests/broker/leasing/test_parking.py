"""Parked messages wait with a cause; operations ride on a message's end; both or neither."""

import dramatiq
import pytest
import redis

from broker import FairRedisBroker
from tests.broker.conftest import MakeBroker
from tests.broker.workers import all_of, folders, left_for_ever, take

pytestmark = pytest.mark.slow


def test_a_parked_message_waits_with_its_cause(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """It is counted by the first word of its key; when it comes, nothing of that is left."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    fair.park(actor.message(), delay_ms=100_000, cause="the circuit is\nopen", key="breaker:ai")
    fair.park(actor.message(), delay_ms=100_000, cause="nobody knows")

    assert folders(raw, fair) == {"delayed": 2}
    assert raw.hgetall(f"{fair.base}:pn") == {b"default\nbreaker": b"1", b"default\nnobody knows": b"1"}
    assert sorted(raw.hvals(f"{fair.base}:p")) == [b"nobody knows\n", b"the circuit is open\nbreaker:ai"]
    assert fair.release("breaker:ai") == 1
    consumer = fair.consume("default", timeout=300, prefetch=2)
    [message] = all_of(consumer)

    consumer.ack(message)
    fair.close()
    assert raw.hgetall(f"{fair.base}:pn") == {b"default\nnobody knows": b"1"}
    assert not raw.exists(f"{fair.base}:pk:breaker:ai")


def test_many_are_released_together(fair: FairRedisBroker) -> None:
    """More than one call takes."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    for _ in range(600):
        fair.park(actor.message(), delay_ms=100_000, cause="held", key="version:newer")

    assert fair.release("version:newer") == 600
    assert fair.release("version:newer") == 0
    assert len(all_of(fair.consume("default", timeout=300, prefetch=600))) == 600


def test_an_operation_is_carried_out_with_the_end(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """When the field is as expected; another's is left alone, a key without a new field is deleted."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    keys = [f"{fair.base}:claim:{name}" for name in ("mine", "theirs", "given-back")]
    for key, token in zip(keys, ("t1", "t2", "t1"), strict=True):
        raw.hset(key, mapping={"token": token, "state": "held"})
    actor.send()
    consumer = fair.consume("default", timeout=300)
    message = take(consumer)

    for key in keys[:2]:
        assert fair.on_ack(message, (key, "token", "t1", ("state", "done"), 60_000))
    assert fair.on_ack(message, (keys[2], "token", "t1", None, 0))
    assert raw.hget(keys[0], "state") == b"held"
    consumer.ack(message)
    fair.close()

    assert [raw.hget(key, "state") for key in keys] == [b"done", b"held", None]
    assert 0 < raw.pttl(keys[0]) <= 60_000


def test_an_operation_of_a_lost_lease_is_not_carried_out(
    fair: FairRedisBroker, new_broker: MakeBroker, raw: "redis.Redis"
) -> None:
    """A worker that was taken for dead finishes nothing any more."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    key = f"{fair.base}:claim"
    raw.hset(key, mapping={"token": "t1", "state": "held"})
    actor.send()
    consumer = fair.consume("default", timeout=300)
    message = take(consumer)
    raw.zadd(f"{fair.base}:workers", {fair.worker_id or "": 0})
    take(new_broker(namespace=fair.namespace).consume("default", timeout=3_000))

    assert fair.on_ack(message, (key, "token", "t1", ("state", "done"), 60_000))
    consumer.ack(message)
    fair.close()

    assert raw.hget(key, "state") == b"held"


def test_what_the_broker_cannot_carry_out_it_does_not_take(fair: FairRedisBroker) -> None:
    """A key of another hash slot, a message that is not leased here: whoever asked does it."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    actor.send()
    message = take(fair.consume("default", timeout=300))

    assert not fair.on_ack(message, ("elsewhere:claim", "token", "t1", None, 0))
    assert not fair.on_ack(actor.message(), (f"{fair.base}:claim", "token", "t1", None, 0))


def test_nothing_stays_of_what_was_parked_and_dropped(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """A flush takes parked messages along."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    for _ in range(3):
        fair.park(actor.message(), delay_ms=100_000, cause="held", key="version:newer")
    fair.flush("default")

    assert left_for_ever(raw, fair) == []
    assert fair.do_qsize("default") == 0


def _nothing() -> None:
    pass
