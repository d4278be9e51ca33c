"""Whole platforms for tests: `python -m app` in processes of its own, in a home of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT

ROOT = Path(__file__).resolve().parents[2]

#: Bounds on what no test should ever wait for.
TIMEOUT_S = 90


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    output: str


def environment(home: Path) -> dict[str, str]:
    """Where a command finds, or makes, its platform."""
    return {**os.environ, "PRESSROOM_HOME": str(home), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}


def start(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start `python -m app ...`."""
    return subprocess.Popen(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A group of its own, so that a test can send Ctrl-C to it as a terminal would.
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[str]") -> Finished:
    """Wait for a command to end by itself."""
    output, _ = process.communicate(timeout=TIMEOUT_S)
    return Finished(process.returncode, output)


def app(home: Path, *arguments: str) -> Finished:
    """Run `python -m app ...` to its end."""
    return finish(start(home, *arguments))


def shell(home: Path, code: str) -> Finished:
    """Run code in a plain Python beside the platform of a home."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    return Finished(done.returncode, done.stdout + done.stderr)


@contextmanager
def running_up(home: Path) -> Iterator["subprocess.Popen[str]"]:
    """`python -m app up`, from its word that it is up; ended by Ctrl-C unless the test ended it."""
    process = start(home, "up")
    try:
        assert process.stdout is not None
        said = []
        for row in process.stdout:
            said.append(row)
            if row.startswith("Pressroom is up"):
                break
        else:
            raise AssertionError(f"up ended with {process.wait()}: {''.join(said)}")
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, SIGINT)
        finish(process)


def run_file(home: Path) -> dict[str, object]:
    """What a running platform tells others."""
    known: dict[str, object] = json.loads((home / "run.json").read_text())
    return known


def wait_for(process: "subprocess.Popen[str]", word: str) -> str:
    """What a command says until a line has the word in it, that line included."""
    assert process.stdout is not None
    said = ""
    for row in process.stdout:
        said += row
        if word in row:
            return said
    raise AssertionError(f"no {word!r} before it ended: {said}")
