"""What a supervisor says: one line of JSON on standard output for each thing that happens, and how it is."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import Signals

#: Takes one report: what happened, and its facts.
Tell = Callable[[str, dict[str, object]], None]


def tell_on_stdout(event: str, facts: dict[str, object]) -> None:
    """One line, written whole: workers may write to the same place."""
    row = json.dumps({"event": event, "supervisor_pid": os.getpid(), **facts}) + "\n"
    # Whoever read it may be gone; the workers are not to suffer for that.
    with suppress(OSError):
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), row.encode())


def write_status(path: Path, facts: dict[str, object]) -> None:
    """Put it into a file that is never seen half written.

    A file that cannot be written grows old, which is what a health check looks at.
    """
    half = path.with_name(f".{path.name}.{os.getpid()}.half")
    with suppress(OSError):
        half.write_text(json.dumps(facts) + "\n")
        half.replace(path)


def ending(code: int) -> dict[str, object]:
    """An exit code as Python has it, in words.

    Example:
        >>> ending(-9)
        {'code': None, 'signal': 'SIGKILL'}
    """
    if code >= 0:
        return {"code": code, "signal": None}
    try:
        return {"code": None, "signal": Signals(-code).name}
    except ValueError:
        return {"code": None, "signal": str(-code)}
