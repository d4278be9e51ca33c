"""`python -m app up`, and what finds it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from app.embedded import process
from tests.e2e.platform import ROOT, app, environment, finish, run_file, running_up, shell, start, wait_for
from tests.folders import open_folder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """The home of a platform that is up."""
    with open_folder() as folder, running_up(folder):
        yield folder


def test_doctor_finds_nothing_broken(home: Path) -> None:
    """Its exit code is 0, and every check was made."""
    run = app(home, "doctor")

    assert run.code == 0, run.output
    assert "broken" not in run.output
    for check in ("database role", "migrations", "database clock", "redis memory policy", "redis clock"):
        assert check in run.output


def test_a_plain_shell_sends_and_the_worker_does_it(home: Path) -> None:
    """`from actors import ...; ....send(...)` needs nothing but the running platform."""
    run = shell(
        home,
        """
import time
from uuid import UUID, uuid4
from actors import domain_export
from domain.domain_export import DomainExport
from middleware import ProgressReader
from middleware.progress.redis import RedisProgressStore
from app.bootstrap.redis import NAMESPACE, redis_client
from app.settings import load_settings

sent = domain_export.send(DomainExport(org_id=uuid4(), domain_id=uuid4(), format="csv"))
with redis_client(load_settings()) as client:
    board = ProgressReader(RedisProgressStore(client, prefix=NAMESPACE))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        line = board.read(sent.message_id)
        if line and line.state == "failed":
            print(line.actor, line.state, line.category)
            break
domain_export.broker.client.close()
""",
    )

    assert run.code == 0, run.output
    assert "domain_export failed validation" in run.output, run.output


def test_dramatiqs_own_command_works_beside_it(home: Path) -> None:
    """`dramatiq actors` finds the broker, boots and stops cleanly."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "dramatiq", "actors", "--processes", "1", "--threads", "1"],
        cwd=ROOT,
        env=environment(home),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert worker.stderr is not None
    for row in worker.stderr:
        if "Worker process is ready for action" in row:
            break
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)

    assert worker.returncode == 0


def test_a_worker_of_its_own_is_probed_and_stops_cleanly(home: Path) -> None:
    """`python -m app worker` finds the platform, beats, and ends with 0; its heartbeat goes with it."""
    before = len(list((home / "ready").glob("*.json")))
    assert app(home, "probe").code == 0
    worker = start(home, "worker", "--processes", "2", "--threads", "1", "--queues", "exports")
    assert worker.stdout is not None
    ready = 0
    for row in worker.stdout:
        ready += '"event": "worker_ready"' in row
        if ready == 2:
            break

    probed = app(home, "probe", "--readiness", "--expect", str(before + 2), "--json")
    worker.send_signal(signal.SIGTERM)
    ended = finish(worker)

    assert probed.code == 0, probed.output
    assert json.loads(probed.output)["ok"] is True
    assert ended.code == 0, ended.output
    assert len(list((home / "ready").glob("*.json"))) == before


def test_send_takes_json_and_refuses_what_does_not_fit(home: Path) -> None:
    """The command line says the field and the reason, or the name that was meant."""
    payload = f'{{"org_id": "{uuid4()}", "domain_id": "{uuid4()}", "format": "csv"}}'

    sent = app(home, "send", "domain_export", payload)
    unknown_field = app(home, "send", "domain_export", payload[:-1] + ', "fromat": "csv"}')
    scheduled = app(home, "send", "content_scheduler")
    leaked = app(home, "send", "content_scheduler", payload)
    unknown_actor = app(home, "send", "domain_exprt", payload)
    not_json = app(home, "send", "domain_export", "{")

    assert sent.code == 0, sent.output
    assert "on queue exports" in sent.output
    assert (unknown_field.code, unknown_actor.code, not_json.code) == (1, 1, 1)
    assert "fromat: Extra inputs are not permitted" in unknown_field.output
    assert "did you mean domain_export?" in unknown_actor.output
    assert "not JSON" in not_json.output
    assert (scheduled.code, leaked.code) == (0, 1), scheduled.output
    assert "takes no payload" in leaked.output


def test_the_file_with_the_addresses_is_closed_to_others(home: Path) -> None:
    """It holds the key that signs links."""
    assert (home / "run.json").stat().st_mode & 0o077 == 0
    assert run_file(home)["secret_keys"]


def test_a_second_platform_in_one_home_is_refused(home: Path) -> None:
    """Two would work each other's jobs."""
    run = app(home, "up")

    assert run.code == 1
    assert "is running already; stop it first" in run.output


@pytest.mark.parametrize("request_", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_stop_it_cleanly(folder: Path, request_: signal.Signals) -> None:
    """Exit code 0, and neither servers nor workers nor the file with the addresses are left."""
    with running_up(folder) as up:
        os.killpg(up.pid, request_)
        ended = finish(up)

    assert ended.code == 0, ended.output
    assert not (folder / "run.json").exists()
    assert list((folder / "children").iterdir()) == []
    assert [folder for folder in folder.rglob("pid") if process.find(folder)] == []


def test_a_worker_that_dies_is_replaced_and_the_platform_goes_on(folder: Path) -> None:
    """It is said, with the cause; what is sent then is done."""
    with running_up(folder) as up:
        assert up.stdout is not None
        (first,) = (int(path.stem) for path in (folder / "ready").glob("*.json"))
        os.kill(first, signal.SIGKILL)

        said = wait_for(up, "takes jobs")
        assert f"Worker {first} was ended by SIGKILL; another one starts" in said
        assert app(folder, "send", "database_maintenance").code == 0
        wait_for(up, '"actor": "database_maintenance"')
        os.killpg(up.pid, signal.SIGTERM)
        ended = finish(up)

    assert ended.code == 0, ended.output


def test_a_supervisor_that_dies_ends_the_platform_with_an_error(folder: Path) -> None:
    """Whoever started it learns of it by the exit code."""
    with running_up(folder) as up:
        (record,) = (folder / "children").glob("*-worker.child")
        supervisor = process.find(record)
        assert supervisor is not None
        supervisor.kill()
        ended = finish(up)

    assert ended.code == 1
    assert "worker ended by itself with exit code -9" in ended.output
    assert list((folder / "ready").glob("*.json")) == []


def test_only_some_servers_named_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-configured environment is refused before anything is started."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")

    run = finish(start(folder, "up"))

    assert run.code == 1
    assert "DATABASE_URL, DATABASE_OWNER_URL missing: name all three servers, or none" in run.output
