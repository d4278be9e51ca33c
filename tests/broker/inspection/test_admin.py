"""What people change by hand: dropped messages leave nothing, a new priority holds, a quiet worker fetches nothing."""

import os
import threading
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
from redis import Redis

from broker import FairRedisBroker
from broker.inspection.admin import BATCH_SIZE
from broker.inspection.lookup import batch
from tests.broker.conftest import MakeBroker, Work
from tests.broker.inspection.inspection_helpers import (
    fetch,
    fetched,
    inspector,
    operations,
    park,
    reclaim,
    send,
    serving,
)
from tests.broker.workers import left_for_ever, run_all
from tests.middleware.eventually import PATIENCE_S, eventually

pytestmark = pytest.mark.slow


#: What may not run now stands behind all that may, by so much (parts/lane_order.lua).
HELD = 4e15


def left(raw: "Redis", broker: FairRedisBroker) -> set[str]:
    """Keys without a time to live, configuration aside."""
    keys = {key.decode().removeprefix(f"{broker.base}:") for key in left_for_ever(raw, broker)}
    return keys - {"workers", "wi", "g", "o", "r"}


def send_in_its_own_ms(broker: FairRedisBroker, **options: Any) -> "dramatiq.Message[Any]":
    """A message that is older than the next one."""
    sent, sent_ms = send(broker, **options), broker.server_now_ms()
    assert eventually(lambda: broker.server_now_ms() > sent_ms)
    return sent


def fill(broker: FairRedisBroker, org: str) -> None:
    """One message in each state."""
    send(broker, org=org)
    send(broker, org=org, actor="crop", concurrency=("a.org", 1))
    send(broker, org=org, delay=60_000)
    for cause, key in (("ai is down", "breaker:ai"), ("held for a newer version", "version:resize:3")):
        message = send(broker, org=org, queue="elsewhere")
        broker.flush("elsewhere")
        broker.park(message.copy(queue_name="images"), delay_ms=60_000, cause=cause, key=key)


def test_nothing_is_left_of_what_was_dropped(fair: FairRedisBroker, raw: "Redis") -> None:
    """Neither in a count nor in an index, wherever the messages were."""
    for org in ("acme", "other"):
        fill(fair, org)

    assert operations(fair).clean("images", dry_run=True) == 10
    assert inspector(fair).depth("images")[0].ready == 4
    assert operations(fair).clean("images") == 10

    assert left(raw, fair) == set()
    assert operations(fair).clean("images") == 0
    assert fair.do_qsize("images") == 0


def test_nothing_is_left_of_lanes_that_were_put_aside(fair: FairRedisBroker, raw: "Redis") -> None:
    """By a gate or a full key; and a later message of theirs runs."""
    fair.enforce(SimpleNamespace(kind="max_active", default=2))
    for _ in range(2):
        send(fair, concurrency=("a.org", 1))
    running = fetched(fair)
    send(fair, org="other", actor="crop")
    fair.shut("pauses", {"a:crop": (0, "paused: actor crop by ada")})
    assert next(fair.consume("images", prefetch=9, timeout=50)) is None

    assert operations(fair).clean("images") == 2
    assert not [key for key in left(raw, fair) if key.startswith(("bk:", "l:", "ql:", "qr:"))]
    fair.consume("images").ack(running)

    assert eventually(lambda: left(raw, fair) <= {"qs:images"})
    fair.shut("pauses", {})
    for org in ("acme", "other"):
        sent = send(fair, org=org, actor="crop", concurrency=("a.org", 1))
        message = fetched(fair)
        assert message.message_id == sent.message_id
        fair.consume("images").ack(message)
    assert eventually(lambda: left(raw, fair) == set())


@pytest.mark.parametrize(
    ("narrowed", "count"),
    [
        ({"org": "acme"}, 5),
        ({"org": "nobody"}, 0),
        ({"org": "|"}, 0),
        ({"actor": "crop"}, 2),
        ({"org": "acme", "actor": "crop"}, 1),
        ({"states": {"ready"}}, 4),
        ({"states": {"delayed"}}, 2),
        ({"states": {"parked", "held"}}, 4),
        ({"states": {"held"}, "org": "other"}, 1),
        ({"older_than_ms": 3_600_000}, 0),
    ],
)
def test_only_what_fits_is_dropped(fair: FairRedisBroker, narrowed: dict[str, object], count: int) -> None:
    """As many as the dry run says, and the others stay where they are."""
    for org in ("acme", "other"):
        fill(fair, org)

    assert operations(fair).clean("images", dry_run=True, **narrowed) == count  # type: ignore[arg-type]
    assert operations(fair).clean("images", **narrowed) == count  # type: ignore[arg-type]

    assert fair.do_qsize("images") == 10 - count
    depth = inspector(fair).depth("images")[0]
    assert depth.ready + (depth.delayed or 0) + (depth.parked or 0) + (depth.held or 0) == 10 - count


def test_only_what_is_old_is_dropped(fair: FairRedisBroker, raw: "Redis") -> None:
    """Of what is due by how long it is; of what is not by when it was sent, whatever its payload says."""
    old = fair.server_now_ms() - 10_000
    for delay in (0, 60_000):
        message = dramatiq.Message[object](
            queue_name="images",
            actor_name="resize",
            args=({"message_timestamp": 1}, '"message_timestamp": 1'),
            kwargs={},
            options={"org": "acme"},
        )
        fair.enqueue(message, delay=delay)
        fair.enqueue(message.copy(message_id=uuid4().hex, message_timestamp=old), delay=delay)
    lane = f"{fair.base}:l:images:acme:resize:0"
    (head, _) = batch(raw, lane, 0, 2)
    raw.lset(lane, 0, f"{old}|{head.decode().partition('|')[2]}")

    assert operations(fair).clean("images", older_than_ms=5_000, dry_run=True) == 2
    assert operations(fair).clean("images", older_than_ms=5_000) == 2
    assert inspector(fair).depth("images")[0].delayed == 1


def test_many_are_dropped_in_portions(fair: FairRedisBroker, raw: "Redis") -> None:
    """All of one org's, though thousands of another's that stay are due in the very same moment."""
    for org, delay in (("acme", 0), ("other", 60_000), ("acme", 60_000)):
        fair.send_many((_message(org) for _ in range(BATCH_SIZE + 1)), delay=delay)
    for each in inspector(fair).waiting("images", limit=3 * BATCH_SIZE):
        if each.state == "delayed":
            raw.zadd(f"{fair.base}:qd:images", {each.message_id: 1e13})

    assert operations(fair).clean("images", org="acme", dry_run=True) == 2 * (BATCH_SIZE + 1)
    assert operations(fair).clean("images", org="acme") == 2 * (BATCH_SIZE + 1)

    assert fair.do_qsize("images") == BATCH_SIZE + 1
    assert raw.hgetall(f"{fair.base}:no") == {b"other": str(BATCH_SIZE + 1).encode()}


def test_what_is_in_flight_is_left_untouched(fair: FairRedisBroker) -> None:
    """A job that runs ends as ever."""
    send(fair)
    message = fetched(fair)

    assert operations(fair).clean("images") == 0

    fair.consume("images").ack(message)
    assert eventually(lambda: fair.do_qsize("images") == 0)


def test_an_urgent_one_runs_next(fair: FairRedisBroker, raw: "Redis") -> None:
    """With its new priority before those that were there before it; none is lost, and nothing is left of it."""
    ran: list[int] = []

    @dramatiq.actor(broker=fair, queue_name="images")
    def resize(number: int) -> None:
        ran.append(number)

    messages = [resize.send_with_options(args=(number,), org="acme") for number in range(4)]

    assert operations(fair).set_priority(messages[2].message_id, -100) == "done"
    assert operations(fair).set_priority(messages[0].message_id, 100, org="acme") == "done"
    assert [each.priority for each in inspector(fair).lanes("images")] == [-100, 0, 100]
    run_all(fair, "images")

    assert ran == [2, 1, 3, 0]
    assert left(raw, fair) == set()


def test_a_message_keeps_its_age_in_its_new_lane(fair: FairRedisBroker) -> None:
    """It stands between those that are older and those that are younger."""
    before, moved, after = (send_in_its_own_ms(fair, priority=priority) for priority in (5, 0, 5))
    stays = send(fair)

    assert operations(fair).set_priority(moved.message_id, 5) == "done"

    ordered = [each.message_id for each in inspector(fair).waiting("images") if each.priority == 5]
    assert ordered == [before.message_id, moved.message_id, after.message_id]
    assert [each.message_id for each in fetch(fair, 4)] == [stays.message_id, *ordered]


def test_a_lane_that_lost_its_head_is_as_old_as_the_next(fair: FairRedisBroker, raw: "Redis") -> None:
    """Else it would run before lanes that are older by now."""
    moved, _ = send_in_its_own_ms(fair), send_in_its_own_ms(fair)
    lane, lanes = f"{fair.base}:l:images:acme:resize:0", f"{fair.base}:ql:images:acme"
    _, second = batch(raw, lane, 0, 2)

    assert operations(fair).set_priority(moved.message_id, 9) == "done"

    assert raw.zscore(lanes, "resize:0") == int(second.partition(b"|")[0])


def test_the_priority_of_a_delayed_message_holds_when_it_is_due(fair: FairRedisBroker) -> None:
    """And of a parked one; so does it for whatever is sent again of it."""
    delayed, parked = send(fair, delay=60_000), park(fair, "ai is down", "breaker:ai")
    for each in (delayed, parked):
        assert operations(fair).set_priority(each.message_id, -7) == "done"
    assert fair.release("breaker:ai") == 1

    message = fetched(fair)

    assert message.message_id == parked.message_id
    assert message.options["priority"] == -7
    assert [each.priority for each in inspector(fair).waiting("images")] == [-7]


def test_a_lane_that_was_put_aside_stays_so(fair: FairRedisBroker, raw: "Redis") -> None:
    """A message that comes to it does not let it run; it runs when the gate is opened."""
    send(fair, actor="crop", priority=1)
    fair.shut("pauses", {"a:crop": (0, "paused: actor crop by ada")})
    assert next(fair.consume("images", timeout=50)) is None
    moved = send(fair, actor="crop")
    assert next(fair.consume("images", timeout=50)) is None

    assert operations(fair).set_priority(moved.message_id, 1) == "done"
    held = raw.zscore(f"{fair.base}:ql:images:acme", "crop:1")
    assert held is not None
    assert float(held) > HELD
    assert next(fair.consume("images", timeout=50)) is None
    fair.shut("pauses", {})

    assert moved.message_id in {each.message_id for each in fetch(fair, 2)}


def test_the_only_message_of_a_lane_that_was_put_aside_is_not_stranded(fair: FairRedisBroker) -> None:
    """Its org has its turn again, which it had not while nothing of it could run."""
    sent = send(fair, actor="crop")
    fair.shut("pauses", {"a:crop": (0, "paused: actor crop by ada")})
    assert next(fair.consume("images", timeout=50)) is None

    assert operations(fair).set_priority(sent.message_id, 1) == "done"
    fair.shut("pauses", {})

    assert fetched(fair).message_id == sent.message_id


def test_what_cannot_get_another_priority(fair: FairRedisBroker) -> None:
    """What a worker has already, what is nowhere, what is another org's, and what is no message."""
    change = operations(fair)
    sent = send(fair)
    fetched(fair)
    waiting = send(fair)
    fair.client.hset(f"{fair.base}:m", "odd", b"images\nacme\nresize:0\nu\nno message")

    assert change.set_priority(sent.message_id, 1) == "in_hand"
    assert change.set_priority("nowhere", 1) == "unknown"
    assert change.set_priority(waiting.message_id, 1, org="other") == "unknown"
    assert change.set_priority("odd", 1) == "undecodable"


def test_a_suspect_keeps_its_place(new_broker: MakeBroker) -> None:
    """It waits to run alone, whatever its priority."""
    namespace = uuid4().hex
    first = new_broker(namespace=namespace)
    sent = send(first)
    for _ in range(2):
        dying = new_broker(namespace=namespace)
        fetched(dying)
        assert dying.worker_id is not None
        dying.report_death(dying.worker_id, -9, stopped=False)
        reclaim(first)

    assert operations(first).set_priority(sent.message_id, 9) == "done"

    why = inspector(first).why(sent.message_id)
    assert (why.cause, why.priority) == ("suspect", 9)


def test_a_quiet_worker_fetches_nothing_until_it_is_resumed(fair: FairRedisBroker, work: Work) -> None:
    """What it has in hand it runs to its end."""
    ran: list[str] = []
    begun, gate = threading.Event(), threading.Event()

    @dramatiq.actor(broker=fair, queue_name="images")
    def resize(name: str) -> None:
        begun.set()
        assert gate.wait(PATIENCE_S)
        ran.append(name)

    resize.send("before")
    work(fair)
    assert begun.wait(PATIENCE_S)
    assert fair.worker_id is not None

    assert operations(fair).quiet(fair.worker_id)
    waiting = resize.send("while")
    gate.set()
    assert eventually(lambda: ran == ["before"])
    assert eventually(lambda: inspector(fair).workers()[0].leased == 0)
    assert eventually(lambda: inspector(fair).why(waiting.message_id).cause == "workers_quiet")
    (worker,) = inspector(fair).workers()
    assert (worker.pid, worker.queues, worker.threads) == (os.getpid(), ("images",), 1)
    assert worker.rss_bytes is not None
    assert operations(fair).resume(fair.worker_id)

    assert eventually(lambda: ran == ["before", "while"])


def test_a_worker_that_is_not_there_cannot_be_quiet(fair: FairRedisBroker) -> None:
    """Else nobody would ever take its name off the list again."""
    there = serving(fair, "images")

    assert not operations(fair).quiet("nobody")
    assert not operations(fair).resume(there)
    assert operations(fair).quiet(there)
    assert operations(fair).quiet(there)
    assert operations(fair).resume(there)


def _message(org: str) -> "dramatiq.Message[object]":
    return dramatiq.Message(
        queue_name="images", actor_name="resize", args=(), kwargs={}, options={"org": org}
    )
