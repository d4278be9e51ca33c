"""How a supervisor and its workers stop."""

import os
import signal

import pytest

from tests.broker.supervisor.supervised import Stage

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("number", "group"), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)]
)
def test_a_stop_lets_what_runs_end(stage: Stage, number: int, group: bool) -> None:
    """Exit code 0, whether the signal reached the supervisor alone or, as from a terminal, the workers too."""
    fleet = stage.command("--threads", "1")
    fleet.wait_for("worker_ready")
    stage.send("wait", "last")
    stage.began()

    fleet.signal(number, group=group)
    fleet.wait_for("status", state="stopping", draining=1)
    stage.open_gate("last")

    assert fleet.code() == 0
    assert stage.await_in("ended") == "last"


def test_a_stop_while_workers_boot_is_clean(stage: Stage) -> None:
    """They have nothing in hand yet."""
    fleet = stage.command()
    fleet.wait_for("worker_started")

    fleet.signal(signal.SIGTERM)

    assert fleet.code() == 0


def test_a_job_that_does_not_end_makes_the_stop_unclean(stage: Stage) -> None:
    """Its worker gives it up after `drain_s` and says so by its code."""
    fleet = stage.command("--drain-s", "0.2")
    fleet.wait_for("worker_ready")
    stage.send("wait", "endless")
    stage.began()

    fleet.signal(signal.SIGTERM)

    assert fleet.wait_for("worker_died")["code"] == 1
    assert fleet.code() == 1


def test_a_worker_that_cannot_end_is_killed(stage: Stage) -> None:
    """A job holds the interpreter's lock, so that the process itself cannot act: it is killed, and the code is 1."""
    fleet = stage.host(threads=1, drain_s=0.2, grace_s=0.2)
    fleet.wait_for("worker_ready")
    stage.send("hold", "endless")
    stage.began()

    fleet.signal(signal.SIGTERM)

    fleet.wait_for("worker_killed")
    assert fleet.wait_for("worker_died")["signal"] == "SIGKILL"
    assert fleet.code() == 1


def test_a_later_second_signal_means_at_once(stage: Stage) -> None:
    """An operator need not wait for the drain."""
    fleet = stage.command("--drain-s", "600")
    fleet.wait_for("worker_ready")
    stage.send("wait", "endless")
    stage.began()

    def ended() -> bool:
        if not fleet.ended():
            fleet.signal(signal.SIGTERM)
        return fleet.ended()

    stage.wait_until(ended)

    assert fleet.code() == 1


def test_an_end_with_code_79_while_stopping_is_handed_on(stage: Stage) -> None:
    """Whoever supervises the supervisor may tell a stuck job from a killed one."""
    fleet = stage.command("--threads", "2")
    fleet.wait_for("worker_ready")
    stage.send("wait", "before")
    stage.began()
    fleet.signal(signal.SIGTERM)
    fleet.wait_for("status", state="stopping", draining=1)
    # The worker fetches nothing more; its code comes from the job that is under way.
    stage.client.rpush(f"{stage.space}:gate:before", "exit 79")

    assert fleet.code() == 79


def test_only_one_worker_is_reported_by_a_signal_to_it_only(stage: Stage) -> None:
    """A worker that an operator stops by hand ends cleanly, and another takes its place."""
    fleet = stage.command("--restart-delay-s", "0.05")
    first = fleet.wait_for("worker_ready")["pid"]

    os.kill(first, signal.SIGTERM)

    assert fleet.wait_for("worker_died", pid=first)["code"] == 0
    assert fleet.wait_for("worker_ready")["pid"] != first
