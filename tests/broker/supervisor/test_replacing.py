"""Workers that are replaced while they are well: for their memory, their age in jobs, or new code."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.broker.supervisor.supervised import Stage, Supervised, is_alive

pytestmark = pytest.mark.slow


def order(fleet: Supervised) -> list[tuple[str, int]]:
    """Which workers became ready and stopped, in which order."""
    events: list[dict[str, Any]] = fleet.heard
    return [
        (each["event"], each["pid"]) for each in events if each["event"] in ("worker_ready", "worker_stopped")
    ]


def ready_counts(fleet: Supervised) -> list[int]:
    """How many workers took jobs, at each report of it since the first was ready."""
    counts = [each["ready"] for each in fleet.heard if each["event"] == "status"]
    return counts[next(n for n, count in enumerate(counts) if count) :]


def test_a_worker_that_ran_its_share_is_replaced_without_a_gap(stage: Stage) -> None:
    """Its successor is ready before it is told to stop, and every job runs."""
    fleet = stage.command("--max-jobs", "3", "--threads", "1")
    first = fleet.wait_for("worker_ready")["pid"]
    for number in range(3):
        stage.send("work", str(number))

    assert fleet.wait_for("worker_worn")["why"] == "it ran 3 jobs"
    fleet.wait_for("worker_stopped", pid=first)

    assert {stage.await_in("ended") for _ in range(3)} == {"0", "1", "2"}
    second = order(fleet)[1][1]
    assert order(fleet) == [("worker_ready", first), ("worker_ready", second), ("worker_stopped", first)]
    assert min(ready_counts(fleet)) == 1
    stage.send("work", "after")
    assert [stage.began() for _ in range(4)] == [first] * 3 + [second]


def test_a_worker_that_grew_is_replaced(stage: Stage) -> None:
    """By what it grew since it had booted; what it is needs no limit."""
    fleet = stage.command("--max-rss-mb", "30")
    first = fleet.wait_for("worker_ready")["pid"]
    stage.send("grow", 10)
    assert stage.await_in("ended") == "grow"
    stage.send("grow", 90)

    recycled = fleet.wait_for("worker_worn")
    assert recycled["pid"] == first
    assert int(recycled["why"].removeprefix("it grew by ").removesuffix(" MB")) >= 90
    fleet.wait_for("worker_stopped", pid=first)


def test_a_hang_up_replaces_all_one_by_one(stage: Stage) -> None:
    """Never are fewer ready than were asked for."""
    fleet = stage.command("--processes", "2")
    old = [fleet.wait_for("worker_ready")["pid"] for _ in range(2)]

    fleet.signal(signal.SIGHUP)
    for _ in range(2):
        fleet.wait_for("worker_stopped")

    events = order(fleet)[2:]
    assert [event for event, _ in events] == ["worker_ready", "worker_stopped"] * 2
    assert {pid for event, pid in events if event == "worker_stopped"} == {*old}
    assert min(counts := ready_counts(fleet)[ready_counts(fleet).index(2) :]) == 2, counts


def test_a_roll_onto_code_that_does_not_load_leaves_the_old_workers_at_work(
    stage: Stage, tmp_path: Path
) -> None:
    """The successor is tried again and again; when the code is mended the roll goes on."""
    code = tmp_path / "rolled.py"
    code.write_text("from tests.broker.supervisor.jobs import *\n")
    fleet = stage.host(module="rolled", folder=tmp_path)
    old = fleet.wait_for("worker_ready")["pid"]
    code.write_text("this is no Python\n")

    fleet.signal(signal.SIGHUP)
    for _ in range(2):
        assert fleet.wait_for("worker_died")["code"] == 2
    stage.send("work", "meanwhile")
    assert stage.began() == old
    assert is_alive(old)
    assert {*ready_counts(fleet)} == {1}

    code.write_text("from tests.broker.supervisor.jobs import *\n")
    fleet.wait_for("worker_stopped", pid=old)


def test_a_successor_serves_when_its_predecessor_dies_meanwhile(stage: Stage, tmp_path: Path) -> None:
    """The slot is not empty, and a stop still ends both cleanly."""
    (tmp_path / "slow.py").write_text(
        "from tests.broker.supervisor.jobs import *\n"
        "client.rpush(f'{SPACE}:booting', os.getpid())\n"
        "client.blpop([f'{SPACE}:boot'])\n"
    )
    fleet = stage.host(module="slow", folder=tmp_path)
    stage.client.rpush(f"{stage.space}:boot", "go")
    first = fleet.wait_for("worker_ready")["pid"]
    assert int(stage.await_in("booting")) == first
    fleet.signal(signal.SIGHUP)
    successor = int(stage.await_in("booting"))

    stage.send("leave", 5)
    fleet.wait_for("worker_died", pid=first)
    stage.client.rpush(f"{stage.space}:boot", "go")

    assert fleet.wait_for("worker_ready")["pid"] == successor
    fleet.signal(signal.SIGTERM)
    assert fleet.code() == 0
    assert [each["pid"] for each in fleet.rest() if each["event"] == "worker_started"] == [first, successor]
