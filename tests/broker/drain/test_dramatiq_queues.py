"""What comes over, in which shape and order; nothing is lost, and nothing comes twice."""

import threading
from collections import Counter
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis
from dramatiq.errors import ConnectionClosed

from app.embedded import Servers
from broker import BrokerScriptError, FairRedisBroker
from broker.drain.dramatiq_queues import DramatiqDrain, DramatiqQueue, MovedCounts
from broker.keys import split_record
from broker.scripts import Script
from tests.broker.conftest import MakeBroker
from tests.broker.workers import folders, run_all, started, take
from tests.middleware.brokers import close
from tests.middleware.eventually import PATIENCE_S, eventually
from tests.middleware.own_server import own_valkey

from .conftest import drained, fetched, send

pytestmark = pytest.mark.slow

HOUR_MS = 3_600_000


def test_each_message_runs_once_over_both_while_workers_of_both_run(
    vanilla: RedisBroker, fair: FairRedisBroker
) -> None:
    """Two drains, a stock worker that fetches, retries and delays, and a fair one; then the stock worker stops."""
    ran: Counter[int] = Counter()
    failed: set[int] = set()
    local: Counter[str] = Counter()

    def job_on(broker: dramatiq.Broker, name: str) -> None:
        @dramatiq.actor(broker=broker, actor_name="job", max_retries=5, min_backoff=1, max_backoff=5)
        def job(number: int) -> None:
            if number % 10 == 0 and number not in failed:
                failed.add(number)
                raise ValueError("once")
            ran[number] += 1
            local[name] += 1

    job_on(vanilla, "stock")
    job_on(fair, "fair")
    for number in range(1_500):
        send(vanilla, number, delay=200 if number % 7 == 0 else None)
    over = threading.Event()

    def go_on() -> None:
        drain = DramatiqDrain(fair, namespace=vanilla.namespace, batch=7)
        while not over.is_set():
            drained(drain)
            # Leaves the stock worker something.
            over.wait(0.02)

    drains = [threading.Thread(target=go_on) for _ in range(2)]
    with started(fair, threads=2):
        with started(vanilla, threads=2):
            assert eventually(lambda: local["stock"] >= 50)
            for each in drains:
                each.start()
            for number in range(1_500, 2_000):
                send(vanilla, number)
            assert eventually(lambda: local["fair"] >= 200)
        over.set()
        for each in drains:
            each.join(PATIENCE_S)
        drain = DramatiqDrain(fair, namespace=vanilla.namespace)

        def is_empty() -> bool:
            # What a stock consumer has fetched and not handed on when it stops stays held.
            drain.reclaim("default", silent_s=0)
            drained(drain)
            left = DramatiqQueue(name="default", ready=0, delayed=0, dead=0, held=0, silent=0)
            return drain.inspect("default") == left

        assert eventually(is_empty)
        fair.join("default", timeout=20_000)

    assert ran == Counter(range(2_000))
    assert min(local["stock"], local["fair"]) > 0


def test_order_is_kept(vanilla: RedisBroker, fair: FairRedisBroker, drain: DramatiqDrain) -> None:
    """First in, first out; the more urgent before the less, by the actors' own priorities."""
    for name, priority in (("urgent", 0), ("later", 3)):
        dramatiq.actor(broker=fair, actor_name=name, priority=priority)(lambda number: None)
    for number in range(20):
        send(vanilla, number, actor="later" if number % 2 else "urgent", org="a")

    assert drained(drain) == MovedCounts(ready=20)
    consumer = fair.consume("default", prefetch=20)
    seen = [take(consumer).args[0] for _ in range(20)]
    consumer.close()

    assert seen == [*range(0, 20, 2), *range(1, 20, 2)]


def test_a_message_is_as_if_sent_by_us(
    vanilla: RedisBroker, fair: FairRedisBroker, drain: DramatiqDrain, raw: Any
) -> None:
    """Its id, arguments and options; in its org's lane, without what only Dramatiq's broker needs."""
    sent = send(vanilla, {"a": [1]}, priority=4, org="acme", retries=3, concurrency=["site", 2])

    drained(drain)

    assert raw.hkeys(f"{fair.base}:m") == [sent.message_id.encode()]
    queue, org, lane, _ = split_record(raw.hget(f"{fair.base}:m", sent.message_id))
    assert (queue, org, lane) == ("default", "acme", "job:4:site:2")
    consumer = fair.consume("default")
    message = take(consumer)
    consumer.close()
    assert (message.message_id, message.args) == (sent.message_id, ({"a": [1]},))
    assert message.options == {"priority": 4, "org": "acme", "retries": 3, "concurrency": ["site", 2]}


def test_what_is_left_of_a_delay_is_kept(
    vanilla: RedisBroker, fair: FairRedisBroker, drain: DramatiqDrain, raw: Any
) -> None:
    """To the millisecond; what is due already is ready."""
    later = send(vanilla, 1, delay=HOUR_MS)
    due = send(vanilla, 2, delay=0)

    assert drained(drain) == MovedCounts(delayed=2)

    assert raw.zrange(f"{fair.base}:qd:default", 0, -1, withscores=True) == [
        (later.message_id.encode(), float(later.options["eta"]))
    ]
    consumer = fair.consume("default")
    message = take(consumer)
    consumer.close()
    assert (message.message_id, message.queue_name) == (due.message_id, "default")
    assert message.options == {}


def test_what_a_worker_there_holds_stays_its_own(
    vanilla: RedisBroker, fair: FairRedisBroker, drain: DramatiqDrain
) -> None:
    """Until it lets go of it; done there is done."""
    for number in range(5):
        send(vanilla, number)
    consumer = vanilla.consume("default", prefetch=3)
    held = [fetched(consumer) for _ in range(3)]

    assert drained(drain) == MovedCounts(ready=2)
    assert drain.inspect("default").held == 3
    consumer.ack(held[0])
    consumer.nack(held[1])
    consumer.requeue([held[2]])

    assert drain.inspect("default") == DramatiqQueue(
        name="default", ready=1, delayed=0, dead=1, held=0, silent=0
    )
    assert drained(drain, dead=True) == MovedCounts(ready=1, dead=1)
    ours = fair.consume("default", prefetch=3)
    assert [take(ours).args[0] for _ in range(3)] == [3, 4, 2]
    ours.close()


def test_dead_letters_come_with_their_age_when_they_are_asked_for(
    vanilla: RedisBroker, fair: FairRedisBroker, drain: DramatiqDrain, raw: Any
) -> None:
    """Those of one id, too, each by a name of its own."""
    message = send(vanilla, 1)
    vanilla.enqueue(message)
    consumer = vanilla.consume("default", prefetch=2)
    for _ in range(2):
        consumer.nack(fetched(consumer))
    old_ms = current_millis() - 5 * HOUR_MS
    ids = raw.zrange(f"{vanilla.namespace}:default.XQ", 0, -1)
    raw.zadd(f"{vanilla.namespace}:default.XQ", {each: old_ms + at for at, each in enumerate(ids)})

    assert drained(drain) == MovedCounts()
    assert drained(drain, dead=True) == MovedCounts(dead=2)

    kept = raw.zrange(f"{fair.base}:xq:default", 0, -1, withscores=True)
    assert [since for _, since in kept] == [old_ms, old_ms + 1]
    assert kept[0][0] == message.message_id.encode()
    assert kept[1][0].startswith(message.message_id.encode() + b"~")
    assert {message_id for message_id, _ in kept} == set(raw.hkeys(f"{fair.base}:xm:default"))
    assert 0 < raw.pttl(f"{fair.base}:xm:default") <= fair.dead_message_ttl


@pytest.mark.parametrize(
    "body",
    [b"\xff\x00 no message", b"{}", b"[]", b"", b'{"queue_name": "default"}', b"null"],
    ids=repr,
)
def test_bytes_that_are_no_message_become_a_dead_letter_whole(
    vanilla: RedisBroker, fair: FairRedisBroker, drain: DramatiqDrain, raw: Any, body: bytes
) -> None:
    """Wherever they lie; those before and behind come over."""
    send(vanilla, 1)
    for queue in ("default", "default.DQ"):
        raw.hset(f"{vanilla.namespace}:{queue}.msgs", "broken", body)
        raw.rpush(f"{vanilla.namespace}:{queue}", "broken")
    send(vanilla, 2)
    assert drain.undecodable("default") == 2

    assert drained(drain) == MovedCounts(ready=2, undecodable=2)

    kept = raw.hvals(f"{fair.base}:xm:default")
    assert [split_record(record)[3] for record in kept] == [body, body]
    assert folders(raw, fair) == {"ready": 2, "dead": 2}


def test_middleware_that_keeps_such_bytes_is_given_them_first(
    vanilla: RedisBroker, fair: FairRedisBroker, drain: DramatiqDrain, raw: Any
) -> None:
    """While it cannot keep them, they stay where they are."""
    kept: list[tuple[str, bytes, str]] = []
    away = [True]

    class Keeper(dramatiq.Middleware):
        def keep_undecodable(
            self, broker: dramatiq.Broker, queue_name: str, body: bytes, mark: str = ""
        ) -> None:
            if away.pop():
                raise ConnectionClosed(OSError("away"))  # type: ignore[no-untyped-call]
            kept.append((queue_name, body, mark))

    fair.add_middleware(Keeper())
    raw.hset(f"{vanilla.namespace}:default.msgs", "broken", b"?")
    raw.rpush(f"{vanilla.namespace}:default", "broken")

    with pytest.raises(ConnectionClosed):
        drained(drain)
    assert (drain.inspect("default").ready, kept) == (1, [])
    away.append(False)

    assert drained(drain) == MovedCounts(undecodable=1)
    assert kept == [("default", b"?", "broken")]


def test_half_a_character_in_a_name_is_no_reason_to_stop(vanilla: RedisBroker, drain: DramatiqDrain) -> None:
    """JSON can say it, and no key can."""
    send(vanilla, 1, org="\ud800")
    send(vanilla, 2)

    assert drained(drain) == MovedCounts(ready=1, undecodable=1)


def test_two_of_one_id_both_come(vanilla: RedisBroker, fair: FairRedisBroker, drain: DramatiqDrain) -> None:
    """Dramatiq's broker takes a message as often as it is sent; so does ours."""
    message = send(vanilla, 1)
    vanilla.enqueue(message)

    assert drained(drain) == MovedCounts(ready=2)

    consumer = fair.consume("default", prefetch=2)
    assert [take(consumer).message_id for _ in range(2)] == [message.message_id] * 2
    consumer.close()


def test_an_id_without_a_message_is_dropped(vanilla: RedisBroker, drain: DramatiqDrain, raw: Any) -> None:
    """And is no message in the sums."""
    raw.rpush(f"{vanilla.namespace}:default", "nothing")
    send(vanilla, 1)

    assert drained(drain) == MovedCounts(ready=1, gone=1)
    assert not list(raw.scan_iter(f"{vanilla.namespace}:default*"))


def test_a_step_that_is_repeated_moves_nothing_twice(
    vanilla: RedisBroker, fair: FairRedisBroker, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call whose answer got lost may be made again; and of two drains that read the same head one moves it."""
    for number in range(20):
        send(vanilla, number)
    plain = Script.__call__

    def twice(self: Script, *arguments: object) -> object:
        answer = plain(self, *arguments)  # type: ignore[arg-type]
        if self.name == "drain_dramatiq":
            assert plain(self, *arguments) == [0, 0, 0]  # type: ignore[arg-type]
        return answer

    monkeypatch.setattr(Script, "__call__", twice)

    assert drained(DramatiqDrain(fair, namespace=vanilla.namespace, batch=7)) == MovedCounts(ready=20)
    assert folders(raw, fair) == {"ready": 20}


def test_what_went_ahead_of_a_step_is_not_missed_behind_it(
    vanilla: RedisBroker, fair: FairRedisBroker, drain: DramatiqDrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker takes two between a look and a step: the step moves the rest of what it saw, in order."""
    for number in range(7):
        send(vanilla, number)
    consumer = vanilla.consume("default", prefetch=2)
    plain = Script.__call__
    seen: list[object] = []

    def later(self: Script, *arguments: object) -> object:
        if self.name == "drain_dramatiq" and not seen:
            fetched(consumer)
            seen.append(plain(self, *arguments))  # type: ignore[arg-type]
            return seen[0]
        return plain(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Script, "__call__", later)
    assert drained(drain) == MovedCounts(ready=5)
    assert seen == [[5, 0, 0]]
    run = fair.consume("default", prefetch=5)
    assert [take(run).args[0] for _ in range(5)] == [2, 3, 4, 5, 6]
    run.close()


def test_a_server_without_memory_loses_nothing(new_broker: MakeBroker) -> None:
    """It refuses the step, and all lies where it was."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        vanilla = RedisBroker(url=server.url, namespace="stock")  # type: ignore[no-untyped-call]
        fair = new_broker(server.url)
        for number in range(10):
            send(vanilla, number)
        dead = vanilla.consume("default", prefetch=1)
        dead.nack(fetched(dead))
        client.config_set("maxmemory", "1")
        drain = DramatiqDrain(fair, namespace="stock")
        for with_dead in (False, True):
            with pytest.raises(BrokerScriptError, match="maxmemory"):
                drained(drain, dead=with_dead)
        client.config_set("maxmemory", "0")

        assert drain.inspect("default") == DramatiqQueue(
            name="default", ready=9, delayed=0, dead=1, held=0, silent=0
        )
        assert drained(drain, dead=True) == MovedCounts(ready=9, dead=1)
        close(vanilla)


def test_what_a_dead_worker_held_comes_when_it_is_asked_for(
    vanilla: RedisBroker, fair: FairRedisBroker, drain: DramatiqDrain, raw: Any, servers: Servers
) -> None:
    """By its silence, as Dramatiq's maintenance has it; a living one's is not touched."""
    dead = RedisBroker(url=servers.redis_url, namespace=vanilla.namespace)  # type: ignore[no-untyped-call]
    for number in range(20):
        send(vanilla, number)
    lost, living = dead.consume("default", prefetch=15), vanilla.consume("default", prefetch=2)
    for consumer in (lost, living):
        assert fetched(consumer)
    silent_ms = current_millis() - 61_000
    raw.zadd(f"{vanilla.namespace}:__heartbeats__", {dead.broker_id: silent_ms})
    assert (drain.inspect("default").held, drain.inspect("default").silent) == (17, 15)

    assert drain.reclaim("default", silent_s=100) == 0
    assert drain.reclaim("default") == 15

    assert drained(drain) == MovedCounts(ready=18)
    assert (drain.inspect("default").held, drain.inspect("default").silent) == (2, 0)
    close(dead)


def test_queues_are_found_by_their_messages(
    servers: Servers, fair: FairRedisBroker, vanilla: RedisBroker, raw: Any
) -> None:
    """Whatever the namespace is called, and nothing of another's; those with dead letters alone, too."""
    namespace = f"{vanilla.namespace}:a*[b]?"
    odd = RedisBroker(url=servers.redis_url, namespace=namespace)  # type: ignore[no-untyped-call]
    for queue, delay in (("mail", None), ("images.eu", 1_000)):
        odd.declare_queue(queue)
        odd.enqueue(
            dramatiq.Message(queue_name=queue, actor_name="job", args=(), kwargs={}, options={}), delay=delay
        )
    raw.hset(f"{namespace}:sad.XQ.msgs", "id", "body")
    raw.hset(f"{namespace}:not a queue.msgs", "id", "body")
    raw.hset(f"{vanilla.namespace}:aX[b]?:other.msgs", "id", "body")
    raw.set(f"{namespace}:text.msgs", "no hash")

    assert DramatiqDrain(fair, namespace=namespace).queues() == ["images.eu", "mail", "sad"]
    close(odd)


def test_what_was_drained_runs_and_leaves_nothing(
    vanilla: RedisBroker, fair: FairRedisBroker, drain: DramatiqDrain, raw: Any
) -> None:
    """Counted like what was sent here; and of the other broker's keys only its workers' names are left."""
    ran: list[int] = []
    dramatiq.actor(broker=fair, actor_name="job")(ran.append)
    for number in range(10):
        send(vanilla, number, org=f"o{number % 3}")
    drained(drain)

    run_all(fair)

    assert Counter(ran) == Counter(range(10))
    assert folders(raw, fair) == {}
    assert not raw.exists(f"{fair.base}:n", f"{fair.base}:no", f"{fair.base}:m")
    assert list(raw.scan_iter(f"{vanilla.namespace}:*")) == [f"{vanilla.namespace}:__heartbeats__".encode()]
