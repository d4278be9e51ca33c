"""`pressroom` and `python -m app` as they are started, from a checkout and by a Python that lacks what they need."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from middleware import __version__

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
#: As it is installed beside this Python.
PRESSROOM = Path(sys.executable).parent / "pressroom"


def run(*command: object, cwd: Path = ROOT, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end."""
    return subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_in_a_checkout_it_has_the_platforms_commands(tmp_path: Path) -> None:
    """Wherever it is called from, by its own name."""
    version = run(PRESSROOM, "--version", cwd=tmp_path)
    jobs = run(PRESSROOM, "jobs", "--help", cwd=tmp_path)
    probe = run(PRESSROOM, "probe", "--help", cwd=tmp_path)

    assert (version.returncode, version.stdout) == (0, f"pressroom {__version__}\n")
    assert (jobs.returncode, probe.returncode) == (0, 0), (jobs, probe)
    assert "Usage: pressroom jobs" in jobs.stdout


def test_an_error_is_exit_code_1(tmp_path: Path) -> None:
    """With one line, as of `python -m app`."""
    failed = run(PRESSROOM, "jobs", "list", "--org", "7c9e6679-7425-40de-944b-e07fc1f90ae7", cwd=tmp_path)

    assert (failed.returncode, failed.stderr.count("\n")) == (1, 1), failed
    assert failed.stderr.startswith("Error: no database")


def test_a_shell_completes_its_commands() -> None:
    """By typer's own means."""
    completed = run(
        PRESSROOM,
        _PRESSROOM_COMPLETE="complete_bash",
        COMP_WORDS="pressroom sched",
        COMP_CWORD="1",
    )

    assert completed.stdout.split() == ["schedules"], completed


def test_a_python_without_the_packages_is_given_the_right_command() -> None:
    """One line and exit code 2; no traceback."""
    wrong = run(sys.executable, "-S", "-m", "app", "jobs", "list")

    assert (wrong.returncode, wrong.stdout) == (2, "")
    (printed,) = wrong.stderr.splitlines()
    assert f"not installed for {sys.executable}" in printed
    assert "`.venv/bin/python -m app jobs list`" in printed


def test_a_fault_of_our_own_is_not_taken_for_a_missing_package(tmp_path: Path) -> None:
    """A module of ours that is not there is a traceback."""
    code = "import sys; sys.modules['app.cli.root'] = None; import app.__main__; app.__main__.main()"

    broken = run(sys.executable, "-c", code)

    assert "Traceback" in broken.stderr
