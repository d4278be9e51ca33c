"""A clock that is ten minutes off, by a step or on one machine: no job runs twice, and nobody is taken for dead."""

import dramatiq
import pytest
from dramatiq.common import current_millis

from tests.broker.promises.brokers import QUEUE
from tests.broker.promises.scenario import Stage

OFF_MS = 600_000


def test_vanilla_has_it_run_twice(vanilla: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes by the clocks of its workers: one that is ahead takes all others for dead, and runs what they run."""
    holder = _holding(vanilla)
    monkeypatch.setattr("dramatiq.brokers.redis.current_millis", lambda: current_millis() + OFF_MS)

    assert _second_one_has(vanilla) == holder


def test_ours_leaves_it_where_it_is(ours: Stage) -> None:
    """It goes by the server's clock alone; one that is put back takes nobody for dead, and stops nothing either."""
    _holding(ours)
    base = f"{ours.namespace}:{{0}}"
    # What was written before a step back is ahead of the clock after it.
    ours.client.set(f"{base}:heard", ours.now_ms() + OFF_MS)
    [worker_id] = ours.client.zrange(f"{base}:workers", 0, -1)
    ours.client.zadd(f"{base}:workers", {worker_id: ours.now_ms() + OFF_MS})

    assert _second_one_has(ours) is None
    assert ours.held() == 1


def _holding(stage: Stage) -> str:
    broker = stage.broker()
    sent = dramatiq.actor(broker=broker, actor_name="job")(lambda: None).send()
    message = next(broker.consume(QUEUE, timeout=5_000))
    assert message is not None
    assert message.message_id == sent.message_id
    return str(sent.message_id)


def _second_one_has(stage: Stage) -> str | None:
    consumer = stage.broker().consume(QUEUE, timeout=1_000)
    message = next(consumer) or next(consumer)
    return None if message is None else message.message_id
