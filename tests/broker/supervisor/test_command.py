"""The command line, and what health checks read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.broker.supervisor.supervised import ROOT, Stage

pytestmark = pytest.mark.slow


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    """The command, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "broker", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_teaches() -> None:
    """Signals, exit codes, what is on standard output, and examples."""
    shown = run("worker", "--help")

    assert shown.returncode == 0
    for word in ("HUP", "79", "worker_died", "--max-rss-mb", "--status-file", "examples:"):
        assert word in shown.stdout


@pytest.mark.parametrize("words", [[], ["worker"], ["worker", "jobs", "--processes", "0"]])
def test_a_wrong_command_says_what_is_wrong(words: list[str]) -> None:
    """Exit code 2, and one line that names it."""
    shown = run(*words)

    assert shown.returncode == 2
    assert "error: " in shown.stderr


def test_the_status_file_says_how_the_workers_are(stage: Stage, tmp_path: Path) -> None:
    """Whole at any time, and the same as the line on standard output."""
    path = tmp_path / "status.json"
    fleet = stage.command("--processes", "2", "--status-file", str(path))
    said = fleet.wait_for("status", ready=2)

    stage.wait_until(lambda: json.loads(path.read_text())["ready"] == 2)
    status = json.loads(path.read_text())

    assert status.items() <= said.items()
    assert status["state"] == "running"
    assert (status["processes"], status["starting"], status["waiting"], status["restarts"]) == (2, 0, 0, 0)


def test_only_the_named_queues_are_worked(stage: Stage) -> None:
    """`--queues` as Dramatiq has it."""
    fleet = stage.command("--queues", "other")
    fleet.wait_for("worker_ready")
    stage.send("work", "default")

    again = stage.command("--queues", "other", "default")
    ready = again.wait_for("worker_ready")["pid"]

    assert stage.began() == ready
