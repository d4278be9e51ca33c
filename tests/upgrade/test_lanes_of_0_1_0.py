"""Lanes that release 0.1.0 set aside one by one are converted: each message of them runs, and none waits for ever."""

from collections.abc import Iterator
from typing import Any

import pytest
from dramatiq import Message

from broker import FairRedisBroker, Inspector, Operations
from broker.schema import Schema
from tests.broker.workers import all_of
from tests.middleware.brokers import close
from tests.middleware.own_server import own_valkey

pytestmark = pytest.mark.slow

COUNT = 100
FAR_MS = 4_000_000_000_000


@pytest.fixture
def old() -> Iterator[FairRedisBroker]:
    """A queue as 0.1.0 kept it: keyed lanes of a paused actor and of a busy key, others that may run, a paused org."""
    with own_valkey() as server:
        broker = FairRedisBroker(url=server.url, middleware=[])
        client: Any = broker.client
        base = broker.base
        for number in range(COUNT):
            for org, key in (("paused", f"doc:{number}"), ("free", f"doc:{number}"), ("busy", "one")):
                broker.enqueue(_message(org, (key, 1), number if org == "busy" else 0))
        broker.enqueue(_message("shut", None, 0))
        for key in client.scan_iter(f"{base}:qk:*"):
            org = key.decode().split(":")[-2]
            client.zunionstore(f"{base}:ql:q:{org}", [f"{base}:ql:q:{org}", key], aggregate="MAX")
            client.delete(key)
        for lane in client.zrange(f"{base}:ql:q:paused", 0, -1):
            client.zadd(f"{base}:qs:q", {b"paused\n" + lane: 9e15})
        for lane in client.zrange(f"{base}:ql:q:busy", 0, -1)[1:]:
            client.sadd(f"{base}:bk:busy:one", b"q\n" + lane)
            client.zrem(f"{base}:ql:q:busy", lane)
        client.hset(f"{base}:ak", "busy\none", 1)
        client.hset(f"{base}:a", "busy", 1)
        client.zadd(f"{base}:qs:q", {"shut\n": 9e15})
        client.delete(f"{base}:ql:q:paused", f"{base}:schema")
        client.zrem(f"{base}:qr:q", "paused", "shut")
        yield broker
        close(broker)


def test_every_lane_is_let_in_by_its_gate_and_its_key(old: FairRedisBroker) -> None:
    """Also when the conversion is run again, and some of it was done."""
    schema = Schema(old.client, old.base)
    schema.convert()
    old.client.delete(f"{old.base}:schema")
    schema.convert()
    old.shut("pauses", {"o:shut": (FAR_MS, "paused")})
    old.shut("pauses", {})
    # What it was leased for is done.
    old.client.delete(f"{old.base}:ak", f"{old.base}:a")

    assert not old.client.keys(f"{old.base}:bk:*")
    assert Inspector(old.client, old.base).depth("q")[0].ready == 3 * COUNT + 1
    consumer = old.consume("q", prefetch=COUNT, timeout=500)
    ran = 0
    while held := all_of(consumer):
        ran += len(held)
        for each in held:
            consumer.ack(each)
    assert ran == 3 * COUNT + 1


def test_all_of_it_is_seen_and_dropped(old: FairRedisBroker) -> None:
    """Counted as many as are dropped."""
    Schema(old.client, old.base).convert()

    operations = Operations(old.client, old.base)
    assert len(Inspector(old.client, old.base).lanes("q", limit=1_000)) == 3 * COUNT + 1
    assert operations.clean("q", dry_run=True) == 3 * COUNT + 1
    assert operations.clean("q") == 3 * COUNT + 1


def _message(org: str, concurrency: tuple[str, int] | None, priority: int) -> "Message[object]":
    options = {"org": org, "priority": priority, **({"concurrency": concurrency} if concurrency else {})}
    return Message(queue_name="q", actor_name="act", args=(), kwargs={}, options=options)
