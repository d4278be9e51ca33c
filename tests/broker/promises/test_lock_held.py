"""A job that holds the interpreter's lock in C code for three heartbeat time-outs runs once."""

from tests.broker.promises.scenario import Stage

TIMEOUT_MS = 2_000


def test_vanilla_runs_it_again(vanilla: Stage) -> None:
    """Beats come from threads that need the lock: the worker is taken for dead, and another runs the job as well."""
    assert _others_that_began_it(vanilla) == 1


def test_ours_runs_it_once(ours: Stage) -> None:
    """A small process beats for the worker: nobody else begins the job, and its end counts."""
    assert _others_that_began_it(ours) == 0


def _others_that_began_it(stage: Stage) -> int:
    stage.broker().enqueue(stage.message("holding", "job"))
    holding = stage.process(heartbeat_timeout_ms=TIMEOUT_MS)
    assert stage.wait_for("began") == ("job", holding.pid)
    until_ms = stage.now_ms() + 3 * TIMEOUT_MS
    stage.process(heartbeat_timeout_ms=TIMEOUT_MS)

    # The other one beats by then, and would take the job over; Dramatiq's broker is alone with that.
    sender = {"vanilla": 1, "ours": 2}[stage.kind]
    stage.wait_until(lambda: sum(beat_ms > until_ms for beat_ms in stage.beats_ms()) >= sender)
    holding.let_read()
    stage.await_finished()

    return len(stage.heard("began"))
