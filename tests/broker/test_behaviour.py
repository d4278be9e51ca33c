"""What Dramatiq asks of any broker: nothing an application does has to change."""

import threading
from collections import Counter
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq import Message, QueueJoinTimeout
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Middleware

from app.embedded import Servers
from broker import FairRedisBroker
from tests.broker.conftest import MakeBroker, Work
from tests.broker.workers import PATIENCE_MS, dead, folders, left_for_ever, run_all, started, take
from tests.middleware.eventually import PATIENCE_S, eventually

pytestmark = pytest.mark.slow


def test_every_message_runs_once_with_its_arguments(fair: FairRedisBroker, raw: Any) -> None:
    """A hundred messages, four threads; afterwards nothing is left that would stay for ever."""
    seen: Counter[int] = Counter()

    @dramatiq.actor(broker=fair)
    def note(n: int, *, more: int) -> None:
        seen[n + more] += 1

    for n in range(100):
        note.send(n, more=1_000)
    run_all(fair, threads=4)

    assert seen == Counter(range(1_000, 1_100))
    assert left_for_ever(raw, fair) == []


def test_a_queue_is_declared_once_and_has_no_delay_queue(fair: FairRedisBroker) -> None:
    """A worker would park what waits there in its own memory."""
    declared: list[str] = []

    class Watch(Middleware):
        def after_declare_queue(self, broker: dramatiq.Broker, queue_name: str) -> None:
            declared.append(queue_name)

    fair.add_middleware(Watch())
    fair.declare_queue("reports")
    fair.declare_queue("reports")

    assert declared == ["reports"]
    assert fair.get_declared_queues() == {"reports"}
    assert fair.get_declared_delay_queues() == set()


def test_a_queue_declared_later_is_consumed_too(fair: FairRedisBroker, work: Work) -> None:
    """By a worker that runs already."""
    work(fair)
    ran = threading.Event()
    dramatiq.actor(broker=fair, queue_name="late")(_setting(ran)).send()

    assert ran.wait(PATIENCE_S)


def test_join_gives_up_when_the_time_is_over(fair: FairRedisBroker) -> None:
    """And says which queue it was."""
    dramatiq.actor(broker=fair)(_nothing).send()

    with pytest.raises(QueueJoinTimeout, match="default"):
        fair.join("default", timeout=50)


def test_join_waits_for_what_is_delayed_and_for_retries(fair: FairRedisBroker) -> None:
    """A message between two attempts is in the queue all the time."""
    runs: list[int] = []

    @dramatiq.actor(broker=fair, max_retries=3, min_backoff=1, max_backoff=20)
    def failing() -> None:
        runs.append(1)
        raise ValueError

    failing.send_with_options(delay=50)
    run_all(fair)

    assert len(runs) == 4


def test_flushing_drops_what_is_ready_delayed_leased_and_dead(fair: FairRedisBroker, raw: Any) -> None:
    """Of that queue, and of no other."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    other = dramatiq.actor(broker=fair, queue_name="other", actor_name="other")(_nothing)
    other.send()
    for org in ("a", "b"):
        for _ in range(1_500):
            actor.send_with_options(org=org)
        actor.send_with_options(org=org, delay=60_000)
    consumer = fair.consume("default", prefetch=2)
    take(consumer)
    consumer.nack(take(consumer))
    assert eventually(lambda: dead(raw, fair) == 1)

    fair.flush("default")

    assert folders(raw, fair) == {}
    assert raw.hgetall(f"{fair.base}:n") == {b"other": b"1"}
    assert folders(raw, fair, "other") == {"ready": 1}
    consumer.close()


def test_what_is_requeued_comes_again_in_its_old_place(fair: FairRedisBroker) -> None:
    """Before what was behind it."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    sent = [actor.send().message_id for _ in range(4)]
    consumer = fair.consume("default", prefetch=3)
    taken = [take(consumer) for _ in range(3)]

    consumer.requeue(taken[1:])
    consumer.ack(taken[0])

    again = []
    for _ in range(3):
        message = take(consumer)
        again.append(message.message_id)
        consumer.ack(message)
    assert again == sent[1:]
    consumer.close()


def test_a_rejected_message_is_kept_as_a_dead_letter_with_an_end(fair: FairRedisBroker, raw: Any) -> None:
    """Its bytes are what was sent; the whole key goes when nobody dies any more."""

    @dramatiq.actor(broker=fair, max_retries=0)
    def failing() -> None:
        raise ValueError

    sent = failing.send()
    run_all(fair)

    (record,) = raw.hvals(f"{fair.base}:xm:default")
    assert record.endswith(sent.encode())
    assert folders(raw, fair) == {"dead": 1}
    assert left_for_ever(raw, fair) == []


def test_old_dead_letters_make_room(new_broker: MakeBroker, raw: Any) -> None:
    """When their time is over, the next one to die removes them."""
    broker = new_broker(dead_message_ttl=300)
    actor = dramatiq.actor(broker=broker)(_nothing)
    consumer = broker.consume("default", timeout=PATIENCE_MS)
    actor.send()
    consumer.nack(take(consumer))
    assert eventually(lambda: dead(raw, broker) == 1)
    raw.zadd(f"{broker.base}:xq:default", {raw.zrange(f"{broker.base}:xq:default", 0, 0)[0]: 1})

    kept = raw.hkeys(f"{broker.base}:xm:default")
    actor.send()
    consumer.nack(take(consumer))

    assert eventually(lambda: bool(raw.hkeys(f"{broker.base}:xm:default")) and _differs(raw, broker, kept))
    assert dead(raw, broker) == 1
    consumer.close()


def test_a_message_for_an_unknown_actor_is_dead_after_its_time(new_broker: MakeBroker, raw: Any) -> None:
    """It waits for a worker that knows it; when none came it is rejected, as on Dramatiq's own broker."""
    fair = new_broker(hold_unknown=1)
    fair.declare_queue("default")
    fair.enqueue(Message("default", "nobody", (), {}, {}))
    run_all(fair)

    assert dead(raw, fair) == 1


def test_a_message_for_an_unknown_actor_waits_for_a_worker_that_knows_it(
    new_broker: MakeBroker, raw: Any
) -> None:
    """A deploy that sends before its workers are there loses nothing; the worker's boot releases it."""
    old, ran = new_broker(), threading.Event()
    old.declare_queue("default")
    old.enqueue(Message("default", "newer", (), {}, {}))
    with started(old):
        assert eventually(lambda: folders(raw, old) == {"delayed": 1})
    new = new_broker(namespace=old.namespace)
    dramatiq.actor(broker=new, actor_name="newer")(ran.set)

    run_all(new)

    assert ran.is_set()


def test_a_worker_that_starts_again_goes_on_where_the_last_one_stopped(
    fair: FairRedisBroker, raw: Any
) -> None:
    """What it had fetched and not begun went back at once, in order, uncharged."""
    ran: list[int] = []
    gate, begun = threading.Event(), threading.Event()

    @dramatiq.actor(broker=fair)
    def note(n: int) -> None:
        begun.set()
        assert gate.wait(PATIENCE_S)
        ran.append(n)

    for n in range(20):
        note.send(n)
    worker = dramatiq.Worker(fair, worker_timeout=50, worker_threads=1)
    worker.start()
    assert begun.wait(PATIENCE_S)
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    went_back = eventually(lambda: folders(raw, fair) == {"ready": 19, "leased": 1})
    gate.set()
    stopping.join()
    assert went_back
    assert raw.zcard(f"{fair.base}:workers") == 0
    run_all(fair)

    assert ran == list(range(20))


def test_an_interrupted_job_is_tried_again(fair: FairRedisBroker) -> None:
    """`time_limit` and shutdown raise inside the job; the message is not lost."""
    # Starts the clock of Dramatiq's time limits.
    fair.emit_after("process_boot")
    runs: list[int] = []
    nobody = threading.Event()

    @dramatiq.actor(broker=fair, max_retries=1, min_backoff=1, max_backoff=10, time_limit=50)
    def slow() -> None:
        runs.append(1)
        while len(runs) == 1:
            nobody.wait(0.01)

    slow.send()
    run_all(fair)

    assert len(runs) == 2


def test_a_paused_worker_begins_nothing_until_it_is_resumed(
    fair: FairRedisBroker, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dramatiq's own switch for tests."""
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.05)
    ran = threading.Event()
    actor = dramatiq.actor(broker=fair)(_setting(ran))
    worker = work(fair)
    worker.pause()
    actor.send()
    assert not ran.wait(0.2)

    worker.resume()

    assert ran.wait(PATIENCE_S)


def test_a_server_that_is_away_is_said_in_dramatiqs_own_words(new_broker: MakeBroker) -> None:
    """Callers catch `BrokerConnectionError` already."""
    broker = new_broker("redis://127.0.0.1:1/0")
    actor = dramatiq.actor(broker=broker)(_nothing)

    with pytest.raises(ConnectionClosed):
        actor.send()


def test_org_and_actor_names_may_hold_any_character(fair: FairRedisBroker, raw: Any) -> None:
    """None makes two lanes one, or breaks a record."""
    ran: list[str] = []

    def note(org: str) -> None:
        ran.append(org)

    names = ["a:b", "a%3Ab", "a\nb", "|", "", "ü"]
    actor = dramatiq.actor(broker=fair, actor_name="odd:na|me")(note)
    for org in names:
        actor.send_with_options(args=(org,), org=org)
    assert raw.zcard(f"{fair.base}:qr:default") == len(names)
    run_all(fair)

    assert sorted(ran) == sorted(names)


def _nothing() -> None:
    pass


def _setting(event: threading.Event):  # type: ignore[no-untyped-def]
    def job() -> None:
        event.set()

    return job


def _differs(raw: Any, broker: FairRedisBroker, kept: list[bytes]) -> bool:
    found: list[bytes] = raw.hkeys(f"{broker.base}:xm:default")
    return found != kept


def test_closing_leaves_no_connection_of_its_own_open(servers: Servers, raw: "redis.Redis") -> None:
    """Those of a client that was passed in are its owner's."""
    made = FairRedisBroker(url=servers.redis_url, namespace=uuid4().hex)
    passed_in = FairRedisBroker(client=raw, namespace=uuid4().hex)
    for broker in (made, passed_in):
        assert broker.do_qsize("default") == 0
        broker.close()

    assert [_open_connections(broker) for broker in (made, passed_in)] == [0, 1]


def _open_connections(broker: FairRedisBroker) -> int:
    return sum(each._sock is not None for each in broker.client.connection_pool._available_connections)
