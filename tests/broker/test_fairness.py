"""Who is next: counted in dispatches, never in time."""

import threading
from collections import Counter
from typing import Any

import dramatiq
import pytest
from redis import Redis

from broker import FairRedisBroker, OrgShare
from broker.leasing.prefetch import MAX_AHEAD
from tests.broker.conftest import Work
from tests.broker.workers import run_all, take
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow


def test_orgs_take_turns(fair: FairRedisBroker) -> None:
    """Three orgs, whatever each has waiting: equal shares of every stretch of dispatches."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    for org, count in (("a", 60), ("b", 40), ("c", 20)):
        for _ in range(count):
            actor.send_with_options(org=org)

    orgs = _dispatched(fair, 120)

    assert Counter(orgs[:60]) == {"a": 20, "b": 20, "c": 20}
    assert Counter(orgs[60:100]) == {"a": 20, "b": 20}
    assert set(orgs[100:]) == {"a"}


def test_an_orgs_messages_keep_their_order(fair: FairRedisBroker) -> None:
    """First in, first out inside a lane."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    sent = [actor.send_with_options(org="a").message_id for _ in range(30)]
    consumer = fair.consume("default", prefetch=7)
    seen = []
    for _ in sent:
        message = take(consumer)
        seen.append(message.message_id)
        consumer.ack(message)
    consumer.close()

    assert seen == sent


def test_idleness_saves_up_nothing(fair: FairRedisBroker) -> None:
    """An org that comes back after a thousand dispatches of another gets its share, and no arrears."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    actor.send_with_options(org="back")
    for _ in range(1_000):
        actor.send_with_options(org="busy")
    _dispatched(fair, 901)
    for _ in range(50):
        actor.send_with_options(org="back")

    orgs = _dispatched(fair, 40)

    # Give or take what was fetched ahead.
    assert Counter(orgs)["back"] in range(16, 25)


def test_a_flood_does_not_delay_a_quiet_org(fair: FairRedisBroker, work: Work) -> None:
    """Its job starts within as many dispatches as there are threads and messages fetched ahead."""
    threads, flood = 2, 3_000
    order: list[str] = []
    sent_at: list[int] = []
    flowing = threading.Event()

    @dramatiq.actor(broker=fair)
    def job(org: str) -> None:
        order.append(org)
        if len(order) == 500:
            flowing.set()

    for _ in range(flood):
        job.send_with_options(args=("flood",), org="flood")
    work(fair, threads=threads)
    assert flowing.wait(20)
    job.send_with_options(args=("quiet",), org="quiet")
    sent_at.append(len(order))
    assert eventually(lambda: "quiet" in order)

    # It may have come into the order before its position was noted.
    assert order.index("quiet") - sent_at[0] <= threads + MAX_AHEAD + 1
    assert order.index("quiet") < flood


def test_what_a_flood_gets_back_does_not_put_it_before_others(fair: FairRedisBroker) -> None:
    """Charged in advance for more than its jobs took, it gets the difference back after the quiet org has come."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    for _ in range(50):
        actor.send_with_options(org="flood")
    consumer = fair.consume("default", prefetch=8)
    running = [take(consumer) for _ in range(8)]
    actor.send_with_options(org="quiet")
    for message in running:
        message.lease.took_ms = 0.0
        consumer.ack(message)

    assert "quiet" in [take(consumer).options["org"] for _ in range(2)]
    consumer.close()


def test_longer_jobs_are_charged_for_what_they_take(fair: FairRedisBroker, raw: "Redis") -> None:
    """An org whose jobs take a hundred times as long gets a hundredth of the dispatches, not half the time."""
    for name in ("long", "short"):
        dramatiq.actor(broker=fair, actor_name=name)(_nothing)
    raw.hset(f"{fair.base}:avg", mapping={"long": "1000", "short": "10"})
    for _ in range(300):
        fair.get_actor("long").send_with_options(org="exports")
        fair.get_actor("short").send_with_options(org="mails")

    orgs = _dispatched(fair, 200, prefetch=200, end=False)

    assert Counter(orgs)["exports"] in range(1, 5)


def test_a_single_org_gets_everything(fair: FairRedisBroker) -> None:
    """Shares are of what is contended, not of the clock: one fetch fills the room there is."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    for _ in range(50):
        actor.send_with_options(org="a")

    assert _dispatched(fair, 50, prefetch=50, end=False) == ["a"] * 50


def test_the_more_urgent_goes_first_and_nobody_starves(fair: FairRedisBroker, raw: Any) -> None:
    """Inside an org; a step of priority is worth a second of waiting, so that what waited longer goes before."""
    dramatiq.actor(broker=fair, actor_name="urgent", priority=0)(_nothing)
    dramatiq.actor(broker=fair, actor_name="later", priority=5)(_nothing)
    for _ in range(3):
        fair.get_actor("later").send_with_options(org="a")
    for _ in range(3):
        fair.get_actor("urgent").send_with_options(org="a")
    assert _actors(fair, 2) == ["urgent", "urgent"]

    lane = f"{fair.base}:l:default:a:later:5"
    since_ms, _, message_id = raw.lindex(lane, 0).partition(b"|")
    raw.lset(lane, 0, b"%d|%s" % (int(since_ms) - 6_000, message_id))
    raw.zincrby(f"{fair.base}:ql:default:a", -6_000, "later:5")

    assert _actors(fair, 4) == ["later", "urgent", "later", "later"]


def test_shares_follow_weights(fair: FairRedisBroker) -> None:
    """Three to two to one, within five per cent over the first three thousand dispatches."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    fair.configure_orgs({"three": OrgShare(weight=3), "two": OrgShare(weight=2)})
    for org in ("three", "two", "one"):
        fair.send_many([actor.message_with_options(org=org) for _ in range(1_700)])

    seen = Counter(_dispatched(fair, 3_000, prefetch=16))

    for org, share in (("three", 1_500), ("two", 1_000), ("one", 500)):
        assert abs(seen[org] - share) <= 0.05 * share, seen


def test_a_weight_counts_from_the_next_dispatch_on(fair: FairRedisBroker) -> None:
    """It may be changed while messages wait."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    for org in ("a", "b"):
        fair.send_many([actor.message_with_options(org=org) for _ in range(400)])
    assert Counter(_dispatched(fair, 100))["a"] in range(46, 55)
    fair.configure_orgs({"a": OrgShare(weight=4)})

    assert Counter(_dispatched(fair, 200))["a"] in range(150, 171)


def test_an_org_with_long_jobs_leaves_the_others_their_share_of_time(fair: FairRedisBroker) -> None:
    """Jobs a hundred times as long: of four seconds worked each org has its half, give or take a few jobs."""
    worked: Counter[str] = Counter()
    for name, took_ms in (("short", 1.0), ("long", 100.0)):
        actor = dramatiq.actor(broker=fair, actor_name=name)(_nothing)
        fair.send_many(
            [actor.message_with_options(org=name) for _ in range(3_000 if name == "short" else 40)]
        )
        # What is known of the actors before.
        fair.client.hset(f"{fair.base}:avg", name, str(took_ms))
    consumer = fair.consume("default", prefetch=4)
    while sum(worked.values()) < 4_000:
        message = take(consumer)
        message.lease.took_ms = 1.0 if message.actor_name == "short" else 100.0
        worked[message.actor_name] += int(message.lease.took_ms)
        consumer.ack(message)
    consumer.close()

    assert abs(worked["short"] - worked["long"]) <= 300, worked


def test_many_orgs_and_threads_end_with_everything_done(fair: FairRedisBroker) -> None:
    """Fifty orgs, four actors, two priorities: each message once."""
    seen: Counter[str] = Counter()
    for name in ("a", "b", "c", "d"):
        dramatiq.actor(broker=fair, actor_name=name, priority=ord(name) % 2)(lambda key: seen.update([key]))
    keys = [f"{org}-{name}-{n}" for org in range(50) for name in "abcd" for n in range(3)]
    for key in keys:
        org, name, _ = key.split("-")
        fair.get_actor(name).send_with_options(args=(key,), org=org)

    run_all(fair, threads=4)

    assert seen == Counter(keys)


def _dispatched(fair: FairRedisBroker, count: int, *, prefetch: int = 8, end: bool = True) -> list[str]:
    """The orgs of the next dispatches. All jobs take equally long: no time at all."""
    consumer = fair.consume("default", prefetch=prefetch)
    orgs = []
    for _ in range(count):
        message = take(consumer)
        orgs.append(message.options["org"])
        if end:
            # What is charged in advance for a job of which nothing is known.
            message.lease.took_ms = 10.0
            consumer.ack(message)
    consumer.close()
    return orgs


def _actors(fair: FairRedisBroker, count: int) -> list[str]:
    consumer = fair.consume("default", prefetch=1)
    names = []
    for _ in range(count):
        message = take(consumer)
        names.append(message.actor_name)
        consumer.ack(message)
    consumer.close()
    return names


def _nothing() -> None:
    pass
