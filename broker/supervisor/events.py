"""Events of a supervisor, a line of JSON on standard output each, and its status file."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import Signals

#: Takes an event: what happened, and its facts.
EmitEvent = Callable[[str, dict[str, object]], None]


def emit_to_stdout(event: str, facts: dict[str, object]) -> None:
    """Write an event as a line of JSON, whole: workers may write to the same place."""
    row = json.dumps({"event": event, "supervisor_pid": os.getpid(), **facts}) + "\n"
    # Whoever read it may be gone; the workers are not to suffer for that.
    with suppress(OSError):
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), row.encode())


def write_status(path: Path, facts: dict[str, object]) -> None:
    """Write a status into a file that is never seen half written.

    A file that cannot be written grows old, which is what a health check goes by.
    """
    half = path.with_name(f".{path.name}.{os.getpid()}.half")
    with suppress(OSError):
        half.write_text(json.dumps(facts) + "\n")
        half.replace(path)


def exit_facts(code: int) -> dict[str, object]:
    """Exit code or signal of a process, from its exit code as Python has it.

    Example:
        >>> exit_facts(-9)
        {'code': None, 'signal': 'SIGKILL'}
    """
    if code >= 0:
        return {"code": code, "signal": None}
    try:
        return {"code": None, "signal": Signals(-code).name}
    except ValueError:
        return {"code": None, "signal": str(-code)}
