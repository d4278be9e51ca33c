"""Delayed messages wait in the server, any distance ahead, and cost a worker nothing."""

import threading
import time

import dramatiq
import pytest
from dramatiq.errors import QueueJoinTimeout
from redis import Redis

from broker import FairRedisBroker
from tests.broker.conftest import Work
from tests.broker.workers import left_for_ever, run_all, take
from tests.middleware.eventually import PATIENCE_S, eventually

pytestmark = pytest.mark.slow

#: Eight days: more than Dramatiq's own Redis broker keeps anything.
FAR_MS = 8 * 24 * 60 * 60 * 1_000


def test_a_waiting_worker_is_woken_for_what_is_due_first(fair: FairRedisBroker, work: Work) -> None:
    """One that waits for a later one learns of an earlier one that is sent meanwhile."""
    ran = threading.Event()
    far = dramatiq.actor(broker=fair, actor_name="far")(lambda: None)
    soon = dramatiq.actor(broker=fair, actor_name="soon")(ran.set)
    far.send_with_options(delay=FAR_MS)
    worker = work(fair)
    assert eventually(lambda: bool(worker.consumers))

    soon.send_with_options(delay=300)

    assert ran.wait(PATIENCE_S)


def test_only_what_is_due_first_wakes_a_worker(fair: FairRedisBroker, raw: "Redis") -> None:
    """A token for the first and for each earlier one; none for those behind it, which it knows to come."""
    actor = dramatiq.actor(broker=fair)(lambda: None)
    tokens = []
    for ms in (3_000_000, 2_000_000, 4_000_000, 1_000_000):
        actor.send_with_options(delay=ms)
        tokens.append(raw.delete(f"{fair.base}:wake:default"))

    assert tokens == [1, 1, 0, 1]


def test_nothing_runs_before_it_is_due(fair: FairRedisBroker) -> None:
    """By the server's clock, to the millisecond."""
    began: list[float] = []
    actor = dramatiq.actor(broker=fair, actor_name="note")(lambda: began.append(time.monotonic()))
    sent = time.monotonic()
    actor.send_with_options(delay=200)
    run_all(fair)

    assert began[0] - sent >= 0.199


def test_what_is_due_runs_in_the_order_of_its_time(fair: FairRedisBroker) -> None:
    """However late the worker comes, and whatever was sent first."""
    order: list[int] = []
    actor = dramatiq.actor(broker=fair, actor_name="note")(order.append)
    for ms in (30, 10, 20):
        actor.send_with_options(args=(ms,), delay=ms)
    threading.Event().wait(0.1)
    run_all(fair)

    assert order == [10, 20, 30]


def test_a_delayed_message_is_the_one_that_was_sent(fair: FairRedisBroker, raw: "Redis") -> None:
    """It carries no `eta`, and its queue is the queue itself; what a stock broker wrote into one is left out."""
    actor = dramatiq.actor(broker=fair)(lambda: None)
    message = actor.message_with_options(eta=12, org="a").copy(queue_name="default.DQ")
    fair.enqueue(message, delay=1)
    consumer = fair.consume("default", timeout=5_000)

    taken = take(consumer)

    assert taken.queue_name == "default"
    assert taken.options == {"org": "a"}
    consumer.ack(taken)
    consumer.close()
    fair.close()
    assert left_for_ever(raw, fair) == []


def test_a_queue_goes_by_the_name_that_dramatiq_has_for_what_is_delayed(fair: FairRedisBroker) -> None:
    """Counted with the others, as on its own Redis broker; who joins waits for them."""
    actor = dramatiq.actor(broker=fair)(lambda: None)
    actor.send()
    actor.send_with_options(delay=100_000)

    assert (fair.do_qsize("default"), fair.do_qsize("default.DQ")) == (2, 2)
    with pytest.raises(QueueJoinTimeout):
        fair.join("default.DQ", timeout=50)
    fair.flush("default")
    fair.join("default.DQ", timeout=50)
