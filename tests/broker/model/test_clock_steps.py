"""A server's clock that is put back: nothing that is timed waits for it to catch up, and nothing runs twice.

As the scripts see it, all times that stand in the server are ahead then; so that is how the tests put it back.
"""

from collections.abc import Callable

import dramatiq
import pytest
import redis

from broker import FairRedisBroker
from tests.broker.conftest import MakeBroker
from tests.broker.model.draining import drain
from tests.broker.model.fleet import Fleet
from tests.broker.model.messages import Messages
from tests.broker.model.scenes import leased
from tests.broker.model.worker import SILENT_MS
from tests.broker.workers import take

pytestmark = pytest.mark.slow

BACK_MS = 600_000


def test_a_dead_workers_messages_come_back(fleet: Fleet) -> None:
    """Once it was silent for as long as ever, by the clock that is."""
    lease = leased(fleet, Messages()())
    fleet.step_back(BACK_MS)
    other = fleet.workers[1]
    fleet.fetch(other, "q", 1)
    fleet.workers.pop(0)
    fleet.advance(SILENT_MS + 1)

    fleet.flush(other)
    assert [each.message_id for each in fleet.fetch(other, "q", 1)] == [lease.message_id]


def test_who_lives_is_not_taken_for_dead(fleet: Fleet) -> None:
    """Their beats go on, at times that were before."""
    leased(fleet, Messages()())
    fleet.step_back(BACK_MS)
    fleet.flush(fleet.workers[1])
    fleet.advance(SILENT_MS - 1)
    fleet.flush(fleet.workers[1])

    assert fleet.workers[0].worker_id in fleet.state.workers


@pytest.mark.parametrize("parked", ["", "a flag\nflag:x"])
def test_what_is_delayed_is_due_as_long_after_as_it_was(fleet: Fleet, parked: str) -> None:
    """Not later, by the step; and not at once."""
    fleet.flush(fleet.workers[0])
    fleet.send([Messages()(delay_ms=3_000, parked=parked)])
    fleet.step_back(BACK_MS)
    worker = fleet.workers[0]

    assert not fleet.fetch(worker, "q", 1)
    assert worker.due_ms["q"] == 3_000
    fleet.advance(3_000)
    assert fleet.fetch(worker, "q", 1)


def test_what_is_delayed_after_a_step_waits_its_time(fleet: Fleet) -> None:
    """And what is released then is due."""
    fleet.flush(fleet.workers[0])
    fleet.step_back(BACK_MS)
    fleet.flush(fleet.workers[0])
    message = Messages()
    fleet.send([message(delay_ms=3_000), message(delay_ms=3_600_000, parked="a flag\nflag:x")])

    assert not fleet.fetch(fleet.workers[0], "q", 2)
    fleet.release("flag:x")
    assert [each.message_id for each in fleet.fetch(fleet.workers[0], "q", 2)] == ["m2"]
    fleet.advance(3_000)
    assert [each.message_id for each in fleet.fetch(fleet.workers[0], "q", 2)] == ["m1"]


def test_a_rate_lets_the_next_start_as_long_after_as_it_would_have(fleet: Fleet) -> None:
    """Nobody starts before, and nobody waits for the clock."""
    message = Messages()
    fleet.limit_rate("crop", (2_000.0, 0.0))
    fleet.send([message(), message(), message()])
    worker = fleet.workers[0]
    assert len(fleet.fetch(worker, "q", 3)) == 1
    fleet.step_back(BACK_MS)
    for _ in range(2):
        assert not fleet.fetch(worker, "q", 3)
        fleet.advance(2_000)
        assert len(fleet.fetch(worker, "q", 3)) == 1
    drain(fleet)


def test_a_server_that_is_back_holds_nobody_up_for_a_step(fleet: Fleet) -> None:
    """Workers get time to report after it was away, but not the step on top."""
    leased(fleet, Messages()())
    fleet.step_back(BACK_MS)
    fleet.shard.client.set(fleet.shard.key("up"), fleet.shard.now_ms + BACK_MS, px=2 * BACK_MS)
    other = fleet.workers[1]
    fleet.run("finish", other.worker_id, SILENT_MS, 1_000, 0)
    fleet.workers.pop(0)
    fleet.advance(SILENT_MS + 1)

    fleet.flush(other)
    assert fleet.fetch(other, "q", 1)


def test_two_steps_are_as_long_as_both(fleet: Fleet) -> None:
    """And a clock that goes forth again holds nothing back."""
    fleet.flush(fleet.workers[0])
    fleet.send([Messages()(delay_ms=5_000)])
    for _ in range(2):
        fleet.step_back(BACK_MS)
        fleet.flush(fleet.workers[0])

    assert fleet.state.lead_ms == 2 * BACK_MS
    fleet.advance(5_000)
    assert fleet.fetch(fleet.workers[0], "q", 1)


#: What people are shown of a message that is delayed by 100 s, in milliseconds from now.
VIEWS: dict[str, Callable[[FairRedisBroker, str], int | None]] = {
    "why": lambda broker, message_id: broker._inspector.why(message_id).reasons[0].until_ms,
    "waiting": lambda broker, message_id: next(
        each.due_ms for each in broker._inspector.waiting("default") if each.message_id == message_id
    ),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_times_are_shown_by_the_clock_that_is(
    new_broker: MakeBroker, raw: "redis.Redis", view: Callable[[FairRedisBroker, str], int | None]
) -> None:
    """Whatever it was put back by."""
    fair = new_broker()
    raw.set(f"{fair.base}:skew", BACK_MS)
    actor = dramatiq.actor(broker=fair)(lambda: None)
    message = actor.send_with_options(delay=100_000)

    due_ms = view(fair, message.message_id)
    assert due_ms is not None
    assert 0 <= fair.server_now_ms() + 100_000 - due_ms < 50_000


def test_a_worker_goes_on_when_it_was_heard_in_the_future(new_broker: MakeBroker, raw: "redis.Redis") -> None:
    """Real scripts on a real clock: what a worker held that is gone comes back."""
    fair = new_broker(heartbeat_timeout=600)
    actor = dramatiq.actor(broker=fair)(lambda: None)
    consumer = fair.consume("default", timeout=50)
    actor.send()
    held = take(consumer)
    ahead_ms = fair.server_now_ms() + BACK_MS
    raw.set(f"{fair.base}:heard", ahead_ms)
    raw.zadd(f"{fair.base}:workers", {"gone": ahead_ms})
    raw.rename(f"{fair.base}:lease:{fair.worker_id}", f"{fair.base}:lease:gone")
    other = new_broker(namespace=fair.namespace, heartbeat_timeout=600).consume("default", timeout=5_000)

    assert take(other).message_id == held.message_id
