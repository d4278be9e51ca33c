"""The demo, as a new user meets it."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.e2e.platform import app, finish, start

pytestmark = pytest.mark.slow

SUMMARY = re.compile(r"(\d+) jobs in .*: ([\d,]+) ideas, (\d+) files .*, (\d+) posts, (\d+) feedback windows")


def test_the_demo_ends_well_and_again_and_leaves_real_files(folder: Path) -> None:
    """Every job did what it should, and the files are there with real texts in them."""
    first = app(folder, "demo")
    again = app(folder, "demo")

    for run in (first, again):
        assert run.code == 0, run.output
        found = SUMMARY.search(run.output)
        assert found, run.output
        assert found.groups() == ("60", "770", "16", "20", "120")
    files = [path for path in (folder / "exports").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".csv", ".md", ".pdf"}
    assert any("pydantic" in path.read_text() for path in files if path.suffix in {".json", ".csv", ".md"})


def test_two_demos_in_two_homes_do_not_disturb_each_other(folder: Path) -> None:
    """Two checkouts may run it at once."""
    demos = [start(folder / name, "demo") for name in ("one", "two")]

    for run in map(finish, demos):
        assert run.code == 0, run.output


def test_a_killed_demo_leaves_nothing_that_stops_the_next(folder: Path) -> None:
    """Servers, workers and locks of a demo that got SIGKILL in the middle are taken over or swept up."""
    killed = start(folder, "demo")
    assert killed.stdout is not None
    for row in killed.stdout:
        if "started" in row:  # the first job
            break
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()

    run = app(folder, "demo")

    assert run.code == 0, run.output
    assert not list((folder / "children").iterdir())
