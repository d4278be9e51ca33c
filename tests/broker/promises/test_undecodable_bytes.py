"""Bytes that are no message, among those that are fetched together, strand none of the others."""

import dramatiq
import pytest

from tests.broker.promises.brokers import store_key
from tests.broker.promises.scenario import Stage

BAD = b"\xff{"
#: The bad one is the second of what Dramatiq's broker fetches together with two threads.
GOOD = ["a", "bad", "b", "c"]


def test_vanilla_strands_what_was_fetched_along(vanilla: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its consumer starts anew and forgets what it had fetched: two good messages wait until the process has ended."""
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.05)
    ran = _ran(vanilla)

    # Nobody has them in memory, and no other process may take them while this one lives.
    assert ran == ["a", "later"]
    assert vanilla.held() == 3


def test_ours_runs_the_others(ours: Stage) -> None:
    """It is dead, its bytes are kept, and everything else runs."""
    assert sorted(_ran(ours)) == ["a", "b", "c", "later"]
    (kept,) = ours.client.hvals(f"{ours.namespace}:{{0}}:xm:default")
    assert kept.endswith(BAD)


def _ran(stage: Stage) -> list[str]:
    """The jobs that run, up to and with one that was sent when the others had been fetched."""
    broker = stage.broker()
    ran: list[str] = []
    actor = dramatiq.actor(broker=broker, actor_name="note")(ran.append)
    for name in GOOD:
        actor.send(name)
    _spoil(stage)
    stage.worker(broker, threads=2)
    stage.wait_until(lambda: len(ran) >= 1)
    actor.send("later")
    stage.wait_until(lambda: "later" in ran)
    stage.wait_until(lambda: stage.held() == stage.unfinished())
    return ran


def _spoil(stage: Stage) -> None:
    key = store_key(stage.kind, stage.namespace)
    for field, stored in stage.client.hgetall(key).items():
        if b'"bad"' in stored:
            head, _, _ = stored.rpartition(b'{"queue_name')
            stage.client.hset(key, field, head + BAD)
