"""A thousand messages, or a hundred thousand, that are due in days do not hide one that is due in half a second."""

import gc
from itertools import islice

import dramatiq
import pytest

from broker import FairRedisBroker
from tests.broker.promises.brokers import Either
from tests.broker.promises.scenario import Stage

#: Six days, in milliseconds: within what Dramatiq's documentation allows.
FAR_MS = 6 * 24 * 60 * 60 * 1_000
FAR = [1_000, 100_000]

#: How many of them are stored at a time.
BATCH_SIZE = 1_000


@pytest.mark.parametrize("count", FAR)
def test_vanilla_does_not_see_it(vanilla: Stage, count: int) -> None:
    """A worker has room in memory for 1,000 delayed ones a thread, and is full of those that came first."""
    ran = _started(vanilla, count)
    vanilla.wait_until(lambda: "later" in ran)

    assert ran == ["later"]
    assert _far_ones_in_memory() == vanilla.held() == 1_000


@pytest.mark.parametrize("count", FAR)
def test_ours_runs_it(ours: Stage, count: int) -> None:
    """They wait in the server, by the time when they are due; none of them is in the worker's memory."""
    ran = _started(ours, count)
    ours.wait_until(lambda: sorted(ran) == ["due", "later"] and ours.unfinished() == count)

    assert _far_ones_in_memory() == ours.held() == 0


def _started(stage: Stage, count: int) -> list[str]:
    """What a worker runs: after the far ones, one that is due in half a second, and a later one in another queue."""
    broker = stage.broker()
    ran: list[str] = []
    dramatiq.actor(broker=broker, actor_name="far")(lambda: None)
    due = dramatiq.actor(broker=broker, actor_name="due")(lambda: ran.append("due"))
    later = dramatiq.actor(broker=broker, actor_name="later", queue_name="other")(lambda: ran.append("later"))
    _store(stage, broker, count)
    due.send_with_options(delay=500)
    stage.worker(broker)
    if stage.kind == "vanilla":
        stage.wait_until(lambda: stage.held() == 1_000)
    later.send_with_options(delay=500)
    return ran


def _store(stage: Stage, broker: Either, count: int) -> None:
    if isinstance(broker, FairRedisBroker):
        answers = broker.send_many((_far() for _ in range(count)), delay=FAR_MS)
        assert not any(isinstance(each, Exception) for each in answers)
        return
    # As its `send` does, which would take half a minute.
    queue, due_ms = f"{broker.namespace}:default.DQ", stage.now_ms() + FAR_MS
    messages = (_vanilla_far(due_ms) for _ in range(count))
    while batch := {each.options["redis_message_id"]: each.encode() for each in islice(messages, BATCH_SIZE)}:
        stage.client.rpush(queue, *batch)
        stage.client.hset(f"{queue}.msgs", mapping=batch)


def _far() -> "dramatiq.Message[None]":
    return dramatiq.Message("default", "far", (), {}, {})


def _vanilla_far(due_ms: int) -> "dramatiq.Message[None]":
    far = _far()
    options = {"eta": due_ms, "redis_message_id": far.message_id}
    return far.copy(queue_name="default.DQ", options=options)


def _far_ones_in_memory() -> int:
    return sum(1 for each in gc.get_objects() if type(each) is dramatiq.Message and each.actor_name == "far")
