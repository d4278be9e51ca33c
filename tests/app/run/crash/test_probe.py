"""The probe on real worker processes: healthy, stuck, frozen, dead, draining, missing."""

import os
import signal

from tests.app.run.crash.worker_processes import Stage


def test_a_healthy_worker_passes_both_probes(stage: Stage) -> None:
    """Exit code 0, with and without a job in hand, which the heartbeat shows with its age and limit."""
    stage.start()
    stage.send("gated")
    assert stage.reports(1) == {"gated started 0"}
    stage.wait_until(lambda: any(beat["jobs"] for beat in stage.beats().values()))

    assert stage.probe("--liveness").returncode == stage.probe("--readiness").returncode == 0

    (beat,) = stage.beats().values()
    (job,) = beat["jobs"]
    assert (job["actor"], job["limit_s"], job["stuck"]) == ("gated", 600.0, False)
    assert 0 <= job["age_s"] < 60
    assert beat["threads"] == {"alive": 2, "expected": 2}


def test_a_job_over_its_time_in_c_code_fails_the_probe(stage: Stage) -> None:
    """The process lives and beats, and is no use: the reason names the job."""
    stage.start()
    stage.send("overdue")
    assert stage.reports(1) == {"overdue started 0"}
    stage.wait_until(lambda: any(beat["stuck"] for beat in stage.beats().values()))

    seen = stage.probe()

    assert seen.returncode == 1
    assert "of overdue is over its time and goes on" in seen.stdout


def test_a_frozen_process_fails_the_probe_and_passes_when_it_goes_on(stage: Stage) -> None:
    """By the age of its file: it cannot say anything itself."""
    stage.start()
    (pid,) = stage.beats()
    os.kill(int(pid), signal.SIGSTOP)
    stage.wait_until(lambda: stage.probe("--max-age-s", "0.5").returncode == 1)

    assert "frozen, or a job holds the interpreter's lock" in stage.probe("--max-age-s", "0.5").stdout
    assert stage.probe("--max-age-s", "600").returncode == 0

    os.kill(int(pid), signal.SIGCONT)
    stage.wait_until(lambda: stage.probe("--max-age-s", "0.5").returncode == 0)


def test_a_dead_process_fails_the_probe_until_the_next_worker_boots(stage: Stage) -> None:
    """Its file is left behind, and is not mistaken for it; the next to boot sweeps it away."""
    worker = stage.start()
    (pid,) = stage.beats()
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()

    seen = stage.probe()
    assert (seen.returncode, seen.stdout) == (1, f"worker process {pid} is dead\n")

    stage.ready.joinpath("1.json").write_text('{"pid": 1, "created": 1.0}')  # an id that is used again
    assert "worker process 1 is dead" in stage.probe().stdout
    stage.start()
    assert stage.probe().returncode == 0


def test_a_draining_worker_lives_and_is_not_ready(stage: Stage) -> None:
    """Killing it would cost what it still has in hand; sending to it would not help."""
    stopping = stage.start()
    stage.send("gated")
    assert stage.reports(1) == {"gated started 0"}
    stopping.terminate()
    stage.wait_until(lambda: any(beat["draining"] for beat in stage.beats().values()))

    assert stage.probe("--liveness").returncode == 0
    ready = stage.probe("--readiness")

    assert ready.returncode == 1
    assert "drains" in ready.stdout


def test_a_worker_that_never_came_is_missed(stage: Stage) -> None:
    """As many as are expected have to report."""
    assert "0 of 1 worker processes report" in stage.probe().stdout

    stage.start()

    assert stage.probe().returncode == 0
    assert "1 of 2 worker processes report" in stage.probe("--expect", "2").stdout
