"""`python -m app probe`: whether the worker processes of this home are well, for Kubernetes and for people.

Runs every few seconds, so it loads neither the platform nor its settings: it reads the files that workers keep
(`app/bootstrap/worker/heartbeat.py`) and asks the system about their processes.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: Seconds without a beat after which a process counts as frozen.
MAX_AGE_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a probe saw."""

    #: Why the workers are not well; empty when they are.
    reasons: list[str]
    #: What each of them says of itself.
    processes: list[dict[str, object]]


def examine(folder: Path, *, expected: int, readiness: bool, max_age_s: float = MAX_AGE_S) -> Report:
    """Look at every worker process that keeps a file in the folder.

    Parameters:
        folder: where they keep them.
        expected: how many there have to be at least.
        readiness: whether one that drains counts as not well, since it takes no more jobs.
        max_age_s: seconds since its last beat after which one counts as frozen. Default 10.

    Example:
        >>> examine(Path(".pressroom/ready"), expected=1, readiness=False).reasons
        []
    """
    files = {path: _read(path) for path in sorted(folder.glob("*.json"))}
    now_s = _now_s(folder) if files else 0.0
    reasons: list[str] = []
    if len(files) < expected:
        reasons.append(f"{len(files)} of {expected} worker processes report in {folder}")
    for path, seen in files.items():
        reasons += _faults(path, seen, now_s=now_s, max_age_s=max_age_s, readiness=readiness)
    return Report(reasons=reasons, processes=[seen for seen in files.values() if seen])


def ready_folder(environment: Mapping[str, str]) -> Path:
    """Where workers keep their files; says the same as `Settings.ready_folder`.

    Example:
        >>> ready_folder({"PRESSROOM_HOME": "/srv"})
        PosixPath('/srv/ready')
    """
    own = environment.get("PRESSROOM_READY_DIR")
    return Path(own) if own else Path(environment.get("PRESSROOM_HOME") or ".pressroom") / "ready"


def main(arguments: Sequence[str], *, prog: str = "python -m app probe") -> int:
    """The command; its exit code: 0 when all is well, 1 when not, 2 for a command line that says nothing."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Whether the worker processes of this home are well."
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--liveness", action="store_true", help="all beat and none is stuck (the default)")
    what.add_argument("--readiness", action="store_true", help="as well, none drains")
    parser.add_argument("--ready-dir", type=Path, help="default: PRESSROOM_READY_DIR, or `ready` in the home")
    parser.add_argument(
        "--expect", type=int, help="processes there have to be; default: PRESSROOM_WORKER_PROCESSES, or 1"
    )
    parser.add_argument(
        "--max-age-s", type=float, default=MAX_AGE_S, help="seconds without a beat that make one frozen"
    )
    parser.add_argument("--json", action="store_true", help="print what each says of itself")
    options = parser.parse_args(arguments)
    expected = options.expect or int(os.environ.get("PRESSROOM_WORKER_PROCESSES") or 1)
    report = examine(
        options.ready_dir or ready_folder(os.environ),
        expected=expected,
        readiness=options.readiness,
        max_age_s=options.max_age_s,
    )
    if options.json:
        event = {"ok": not report.reasons, "reasons": report.reasons, "processes": report.processes}
        sys.stdout.write(json.dumps(event) + "\n")
    else:
        sys.stdout.write(
            "\n".join(report.reasons or [f"{len(report.processes)} worker processes are well"]) + "\n"
        )
    return 1 if report.reasons else 0


def _faults(
    path: Path, seen: dict[str, object] | None, *, now_s: float, max_age_s: float, readiness: bool
) -> Iterator[str]:
    from app.process_identity import ProcessIdentity

    identity = ProcessIdentity.read(path)
    if seen is None or identity is None:
        yield f"{path.name} is damaged"
        return
    name = f"worker process {identity.pid}"
    if identity.alive() is None:
        yield f"{name} is dead"
        return
    # A clock that was put back makes files of the future, and those say as little.
    age_s = abs(now_s - _changed_s(path, now_s))
    if age_s > max_age_s:
        yield f"{name} has not been heard of for {age_s:.0f} s: frozen, or a job holds the interpreter's lock"
    stuck = seen.get("stuck")
    if isinstance(stuck, list):
        yield from (f"{name}: {reason}" for reason in stuck)
    if readiness and seen.get("draining"):
        yield f"{name} drains"


def _read(path: Path) -> dict[str, object] | None:
    try:
        seen = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return seen if isinstance(seen, dict) else None


def _changed_s(path: Path, now_s: float) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # it has just stopped, cleanly
        return now_s


def _now_s(folder: Path) -> float:
    """The time by the clock that stamps the files, which may be another machine's."""
    mark = folder / f".{os.getpid()}.now"
    try:
        mark.touch()
        return mark.stat().st_mtime
    except OSError:  # a probe may have to do with a read-only view
        return time.time()
    finally:
        with suppress(OSError):
            mark.unlink(missing_ok=True)
