"""A message whose options have another shape than its broker writes hurts nobody but itself."""

import dramatiq
import pytest

from tests.broker.promises.scenario import Stage

#: It should be a class of exceptions, which JSON cannot say.
ODD = {"throws": "ValueError"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_vanilla_loses_the_thread(vanilla: Stage) -> None:
    """The thread that runs it ends for good; it is neither acknowledged nor dead, and what comes after it waits."""
    ran, worker = _ran(vanilla)
    vanilla.wait_until(lambda: not worker.workers[0].is_alive())

    assert ran == ["odd"]
    assert vanilla.held() >= 1


def test_ours_keeps_it_and_runs_the_others(ours: Stage) -> None:
    """It is a dead letter, whole, and never begins; everything else runs."""
    ran, _ = _ran(ours)
    ours.wait_until(lambda: ran == ["after"])
    (kept,) = ours.client.hvals(f"{ours.namespace}:{{0}}:xm:default")

    assert b'"throws":"ValueError"' in kept


def _ran(stage: Stage) -> tuple[list[str], dramatiq.Worker]:
    """The jobs that begin, of an odd one and one after it, and the worker that runs them."""
    broker = stage.broker()
    ran: list[str] = []

    @dramatiq.actor(broker=broker, max_retries=0)
    def note(name: str) -> None:
        ran.append(name)
        if name == "odd":
            raise ValueError(name)

    broker.enqueue(note.message("odd").copy(options=ODD))
    note.send("after")
    worker = stage.worker(broker, threads=1)
    stage.wait_until(lambda: len(ran) >= 1)
    return ran, worker
