"""A worker is killed on a queue to which nothing else is sent: what it held comes back within `heartbeat_timeout`."""

import random

from dramatiq.brokers.redis import MAINTENANCE_SCALE, RedisBroker

from tests.broker.promises.scenario import Stage

TIMEOUT_MS = 1_000
#: More than an idle worker of Dramatiq asks in two minutes.
FETCHES = 300


def test_vanilla_leaves_it_to_chance(vanilla: Stage) -> None:
    """One command in 1,000, by chance, looks for dead workers: 300 fetches of another worker bring nothing."""
    _kill_a_busy_worker(vanilla)
    other = vanilla.broker(heartbeat_timeout_ms=TIMEOUT_MS, maintained=False)
    assert isinstance(other, RedisBroker)
    vanilla.wait_until(lambda: max(vanilla.beats_ms()) < vanilla.now_ms() - TIMEOUT_MS)
    random.seed(33)  # such a throw as any: the first 4,763 of it find nothing

    assert [other.do_fetch("default", 1) for _ in range(FETCHES)] == [[]] * FETCHES

    # Neither the message nor time was what was missing.
    other.maintenance_chance = MAINTENANCE_SCALE
    assert len(other.do_fetch("default", 1)) == 1


def test_ours_brings_it_back(ours: Stage) -> None:
    """Each beat and fetch of another worker looks after dead ones: it runs the job, with nothing sent meanwhile."""
    _kill_a_busy_worker(ours)
    other = ours.process(heartbeat_timeout_ms=TIMEOUT_MS)

    assert ours.wait_for("began") == ("job", other.pid)


def _kill_a_busy_worker(stage: Stage) -> None:
    doomed = stage.process(heartbeat_timeout_ms=TIMEOUT_MS)
    broker = stage.broker()
    broker.enqueue(stage.message("gated", "job"))
    assert stage.wait_for("began") == ("job", doomed.pid)
    doomed.kill()
    assert stage.held() == 1
