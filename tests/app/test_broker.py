"""What somebody sees whose settings are wrong, by the command that imports the broker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "command",
    [
        ("-m", "dramatiq", "actors", "--processes", "1", "--threads", "1"),
        ("-c", "from periodiq import entrypoint; entrypoint()", "actors"),
        ("-m", "broker", "one-worker", "--threads", "1", "--drain-s", "1", "--grace-s", "1", "actors"),
    ],
    ids=["dramatiq", "periodiq", "ours"],
)
def test_wrong_settings_are_one_row_whichever_command_runs_the_actors(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """With the exit code of modules that cannot be loaded, so that no supervisor tries again; no traceback."""
    done = _run(tmp_path, *command)

    assert done.returncode == 2
    rows = [row for row in done.stderr.splitlines() if row.startswith("Error: ")]
    assert len(rows) == 1, done.stderr
    assert rows[0].startswith("Error: PRESSROOM_WORKER_THREADS: ")
    assert "Traceback" not in done.stderr


def test_a_program_that_imports_the_broker_can_catch_the_error(tmp_path: Path) -> None:
    """Importing ends no process that says nothing of Dramatiq's command line."""
    done = _run(
        tmp_path,
        "-c",
        "from app.settings import SettingsError\ntry: import app.broker\nexcept SettingsError: print('caught')",
    )

    assert (done.returncode, done.stdout) == (0, "caught\n")


def _run(home: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PRESSROOM_HOME": str(home), "PRESSROOM_WORKER_THREADS": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
