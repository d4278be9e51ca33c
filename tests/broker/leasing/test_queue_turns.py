"""Queues that one worker serves take turns: a flood of one does not keep the threads from another."""

from queue import SimpleQueue
from threading import Semaphore

import dramatiq
import pytest

from broker import FairRedisBroker
from broker.leasing import prefetch
from tests.broker.conftest import Work

pytestmark = pytest.mark.slow

THREADS = 4
ROUNDS = 30
PATIENCE_S = 20


@pytest.mark.parametrize("org", ["acme", "globex"])
def test_a_job_of_a_calm_queue_waits_for_no_more_flooded_jobs_than_there_are_threads(
    fair: FairRedisBroker, work: Work, monkeypatch: pytest.MonkeyPatch, org: str
) -> None:
    """Counted from its arrival to its start, whoever sent it, where jobs are so long that nothing is fetched ahead."""
    monkeypatch.setattr(prefetch, "_FIRST_GUESS_MS", 400)  # the flood's jobs count as so long
    monkeypatch.setattr(prefetch, "_SMOOTHING", 0)
    starts: SimpleQueue[str] = SimpleQueue()
    may_end = Semaphore(0)

    @dramatiq.actor(broker=fair, queue_name="flooded")
    def flooded() -> None:
        starts.put("flooded")
        assert may_end.acquire(timeout=PATIENCE_S)

    @dramatiq.actor(broker=fair, queue_name="calm")
    def calm() -> None:
        starts.put("calm")

    total = ROUNDS * (THREADS + 2) * 2
    fair.send_many(flooded.message_with_options(org="acme") for _ in range(total))
    work(fair, threads=THREADS)
    calm.send_with_options(org=org)  # both queues are served when this one runs
    seen = [starts.get(timeout=PATIENCE_S) for _ in range(THREADS)]
    while "calm" not in seen:
        may_end.release()
        seen.append(starts.get(timeout=PATIENCE_S))
    running = THREADS - 1
    waited = []
    for _ in range(ROUNDS):
        while running < THREADS:
            assert starts.get(timeout=PATIENCE_S) == "flooded"
            running += 1
        calm.send_with_options(org=org)
        between = -1
        started = "flooded"
        while started == "flooded":
            may_end.release()
            started = starts.get(timeout=PATIENCE_S)
            between += 1
        running -= 1
        waited.append(between)
    for _ in range(total):
        may_end.release()

    assert max(waited) <= THREADS, waited
