"""Children of `up`: started and stopped together, and swept up after their owner was killed."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from app.process_identity import ProcessIdentity
from app.run.children import Children, sweep

ROOT = Path(__file__).resolve().parents[3]

#: Ends by itself when told to, with the exit code it is given; says when it is ready to be told.
PATIENT = [
    sys.executable,
    "-c",
    "import pathlib, signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(sys.argv[2])));"
    "pathlib.Path(sys.argv[1]).touch(); signal.pause()",
]


def started(children: Children, name: str, folder: Path, exit_code: int = 0) -> None:
    """Start a patient child and wait until it can be told to end."""
    ready = folder / f"{name}.ready"
    children.start(name, [*PATIENT, str(ready), str(exit_code)])
    wait_for(ready)


def wait_for(path: Path) -> None:
    """Until another process has made the file; the test's time limit bounds it."""
    subprocess.run(["sh", "-c", f'until [ -e "{path}" ]; do :; done'], check=True, timeout=30)


def test_all_are_stopped_on_the_way_out(tmp_path: Path) -> None:
    """Leaving the context ends every child and forgets it."""
    with Children(tmp_path / "c", os.environ) as children:
        started(children, "one", tmp_path)
        started(children, "two", tmp_path)
        records = [ProcessIdentity.read(path) for path in (tmp_path / "c").glob("*.child")]
        assert all(record and record.alive() for record in records)

    assert len(records) == 2
    assert not any(record and record.alive() for record in records)
    assert list((tmp_path / "c").iterdir()) == []


def test_exit_codes_tell_a_clean_stop_from_another(tmp_path: Path) -> None:
    """Each child's own code is handed on."""
    with Children(tmp_path / "c", os.environ) as children:
        started(children, "good", tmp_path)
        started(children, "bad", tmp_path, exit_code=3)

        assert children.stop() == {"good": 0, "bad": 3}


@pytest.mark.parametrize(("has_work", "code"), [(True, -15), (False, 0)])
def test_ending_by_the_signal_itself_is_clean_for_who_has_nothing_in_flight(
    tmp_path: Path, has_work: bool, code: int
) -> None:
    """A scheduler may; a worker would have dropped its jobs."""
    with Children(tmp_path / "c", os.environ) as children:
        children.start("child", ["sh", "-c", f"touch {tmp_path}/up; exec sleep 600"], has_work=has_work)
        wait_for(tmp_path / "up")

        assert children.stop() == {"child": code}


def test_a_child_that_ends_by_itself_is_noticed(tmp_path: Path) -> None:
    """The owner learns its name and code."""
    with Children(tmp_path / "c", os.environ) as children:
        started(children, "lives", tmp_path)
        children.start("dies", ["sh", "-c", f"touch {tmp_path}/gone; exit 7"])
        wait_for(tmp_path / "gone")
        (identity,) = [ProcessIdentity.read(path) for path in (tmp_path / "c").glob("*-dies.child")]
        while identity and identity.alive():
            pass

        assert children.ended() == {"dies": 7}


def test_output_goes_to_a_log_of_its_own(tmp_path: Path) -> None:
    """What a child prints can be read afterwards."""
    with Children(tmp_path / "c", os.environ, log_folder=tmp_path / "logs") as children:
        children.start("speaks", ["sh", "-c", f"echo hello; touch {tmp_path}/spoke"])
        wait_for(tmp_path / "spoke")

    assert (tmp_path / "logs" / "speaks.log").read_text() == "hello\n"


def test_children_of_a_killed_owner_are_swept_up_by_the_next(tmp_path: Path) -> None:
    """After SIGKILL of the owner its children are stopped by whoever comes next, whole family."""
    script = textwrap.dedent("""
        import os, sys
        from pathlib import Path
        from app.run.children import Children
        with Children(Path(sys.argv[1]), os.environ) as children:
            children.start("orphan", ["sh", "-c", f"sleep 600 & touch {sys.argv[2]}; wait"])
            sys.stdin.readline()
    """)
    ready = tmp_path / "ready"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "c"), str(ready)], cwd=ROOT, stdin=subprocess.PIPE
    ) as owner:
        wait_for(ready)
        (record,) = (tmp_path / "c").glob("*.child")
        orphan = ProcessIdentity.read(record)
        assert orphan is not None
        family = psutil.Process(orphan.pid).children(recursive=True)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert orphan.alive()

    # What it started does not end with it, so it takes a kill.
    assert sweep(tmp_path / "c", timeout_s=0.2) == [orphan.pid]

    assert not orphan.alive()
    assert family
    assert not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert list((tmp_path / "c").iterdir()) == []


def test_children_of_a_living_owner_are_left_untouched(tmp_path: Path) -> None:
    """Two owners may share a folder."""
    with Children(tmp_path / "c", os.environ) as first:
        started(first, "mine", tmp_path)

        with Children(tmp_path / "c", os.environ):
            pass

        assert first.ended() == {}


def test_what_a_child_says_is_heard_row_by_row_to_its_last(tmp_path: Path) -> None:
    """Its errors go where they always go."""
    heard: list[str] = []
    with Children(tmp_path / "c", os.environ, log_folder=tmp_path / "logs") as children:
        begin = f"trap 'echo last; exit 0' TERM; echo first; echo oops >&2; touch {tmp_path}/up"
        children.start(
            "speaks", ["sh", "-c", f"{begin}; while :; do sleep 0.01; done"], on_output=heard.append
        )
        wait_for(tmp_path / "up")

        assert children.stop() == {"speaks": 0}

        assert heard == ["first", "last"]
    assert (tmp_path / "logs" / "speaks.log").read_text() == "oops\n"
