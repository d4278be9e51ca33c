"""How many bytes an org and a queue may hold: refused at send, counted exactly through everything else."""

from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.middleware import Retries

from broker import FairRedisBroker, Operations, QueueFull
from broker.schema import Schema
from tests.broker.conftest import MakeBroker
from tests.broker.workers import dead, run_all, take
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow

BODY = "x" * 1_000


def held(raw: "redis.Redis", broker: FairRedisBroker) -> dict[str, int]:
    """What the counters say."""
    found: Any = raw.hgetall(f"{broker.base}:by")
    return {field.decode(): int(number) for field, number in found.items()}


def stored(raw: "redis.Redis", broker: FairRedisBroker) -> int:
    """Bytes of all records."""
    return sum(len(record) for record in raw.hvals(f"{broker.base}:m"))


def test_an_org_that_holds_too_much_keeps_no_other_out(new_broker: MakeBroker, raw: "redis.Redis") -> None:
    """Over all queues, delayed ones too; it is said what there is too much of, and an end makes room."""
    fair = new_broker(max_org_bytes=3_500)
    actor = dramatiq.actor(broker=fair)(_nothing)
    other = dramatiq.actor(broker=fair, actor_name="other", queue_name="other")(_nothing)
    actor.send_with_options(args=(BODY,), org="a")
    other.send_with_options(args=(BODY,), org="a", delay=100_000)

    with pytest.raises(QueueFull, match=r"org a has \d+ bytes.*max_org_bytes") as refused:
        actor.send_with_options(args=(BODY + BODY,), org="a")

    assert (refused.value.queue, refused.value.org, refused.value.full) == ("default", "a", "bytes")
    assert refused.value.depth == stored(raw, fair) == held(raw, fair)["o:a"]
    actor.send_with_options(args=(BODY + BODY,), org="b")
    run_all(fair)
    actor.send_with_options(args=(BODY,), org="a")


def test_a_queue_that_holds_too_much_refuses_all_or_nothing(new_broker: MakeBroker) -> None:
    """Also when the many go in several calls: what is still to come counts."""
    fair = new_broker(max_queue_bytes=500_000)
    actor = dramatiq.actor(broker=fair)(_nothing)

    answers = fair.send_many(actor.message(BODY) for _ in range(500))

    assert all(isinstance(each, QueueFull) and each.full == "bytes" for each in answers)
    assert fair.do_qsize("default") == 0
    assert not [
        each
        for each in fair.send_many(actor.message(BODY) for _ in range(300))
        if isinstance(each, Exception)
    ]


def test_what_is_in_comes_back_into_what_is_full(new_broker: MakeBroker, raw: "redis.Redis") -> None:
    """Retries and parks are counted and never refused; when all is done, nothing is held."""
    fair = new_broker(middleware=[Retries(min_backoff=1, max_backoff=2)], max_org_bytes=1_500)
    tried: list[int] = []

    @dramatiq.actor(broker=fair, max_retries=1)
    def job(body: str) -> None:
        tried.append(len(body))
        if len(tried) == 1:
            raise RuntimeError

    message = job.send_with_options(args=(BODY,), org="a")
    fair.park(job.message_with_options(args=(BODY,), org="a"), delay_ms=1, cause="a test")
    assert held(raw, fair)["o:a"] == stored(raw, fair) > 1_500
    run_all(fair)

    assert message.actor_name == "job"
    assert len(tried) == 3
    assert eventually(lambda: held(raw, fair) == {})


def test_what_is_dead_or_dropped_is_not_held(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """Nor what an operator moved elsewhere counts twice."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    sent = [actor.send_with_options(args=(BODY,), org="a", priority=number) for number in range(4)]
    consumer = fair.consume("default", timeout=1_000)
    consumer.nack(take(consumer))
    assert eventually(lambda: dead(raw, fair) == 1)
    operations = Operations(fair.client, fair.base)
    assert operations.set_priority(sent[3].message_id, -100_000)
    assert held(raw, fair) == dict.fromkeys(("q:default", "o:a"), stored(raw, fair))

    operations.clean("default")
    assert held(raw, fair) == {}
    consumer.close()


def test_what_an_older_release_left_is_counted_once(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """When it is converted, however often; before, its end changes nothing."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    for _ in range(60):
        actor.send_with_options(args=(BODY,), org="a")
    _unmark(raw, fair)
    run = take(consumer := fair.consume("default", timeout=1_000))
    consumer.ack(run)
    assert eventually(lambda: fair.do_qsize("default") == 59)
    assert held(raw, fair) == {}

    raw.delete(f"{fair.base}:schema")
    for _ in range(2):
        Schema(fair.client, fair.base).convert()
        raw.delete(f"{fair.base}:schema")

    assert held(raw, fair) == dict.fromkeys(("q:default", "o:a"), stored(raw, fair))
    consumer.close()
    run_all(fair)
    assert held(raw, fair) == {}


def test_what_was_converted_while_it_ran_is_not_held(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """Its lease says nothing of its bytes."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    actor.send_with_options(args=(BODY,), org="a")
    _unmark(raw, fair)
    consumer = fair.consume("default", timeout=1_000)
    message = take(consumer)
    raw.delete(f"{fair.base}:schema")
    Schema(fair.client, fair.base).convert()
    assert held(raw, fair) != {}

    consumer.ack(message)

    assert eventually(lambda: held(raw, fair) == {})
    consumer.close()


def test_what_an_older_release_ended_is_made_good(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """It counts messages and no bytes: where none is left, the next one to come begins at nothing."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    raw.hset(f"{fair.base}:by", mapping={"q:default": 10_000, "o:a": 20_000})

    actor.send_with_options(args=(BODY,), org="a")

    assert held(raw, fair) == dict.fromkeys(("q:default", "o:a"), stored(raw, fair))


def _unmark(raw: "redis.Redis", broker: FairRedisBroker) -> None:
    stored_records: Any = raw.hgetall(f"{broker.base}:m")
    for message_id, record in stored_records.items():
        raw.hset(f"{broker.base}:m", message_id, record.replace(b"\n.", b"\n", 1))
    raw.delete(f"{broker.base}:by")


def _nothing(body: str) -> None:
    pass
