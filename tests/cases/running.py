"""Runs the programs of the cases, each in a process of its own, and reads their verdicts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.cases.kit import FAILS, HOLDS

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(__file__).parent

#: No program takes longer; one that does stands still.
LIMIT_S = 240.0
#: So long it may stop the servers that it started.
_GRACE_S = 30.0

Verdict = Literal["HOLDS", "FAILS", "error"]


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    case: str
    verdict: Verdict
    #: What is wrong; empty when it holds.
    why: str
    seconds: float
    #: All that it printed.
    output: str


def programs() -> list[str]:
    """The names of all programs, like `broker/a1_newcomers`."""
    found = CASES.glob("*/*.py")
    return sorted(f"{each.parent.name}/{each.stem}" for each in found if each.stem != "__init__")


def chosen(names: Sequence[str]) -> list[str]:
    """Those that are named by a part of their name, like `hostile` or `r01`; all, when nothing is given.

    Raises:
        ValueError: no program is called so.
    """
    for name in names:
        if not any(name in case for case in programs()):
            raise ValueError(f"no case is called {name}; there are {', '.join(programs())}")
    return [case for case in programs() if not names or any(name in case for name in names)]


def run(case: str, limit_s: float = LIMIT_S, folder: Path = CASES) -> Ended:
    """Run a program to its end, or until its time is over.

    Parameters:
        case: its name, with its arguments, if any, like `broker/a1_newcomers few`.
        limit_s: seconds that it may take. Default 240.
        folder: where its folder is. Default: that of the cases.
    """
    began_s = time.monotonic()
    name, *arguments = case.split()
    process = subprocess.Popen(
        [sys.executable, str(folder / f"{name}.py"), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # A group of its own: what it started ends with it.
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        output = _interrupted(process) + f"\nnot done after {limit_s:.0f} s"
    finally:
        _end(process, signal.SIGKILL)
    return _read(case, process.returncode, output, time.monotonic() - began_s)


def _interrupted(process: "subprocess.Popen[str]") -> str:
    # Only the program itself: it ends what it started in the right order.
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=_GRACE_S)[0]
    except subprocess.TimeoutExpired:
        _end(process, signal.SIGKILL)
        return process.communicate()[0]


def _end(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _read(case: str, code: int, output: str, seconds: float) -> Ended:
    last = output.strip().splitlines()[-1:] or [""]
    verdict, _, why = last[0].partition(" ")
    if code == 0 and last[0] == HOLDS:
        return Ended(case, "HOLDS", "", seconds, output)
    if code == 1 and verdict == FAILS:
        return Ended(case, "FAILS", why, seconds, output)
    return Ended(case, "error", f"exit code {code}: {last[0]}", seconds, output)
