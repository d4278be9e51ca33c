"""A worker that was frozen for so long that others took over cannot end what they have, nor send what follows on it."""

import signal

import dramatiq

from tests.broker.promises.scenario import Stage


def test_vanilla_sends_what_follows_twice(vanilla: Stage) -> None:
    """Its ack does nothing, but the next step that it enqueues is sent all the same: it runs twice."""
    assert _runs_of_the_second_step(vanilla) == 2


def test_ours_refuses_its_end_and_what_follows(ours: Stage) -> None:
    """The next step goes with the end of the first, and that is refused: it runs once."""
    assert _runs_of_the_second_step(ours) == 1


def _runs_of_the_second_step(stage: Stage) -> int:
    broker = stage.broker()
    frozen = stage.process()
    first = stage.message("gated", "piped")
    second = stage.message("quick")
    dramatiq.pipeline([first, second], broker=broker).run()  # type: ignore[no-untyped-call]
    assert stage.wait_for("began") == ("piped", frozen.pid)
    frozen.signal(signal.SIGSTOP)
    other = stage.process()
    assert stage.wait_for("began") == ("piped", other.pid)
    frozen.signal(signal.SIGCONT)

    stage.let_on(frozen.pid)
    assert stage.wait_for("ended") == ("piped", frozen.pid)
    # The other is busy, so that this one runs it, and has told the end of the first by then.
    broker.enqueue(stage.message("quick", "marker"))
    stage.wait_until(lambda: stage.unfinished() == 1)
    assert stage.held() == 1
    stage.let_on(other.pid)
    assert stage.wait_for("ended") == ("piped", other.pid)
    stage.await_finished()

    ran = [name for name, _ in stage.heard("ran")]
    assert ran.count("marker") == 1
    return ran.count("piped")
