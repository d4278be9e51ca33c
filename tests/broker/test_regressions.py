"""What was wrong once, each as small as it gets. Found by the model in `tests/broker/model`."""

import dramatiq
import pytest
import redis

from broker import FairRedisBroker, OrgShare
from broker.leasing.lease import BACK
from broker.scripts import Script
from tests.broker.conftest import MakeBroker, Work
from tests.broker.workers import folders, take
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow


def test_a_send_that_is_repeated_is_not_refused_for_itself(new_broker: MakeBroker) -> None:
    """The answer to the first try got lost, and the queue is full now: of that very message."""
    broker = new_broker(max_queue_depth=1)
    actor = dramatiq.actor(broker=broker)(_nothing)
    sent = broker.encoder(actor.message(), 0)

    broker._enqueuer._sender.send([sent])
    broker._enqueuer._sender.send([sent])

    assert broker.do_qsize("default") == 1


def test_what_comes_back_does_not_bring_its_retry(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """A message whose thread ended between its hooks and its ack runs again, once."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    actor.send()
    lease = take(fair.consume("default", timeout=5_000)).lease
    lease.carried = [fair.encoder(actor.message(), 1_000_000)]
    session = fair._sessions.current
    assert session is not None

    session.end(lease, BACK)
    session.flush()

    assert folders(raw, fair) == {"ready": 1}


def test_a_flush_drops_what_waits_for_another_queues_slots(fair: FairRedisBroker) -> None:
    """Of an org at its limit, and of a concurrency key that is full."""
    for name, queue in (("held", "other"), ("waits", "default")):
        dramatiq.actor(broker=fair, actor_name=name, queue_name=queue)(_nothing)
    fair.configure_orgs({"a": OrgShare(max_active=1)})
    for name in ("held", "waits"):
        fair.get_actor(name).send_with_options(org="a")
        fair.get_actor(name).send_with_options(org="b", concurrency=("site", 1))
    consumer = fair.consume("other", prefetch=9)
    take(consumer), take(consumer)
    full = fair.consume("default", prefetch=9, timeout=100)
    assert next(full) is None
    full.close()

    fair.flush("default")

    assert (fair.do_qsize("default"), fair.do_qsize("other")) == (0, 2)
    consumer.close()


def test_a_suspect_behind_a_gate_stops_no_worker(
    fair: FairRedisBroker, raw: "redis.Redis", work: Work
) -> None:
    """It cannot run now, so nobody makes himself idle for it."""
    suspect = dramatiq.actor(broker=fair, actor_name="suspect")(_nothing)
    other = dramatiq.actor(broker=fair, actor_name="other")(_nothing)
    suspect.send()
    for worker in ("w1", "w2"):
        Script("fetch")(
            fair.client, fair.base, [worker, 10_000, 60_000, 0, "default", 1, 1_000_000, 0, 0.1, "share"]
        )
        fair.report_death(worker, -9, stopped=False)
    Script("finish")(fair.client, fair.base, ["w3", 10_000, 60_000, 0, 0])
    assert raw.zcard(f"{fair.base}:qx:default") == 1
    fair.shut("breaker", {"a:suspect": (0, "it breaks")})
    work(fair)

    for _ in range(3):
        other.send()
        assert eventually(lambda: fair.do_qsize("default") == 1)
    fair.shut("breaker", {})

    assert eventually(lambda: fair.do_qsize("default") == 0)


def test_an_org_behind_a_gate_comes_again_after_all_of_it_was_dropped(fair: FairRedisBroker) -> None:
    """The gate was opened while the queue had no messages at all."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    consumer = fair.consume("default", timeout=100)
    fair.shut("people", {"o:a": (0, "paused")})
    actor.send_with_options(org="a")
    assert next(consumer) is None
    consumer.close()
    Script("clean_lanes")(fair.client, fair.base, ["default", "", "inf", 0, 0, 0, "a"])
    fair.shut("people", {})
    again = actor.send_with_options(org="a")

    assert take(fair.consume("default", timeout=5_000)).message_id == again.message_id


def test_a_priority_that_is_no_number_is_the_actors(fair: FairRedisBroker) -> None:
    """`True` is an `int` to Python and none to the scripts, which would stop half-way."""
    actor = dramatiq.actor(broker=fair, priority=3)(_nothing)
    sent = actor.send_with_options(priority=True)

    assert take(fair.consume("default", timeout=5_000)).message_id == sent.message_id


def _nothing() -> None:
    pass
