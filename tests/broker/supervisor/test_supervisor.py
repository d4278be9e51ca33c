"""Workers that die, one by one, and the supervisor that outlives them."""

import os
import signal
from pathlib import Path

import pytest

from broker.supervisor.options import SupervisorOptions
from broker.supervisor.slots import Backoff
from tests.broker.supervisor.supervised import Stage, is_alive

pytestmark = pytest.mark.slow


def test_a_worker_that_is_killed_is_started_again_and_the_others_go_on(stage: Stage) -> None:
    """A job in another process is not disturbed, and the death is reported with its signal and worker id."""
    fleet = stage.command("--processes", "2", "--threads", "1", "--restart-delay-s", "0.05")
    ready = [fleet.wait_for("worker_ready")["pid"] for _ in range(2)]
    stage.send("wait", "long")
    busy = stage.began()
    (idle,) = {*ready} - {busy}

    os.kill(idle, signal.SIGKILL)
    died = fleet.wait_for("worker_died")
    again = fleet.wait_for("worker_ready")

    assert (died["pid"], died["signal"], died["code"]) == (idle, "SIGKILL", None)
    assert died["worker_id"] == f"worker-{idle}"
    assert again["slot"] == died["slot"]
    stage.open_gate("long")
    assert stage.await_in("ended") == "long"
    assert is_alive(busy)


def test_a_death_is_handed_to_the_broker_even_if_that_fails(stage: Stage) -> None:
    """`on_death` gets process, worker id and code; what it raises stops nothing; code 79 means a stuck job."""
    fleet = stage.host()
    first = fleet.wait_for("worker_ready")
    stage.send("leave", 79)

    reported = fleet.wait_for("on_death")
    fleet.wait_for("worker_ready")

    assert (reported["pid"], reported["worker_id"], reported["code"]) == (
        first["pid"],
        f"worker-{first['pid']}",
        79,
    )
    assert [each["code"] for each in fleet.heard if each["event"] == "worker_died"] == [79]


def test_a_worker_that_always_dies_is_started_ever_more_seldom(stage: Stage, tmp_path: Path) -> None:
    """Each fast death doubles the wait."""
    (tmp_path / "fragile.py").write_text("import sys\nsys.exit(5)\n")
    fleet = stage.host(module="fragile", folder=tmp_path)

    waits = [fleet.wait_for("worker_died")["restart_in_s"] for _ in range(4)]

    assert waits == [0.05, 0.1, 0.2, 0.4]


def test_a_worker_that_hangs_while_it_boots_is_killed(stage: Stage, tmp_path: Path) -> None:
    """And started again like any other."""
    (tmp_path / "hanging.py").write_text("import threading\nthreading.Event().wait()\n")
    fleet = stage.host(module="hanging", folder=tmp_path, boot_timeout_s=1)

    assert fleet.wait_for("worker_died")["signal"] == "SIGKILL"
    fleet.wait_for("worker_started")


def test_modules_that_cannot_be_loaded_end_it_at_the_start(stage: Stage) -> None:
    """A mistyped name is no reason to try for ever."""
    fleet = stage.command(module="no_such_module")

    assert fleet.code() == 2


def test_workers_end_when_their_supervisor_was_killed(stage: Stage) -> None:
    """They drain: what runs ends, and nothing is left behind."""
    fleet = stage.command("--processes", "2", "--threads", "1")
    pids = [fleet.wait_for("worker_ready")["pid"] for _ in range(2)]
    stage.send("wait", "last")
    stage.began()

    fleet.signal(signal.SIGKILL)
    stage.open_gate("last")

    assert stage.await_in("ended") == "last"
    for pid in pids:
        stage.await_gone(pid)


def test_a_worker_that_works_on_any_broker(stage: Stage, tmp_path: Path) -> None:
    """The supervisor asks nothing of the broker; this one is in memory."""
    (tmp_path / "in_memory.py").write_text(
        "from dramatiq.brokers.stub import StubBroker\nmine = StubBroker(middleware=[])\n"
    )
    fleet = stage.host(module="in_memory:mine", folder=tmp_path)
    assert fleet.wait_for("worker_ready")["worker_id"] is None

    fleet.signal(signal.SIGTERM)

    assert fleet.code() == 0


def test_waits_double_up_to_a_bound_and_begin_anew_after_a_good_run() -> None:
    """A worker that ran well is started again at once."""
    backoff = Backoff(first_s=1, ran_well_s=60)

    assert [backoff.after(2) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [backoff.after(60), backoff.after(2)] == [0, 1]


@pytest.mark.parametrize("name", ["processes", "threads", "max_rss_mb", "max_jobs", "restart_delay_s"])
def test_numbers_that_mean_nothing_are_refused(name: str) -> None:
    """Before any process is started."""
    with pytest.raises(ValueError, match=f"{name} must be more than 0, not 0"):
        SupervisorOptions(modules=("jobs",), **{name: 0})  # type: ignore[arg-type]
