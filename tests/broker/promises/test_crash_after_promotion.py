"""A worker killed between a delayed message's becoming due and its ack: the job runs again soon, once."""

from collections import Counter

from tests.broker.promises.scenario import Stage


def test_vanilla_runs_it_twice_more(vanilla: Stage) -> None:
    """The job runs twice more, at least: what is due is sent anew before the delayed message is ended."""
    # Which of its two acks the first one is depends on two of its threads.
    assert any(_runs_after_the_crash(vanilla) >= 2 for _ in range(3))


def test_ours_runs_it_once_more(ours: Stage) -> None:
    """The job runs once more, within `heartbeat_timeout`: what is due moves, by one script."""
    assert _runs_after_the_crash(ours) == 1


def _runs_after_the_crash(stage: Stage) -> int:
    broker = stage.broker()
    broker.enqueue(stage.message("quick", "job"), delay=50)
    doomed = stage.process(dies_at_ack=True)
    assert doomed.await_end() == -9
    assert stage.unfinished() > 0

    other = stage.process()
    stage.await_finished()
    other.close()

    return Counter(pid for _, pid in stage.heard("ran"))[other.pid]
