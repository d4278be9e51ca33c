"""The list of every job, and what importing it does not do."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import actors
from app.broker import broker
from middleware.contracts.guard import contract_of

ROOT = Path(__file__).resolve().parents[2]

#: Queue, priority, retries and time limit in minutes, as the platform documents them.
DOCUMENTED = {
    "content_idea_generation": ("content", 50, 2, 2),
    "content_scheduler": ("publishing", 25, 0, 5),
    "database_maintenance": ("maintenance", 100, 1, 10),
    "domain_export": ("exports", 75, 3, 10),
    "domain_transfer": ("domains", 25, 3, 1),
    "experiment_start": ("experiments", 25, 2, 1),
    "feedback_ingest": ("feedback", 50, 3, 5),
    "media_cleanup": ("media", 100, 1, 5),
    "publish_execution": ("publishing", 25, 3, 5),
}

#: Scheduled jobs have nothing to be told.
SCHEDULED = {"content_scheduler", "database_maintenance", "media_cleanup"}


def test_every_job_stands_in_one_list() -> None:
    """`actors.__all__` names each file of the folder and each actor of the broker."""
    files = {path.stem for path in (ROOT / "actors").glob("*.py")} - {"__init__"}

    assert set(actors.__all__) == files == set(broker.actors) == set(DOCUMENTED)


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_a_job_runs_under_its_documented_limits(name: str) -> None:
    """Queue, priority, retries and time limit are the ones the platform promises."""
    actor = broker.get_actor(name)
    queue, priority, retries, minutes = DOCUMENTED[name]

    assert (actor.queue_name, actor.priority) == (queue, priority)
    assert actor.options["max_retries"] == retries
    assert actor.options["time_limit"] == minutes * 60_000


@pytest.mark.parametrize("name", sorted(DOCUMENTED.keys() - SCHEDULED))
def test_a_job_takes_a_contract(name: str) -> None:
    """So that its payload is checked at send and at perform."""
    contract = contract_of(broker.get_actor(name))

    assert contract is not None
    assert contract.model_config.get("extra") == "forbid"


def test_importing_the_actors_touches_nothing(tmp_path: Path) -> None:
    """No socket, no fork, no file but code and settings: an application may import them anywhere."""
    script = textwrap.dedent("""
        import sys
        from pathlib import Path

        CODE = (".py", ".pyc", ".so", ".pyi", ".pth", ".typ", ".lua", "METADATA", "entry_points.txt", "RECORD")
        touched = []

        def watch(event, arguments):
            if event == "socket.gethostname":  # the machine's own name; no socket
                return
            if event.startswith(("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn")):
                touched.append((event, str(arguments)))
            elif event == "open" and isinstance(arguments[0], str):
                path, mode, flags = arguments
                writes = isinstance(mode, str) and set(mode) & set("wax+")
                foreign = str(Path(path).resolve()).startswith(sys.argv[1])
                if writes or (foreign and not path.endswith(CODE)):
                    touched.append((event, path))

        sys.addaudithook(watch)
        import actors
        print([each for each in touched if "__pycache__" not in each[1]])
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_sending_without_a_server_says_what_to_do(tmp_path: Path) -> None:
    """The error of a plain shell names the variable and the command."""
    script = textwrap.dedent("""
        from uuid import uuid4
        from actors import domain_export
        from domain.domain_export import DomainExport
        domain_export.send(DomainExport(org_id=uuid4(), domain_id=uuid4(), format="csv"))
    """)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "no Redis: set REDIS_URL, or start `python -m app up`" in done.stderr
