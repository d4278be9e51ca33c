"""What `up` makes of children that end by themselves."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.processes import Children
from app.up import CALM_AFTER_S, LONGEST_REST_S, rest_times, supervise


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    """None yet."""
    with Children(tmp_path / "children", os.environ) as made:
        yield made


def test_a_worker_that_held_a_stuck_job_is_started_again(
    children: Children, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 79 asks for that, as often as it comes; anything else ends the rest."""
    runs = tmp_path / "runs"
    code = f'echo run >> {runs}; [ "$(wc -l < {runs})" -lt 3 ] && exit 79; exit 5'
    children.start("worker", ["sh", "-c", code])

    ended = supervise(children, threading.Event(), rests=iter([0.0, 0.0]))

    assert ended == {"worker": 5}
    assert runs.read_text() == "run\nrun\nrun\n"
    assert "worker held a job that could not be stopped" in capsys.readouterr().err


def test_another_childs_end_is_not_forgiven_with_it(children: Children) -> None:
    """A scheduler that died is told, whatever became of the worker."""
    children.start("scheduler", ["sh", "-c", "exit 1"])

    assert supervise(children, threading.Event(), rests=iter([])) == {"scheduler": 1}


def test_a_stop_during_the_rest_starts_nothing(children: Children, tmp_path: Path) -> None:
    """Ctrl-C is obeyed at once."""
    stop = threading.Event()
    children.start("worker", ["sh", "-c", f"echo run >> {tmp_path}/runs; exit 79"])

    def rests() -> Iterator[float]:
        stop.set()
        yield 3_600.0

    assert supervise(children, stop, rests=rests()) == {}
    assert (tmp_path / "runs").read_text() == "run\n"


def test_rests_grow_up_to_a_bound_and_begin_anew_after_a_calm_while() -> None:
    """A job that sticks again and again does not keep the machine busy with starting workers."""
    now_s = 0.0
    rests = rest_times(lambda: now_s)

    assert [next(rests) for _ in range(7)] == [1, 2, 4, 8, 16, LONGEST_REST_S, LONGEST_REST_S]
    now_s += CALM_AFTER_S + 1
    assert [next(rests), next(rests)] == [1, 2]
