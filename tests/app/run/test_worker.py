"""`python -m app worker`: what it looks at before it becomes one, and what it says."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.embedded import Servers
from app.run.probe import ready_folder
from app.run.worker import UnknownQueue, worker
from app.settings import SettingsError, load_settings
from tests.databases import Database

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.slow


class Became(Exception):
    """Stands for the process that is replaced: the test would be gone."""


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """Command line and environment of what the process became; one at most."""
    seen: list[tuple[list[str], dict[str, str]]] = []

    def execve(path: str, command: list[str], environment: dict[str, str]) -> None:
        seen.append((command, environment))
        raise Became

    monkeypatch.setattr(os, "execve", execve)
    return seen


@pytest.fixture
def healthy(servers: Servers, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a worker in production has: no owner's address."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database.worker_url)
    monkeypatch.setenv("REDIS_URL", servers.redis_url)
    monkeypatch.setenv("PRESSROOM_SECRET_KEYS", '["' + "k" * 32 + '"]')


@pytest.mark.usefixtures("healthy")
def test_with_everything_there_it_becomes_the_supervisor(
    monkeypatch: pytest.MonkeyPatch, became: list[Any]
) -> None:
    """So that signals and exit codes are its, and settings and command line say the same."""
    monkeypatch.setenv("PRESSROOM_WORKER_MAX_RSS_MB", "300")
    monkeypatch.setenv("PRESSROOM_WORKER_MAX_JOBS", "10000")

    with pytest.raises(Became):
        worker(processes=2, threads=3, queues=["exports"])

    ((command, environment),) = became
    assert command[1:4] == ["-m", "broker", "worker"]
    options = dict(zip(command[4:-4:2], command[5:-4:2], strict=True))
    assert options == {
        "--processes": "2",
        "--threads": "3",
        "--drain-s": "25.0",
        "--max-rss-mb": "300.0",
        "--max-jobs": "10000",
    }
    assert command[-4:] == ["--queues", "exports", "--", "actors"]
    assert (environment["PRESSROOM_WORKER_PROCESSES"], environment["PRESSROOM_WORKER_THREADS"]) == ("2", "3")


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("REDIS_URL", "redis://127.0.0.1:1", "Error: redis: "),
        ("DATABASE_URL", "postgresql://127.0.0.1:1/x", "Error: database: "),
        ("PRESSROOM_SECRET_KEYS", "[]", "Error: secret keys: 0 configured; set PRESSROOM_SECRET_KEYS"),
    ],
)
def test_each_fault_is_one_row_and_nothing_is_started(
    monkeypatch: pytest.MonkeyPatch,
    became: list[Any],
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    said: str,
) -> None:
    """With what to do about it, on standard error; the code is 1."""
    monkeypatch.setenv(variable, value)

    assert worker() == 1

    assert became == []
    lines = capsys.readouterr().err.splitlines()
    assert all(row.startswith("Error: ") for row in lines)
    assert any(row.startswith(said) for row in lines), lines


@pytest.mark.usefixtures("healthy")
def test_a_database_that_is_behind_is_refused_as_the_workers_own_role_sees_it(
    new_database: Callable[[], Database],
    monkeypatch: pytest.MonkeyPatch,
    became: list[Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The line names the revisions and the command that applies them."""
    monkeypatch.setenv("DATABASE_URL", new_database().worker_url)

    assert worker() == 1

    assert became == []
    assert "run `python -m app migrate`" in capsys.readouterr().err


@pytest.mark.usefixtures("healthy")
def test_a_queue_that_no_actor_has_is_an_error_of_the_command(became: list[Any]) -> None:
    """Its worker would wait for ever; the error lists what there is."""
    with pytest.raises(UnknownQueue, match=r"no queue exprots; there are: .*exports"):
        worker(queues=["exprots"])

    assert became == []


def test_an_environment_that_is_no_settings_is_refused_first(
    monkeypatch: pytest.MonkeyPatch, became: list[Any]
) -> None:
    """Before anything is connected to."""
    monkeypatch.setenv("PRESSROOM_WORKER_THREADS", "0")

    with pytest.raises(SettingsError, match="PRESSROOM_WORKER_THREADS"):
        worker()

    assert became == []


@pytest.mark.parametrize(
    "set_", [{}, {"PRESSROOM_HOME": "/srv/p"}, {"PRESSROOM_READY_DIR": "/run/p"}], ids=str
)
def test_the_probe_looks_where_workers_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, set_: dict[str, str]
) -> None:
    """It reads the variables itself, to be quick; both say the same."""
    monkeypatch.chdir(tmp_path)
    for name, value in set_.items():
        monkeypatch.setenv(name, value)

    assert ready_folder(os.environ) == load_settings().ready_folder


@pytest.mark.parametrize(
    ("set_", "said"),
    [
        ({"PRESSROOM_WORKER_THREADS": "0"}, "Error: PRESSROOM_WORKER_THREADS: "),
        ({}, "Error: DATABASE_URL, REDIS_URL not set and no `up` is running"),
    ],
    ids=["bad", "missing"],
)
def test_the_supervisor_gives_up_where_its_workers_can_never_start(
    tmp_path: Path, set_: dict[str, str], said: str
) -> None:
    """Started without our own look first: the worker says why in one line, and nobody tries again and again."""
    done = subprocess.run(
        [sys.executable, "-m", "broker", "worker", "actors"],
        cwd=ROOT,
        env={**os.environ, "PRESSROOM_HOME": str(tmp_path), **set_},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert [row for row in done.stderr.splitlines() if row.startswith(said)], done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.count('"worker_started"') == 1
