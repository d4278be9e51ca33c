"""How a worker process stops: what becomes of its jobs, and the exit code that tells."""

import os
import signal
import time

from tests.app.run.crash.worker_processes import PATIENCE_S, Stage


def test_a_running_job_may_end_while_what_waits_goes_to_others(stage: Stage) -> None:
    """After SIGTERM nothing begins; what was fetched goes back at once; the code is 0."""
    stopping = stage.start(threads=1)
    stage.send("gated")
    assert stage.reports(1) == {"gated started 0"}
    for number in (1, 2, 3):
        stage.send("quick", number)
    stage.wait_until(lambda: stage.waiting() <= 2)  # it has fetched the one that runs and at least one more

    stopping.terminate()

    stage.wait_until(lambda: any(beat["draining"] for beat in stage.beats().values()))
    stage.start()
    assert stage.reports(3) == {"quick1 done 0", "quick2 done 0", "quick3 done 0"}
    assert stopping.poll() is None
    stage.open_gate()
    assert stage.reports(1) == {"gated done 0"}
    assert stopping.wait(PATIENCE_S) == 0


def test_what_runs_on_is_interrupted_and_comes_back_without_using_a_retry(stage: Stage) -> None:
    """Within its function only, so it cleans up; another worker finishes it with all its attempts; the code is 0."""
    stopping = stage.start(WORKER_JOBS_DRAIN_S="0.2")
    stage.send("endless")
    assert stage.reports(1) == {"endless started 0"}

    stopping.terminate()

    assert stopping.wait(PATIENCE_S) == 0
    assert stage.reports(1) == {"endless cleaned up 0"}
    assert stage.held() == 0
    stage.start()
    assert stage.reports(1) == {"endless done 0"}


def test_what_cannot_be_interrupted_comes_back_without_using_a_retry_and_the_code_is_1(stage: Stage) -> None:
    """The process does not wait for C code, and its end says so."""
    stopping = stage.start(WORKER_JOBS_DRAIN_S="0.2")
    stage.send("deaf")
    assert stage.reports(1) == {"deaf started 0"}

    stopping.terminate()

    assert stopping.wait(PATIENCE_S) == 1
    assert stage.held() == 0
    assert "cannot be interrupted" in stage.log
    assert "did not stop cleanly: jobs were given up" in stage.log
    stage.start()
    assert stage.reports(1) == {"deaf done 0"}


def test_an_idle_worker_stops_at_once(stage: Stage) -> None:
    """In about a second or two, with code 0, and its heartbeat is gone."""
    stopping = stage.start()
    began_s = time.monotonic()

    stopping.terminate()

    assert stopping.wait(PATIENCE_S) == 0
    assert time.monotonic() - began_s < 5  # two on a machine with nothing else to do
    assert stage.beats() == {}


def test_a_signal_to_the_whole_group_is_one_request(stage: Stage) -> None:
    """A supervisor that signals a group reaches each worker process twice; its jobs may end all the same."""
    stopping = stage.start()
    stage.send("gated")
    assert stage.reports(1) == {"gated started 0"}

    # As a signal to the group, but surely one after the other: two that are pending at once are one already.
    (pid,) = stage.beats()
    os.kill(int(pid), signal.SIGTERM)
    stage.wait_until(lambda: any(beat["draining"] for beat in stage.beats().values()))
    os.kill(int(pid), signal.SIGTERM)
    stopping.terminate()
    stage.open_gate()
    assert stage.reports(1) == {"gated done 0"}
    assert stopping.wait(PATIENCE_S) == 0


def test_a_second_signal_ends_it_at_once_with_code_1(stage: Stage) -> None:
    """Whoever insists is obeyed; the message comes back with its dead worker's heartbeat."""
    stopping = stage.start()
    stage.send("gated")
    assert stage.reports(1) == {"gated started 0"}
    stopping.terminate()
    stage.wait_until(lambda: any(beat["draining"] for beat in stage.beats().values()))
    since_s = time.monotonic()
    stage.wait_until(lambda: time.monotonic() - since_s > 2.5)

    stopping.terminate()

    assert stopping.wait(PATIENCE_S) == 1
    assert "a second signal" in stage.log
    assert stage.held() == 1


def test_telemetry_that_cannot_be_written_holds_nothing_up(stage: Stage) -> None:
    """A store that hangs costs the process its clean end, not its end."""
    stopping = stage.start(WORKER_JOBS_HANG="1")
    stage.send("quick", 1)
    assert stage.reports(1) == {"quick1 done 0"}
    began_s = time.monotonic()

    stopping.terminate()

    assert stopping.wait(PATIENCE_S) == 1
    assert time.monotonic() - began_s < 10  # the store alone would take thirty
    assert "telemetry was not written within 1.0 s" in stage.log


def test_what_nobody_caught_is_reported_without_values_and_the_worker_goes_on(stage: Stage) -> None:
    """One line each, of a thread and of a finaliser, with class and fingerprint."""
    worker = stage.start()
    stage.send("careless")
    assert stage.reports(1) == {"careless done 0"}
    stage.send("quick", 1)
    assert stage.reports(1) == {"quick1 done 0"}

    assert '"error_class": "ZeroDivisionError"' in stage.log
    assert "careless-thread raised what nobody caught" in stage.log
    assert '"error_class": "LookupError"' in stage.log
    assert '"error_fingerprint": "' in stage.log
    assert "hunter2" not in stage.log
    assert worker.poll() is None
