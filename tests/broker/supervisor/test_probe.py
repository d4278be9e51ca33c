"""The process that runs alone what may have killed others: when there is one, and that it disturbs nobody."""

import json
import os
import signal

import pytest
from dramatiq import Message
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker

from broker.supervisor.options import SupervisorOptions
from broker.supervisor.probe import IDLE_S, IsolatedRunTracker
from tests.broker.supervisor.supervised import Stage, Supervised

pytestmark = pytest.mark.slow


def started(fleet: Supervised) -> int:
    """How many probes there ever were."""
    return sum(each["event"] == "probe_started" for each in fleet.heard)


def reported(stage: Stage, queue: str) -> list[object]:
    """What the next process that takes a message from there knows: its id, whether it probes, whether others do."""
    stage.send("tell", queue=queue)
    facts: list[object] = json.loads(stage.await_in("told"))
    return facts


def probe(stage: Stage, fleet: Supervised) -> int:
    """Have suspects announced; the probe's process id, when it is ready."""
    stage.send("suspect")
    return int(fleet.wait_for("probe_ready")["pid"])


def test_there_is_a_probe_while_suspects_wait(stage: Stage) -> None:
    """One, however often they are announced; it alone takes them, ends when none is left, and comes back."""
    fleet = stage.command("--processes", "2", "--threads", "1", "--max-jobs", "1000")
    workers = {fleet.wait_for("worker_ready")["pid"] for _ in range(2)}
    first = probe(stage, fleet)
    stage.send("suspect")
    stage.send("suspect")

    assert reported(stage, "suspects") == [first, True, False]
    worker, *knows = reported(stage, "default")
    assert worker in workers
    assert knows == [False, True]
    assert fleet.wait_for("probe_ended")["pid"] == first
    fleet.wait_for("status", probing=False, ready=2, restarts=0)
    assert started(fleet) == 1

    assert probe(stage, fleet) not in {first, *workers}


@pytest.mark.parametrize("code", [0, 5])
def test_a_probe_that_its_job_ended_is_started_again_at_once(stage: Stage, code: int) -> None:
    """Any exit code in the middle of a job is a death; no worker is waited for longer because of it."""
    fleet = stage.command("--threads", "1", "--restart-delay-s", "30")
    worker = fleet.wait_for("worker_ready")["pid"]
    for _ in range(2):
        pid = probe(stage, fleet) if not started(fleet) else fleet.wait_for("probe_ready")["pid"]
        stage.send("leave", code, queue="suspects")
        died = fleet.wait_for("probe_died")
        assert (died["pid"], died["code"], died["signal"]) == (pid, code, None)
        assert died["restart_in_s"] == 0
        assert json.loads(stage.await_in("deaths")) == [f"worker-{pid}", code, False]

    assert reported(stage, "default")[0] == worker
    assert fleet.wait_for("probe_ended")["signal"] is None
    fleet.wait_for("status", probing=False, restarts=0)


def test_a_probe_that_dies_idle_is_waited_for(stage: Stage) -> None:
    """What dies without having begun anything must not be started again and again at full speed."""
    fleet = stage.command("--restart-delay-s", "0.05")
    fleet.wait_for("worker_ready")
    os.kill(probe(stage, fleet), signal.SIGKILL)

    died = fleet.wait_for("probe_died")

    assert (died["signal"], died["slot"], died["restart_in_s"]) == ("SIGKILL", None, 0.05)
    fleet.wait_for("probe_ready")


def test_a_hang_up_replaces_the_probe_too(stage: Stage) -> None:
    """It is to run the new code as well; what it has in hand ends first."""
    fleet = stage.command("--threads", "1")
    fleet.wait_for("worker_ready")
    old = probe(stage, fleet)
    stage.send("wait", "long", queue="suspects")
    assert stage.began() == old

    fleet.signal(signal.SIGHUP)
    fleet.wait_for("rolling")
    stage.open_gate("long")

    assert fleet.wait_for("probe_stopped")["pid"] == old
    assert fleet.wait_for("probe_ready")["pid"] != old
    assert stage.await_in("ended") == "long"


def test_a_stop_drains_the_probe_too(stage: Stage) -> None:
    """What it runs ends; exit code 0, and no other probe is started."""
    fleet = stage.command("--threads", "1")
    fleet.wait_for("worker_ready")
    pid = probe(stage, fleet)
    stage.send("wait", "last", queue="suspects")
    assert stage.began() == pid

    fleet.signal(signal.SIGTERM)
    fleet.wait_for("stopping")
    stage.open_gate("last")

    assert fleet.code() == 0
    assert stage.await_in("ended") == "last"
    fleet.rest()
    assert started(fleet) == 1


def test_a_probe_ends_some_time_after_its_last_job_ended() -> None:
    """However long that ran; what was skipped counts as run."""
    broker = StubBroker(middleware=[])
    isolated, proxy = IsolatedRunTracker(lambda: now_s), MessageProxy(Message("default", "work", (), {}, {}))
    now_s = 0.0
    steps = [(20.0, isolated.after_process_message), (21.5, isolated.after_skip_message)]
    isolated.before_process_message(broker, proxy)

    def look(timeout_s: float) -> bool:
        nonlocal now_s
        now_s += timeout_s
        if steps and now_s >= steps[0][0]:
            steps.pop(0)[1](broker, proxy)
        return False

    assert isolated.ran_out(look)
    assert 21.5 + IDLE_S <= now_s < 22 + IDLE_S


def test_a_probe_has_one_thread_and_no_share_of_jobs() -> None:
    """Whatever the others have."""
    fleet = SupervisorOptions(modules=("jobs",), threads=8, max_jobs=9)

    words = fleet.worker_arguments(probe=True)

    assert words[words.index("--threads") + 1] == "1"
    assert "--max-jobs" not in words


def test_a_probe_that_is_asked_to_stop_has_not_run_out() -> None:
    """Its supervisor must not take it for the end of all suspects."""
    assert not IsolatedRunTracker().ran_out(lambda _: True)
