"""What the broker is told about workers that died, and who is to blame."""

import json
import os
import signal

import pytest

from tests.broker.supervisor.supervised import Stage

pytestmark = pytest.mark.slow


def next_death(stage: Stage) -> list[object]:
    """Worker id, code, and whether it had been told to stop."""
    reported: list[object] = json.loads(stage.await_in("deaths"))
    return reported


def test_another_worker_reports_a_death(stage: Stage) -> None:
    """Long before the dead one's successor is there, which is waited for."""
    fleet = stage.command("--processes", "2", "--restart-delay-s", "600")
    first, _ = (fleet.wait_for("worker_ready")["pid"] for _ in range(2))

    os.kill(first, signal.SIGKILL)

    assert next_death(stage) == [f"worker-{first}", -9, False]


def test_its_successor_reports_where_nobody_else_is(stage: Stage) -> None:
    """Even an exit code of 0 is a death where nobody asked for an end."""
    fleet = stage.command("--restart-delay-s", "0.05")
    first = fleet.wait_for("worker_ready")["pid"]

    stage.send("leave", 0)

    assert next_death(stage) == [f"worker-{first}", 0, False]


def test_a_broker_that_is_away_is_reported_again(stage: Stage) -> None:
    """Until it has heard; the order stays."""
    fleet = stage.command("--restart-delay-s", "0.05")
    stage.client.rpush(f"{stage.space}:away", "yes")
    first = fleet.wait_for("worker_ready")["pid"]
    os.kill(first, signal.SIGKILL)

    assert next_death(stage) == [f"worker-{first}", -9, False]
    assert stage.client.llen(f"{stage.space}:away") == 0


def test_a_worker_that_an_operator_stopped_is_not_to_blame(stage: Stage) -> None:
    """It gave up a job, and says that it was told to end although its supervisor did not tell it."""
    fleet = stage.command("--processes", "2", "--drain-s", "0.2")
    for _ in range(2):
        fleet.wait_for("worker_ready")
    stage.send("wait", "endless")
    pid = stage.began()

    os.kill(pid, signal.SIGTERM)

    assert fleet.wait_for("worker_died")["code"] == 1
    assert next_death(stage) == [f"worker-{pid}", 1, True]


def test_a_worker_that_was_killed_at_the_end_of_its_drain_is_not_to_blame(stage: Stage) -> None:
    """It holds the interpreter's lock, and could not even say that it was told to end."""
    fleet = stage.host(threads=1, drain_s=0.2, grace_s=0.2)
    fleet.wait_for("worker_ready")
    stage.send("hold", "endless")
    pid = stage.began()

    fleet.signal(signal.SIGHUP)

    assert fleet.wait_for("worker_died", pid=pid)["signal"] == "SIGKILL"
    assert next_death(stage) == [f"worker-{pid}", -9, True]


def test_a_clean_end_is_no_death(stage: Stage) -> None:
    """Who handed everything back is not told of."""
    fleet = stage.command()
    first = fleet.wait_for("worker_ready")["pid"]

    fleet.signal(signal.SIGHUP)
    second = fleet.wait_for("worker_ready")["pid"]
    fleet.wait_for("worker_stopped", pid=first)
    os.kill(second, signal.SIGKILL)

    assert next_death(stage) == [f"worker-{second}", -9, False]
