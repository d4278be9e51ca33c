"""`python -m app ...`, warmed up: each command is a process of its own, forked from one that has loaded everything.

Most of a command's second is loading, and the rows of the table ask for dozens of commands.
"""

import contextlib
import io
import json
import os
import runpy
import signal
import sys
import traceback
from pathlib import Path

import actors  # noqa: F401  # loads most of what commands need


def main() -> None:
    """Run a command for each line on standard input; what it says and its exit code are left in the folder it names."""
    # Loads the rest, and says nothing.
    with contextlib.redirect_stdout(io.StringIO()):
        _run(["settings", "--json"])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for row in sys.stdin:
        asked = json.loads(row)
        if os.fork() == 0:
            _command(Path(asked["folder"]), asked["arguments"])


def _command(folder: Path, arguments: list[str]) -> None:
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for name, descriptor, flags in (
            ("in", 0, os.O_RDONLY),
            ("out", 1, os.O_WRONLY | os.O_CREAT),
            ("err", 2, os.O_WRONLY | os.O_CREAT),
        ):
            os.dup2(os.open(folder / name, flags, 0o600), descriptor)
        sys.stdin = open(0)  # noqa: SIM115  # the forked one has read ahead in the other
        code = _run(arguments)
    except BaseException:  # noqa: BLE001  # as at the end of any program
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        half = folder / "half"
        half.write_text(str(code))
        half.replace(folder / "code")
        os._exit(code)


def _run(arguments: list[str]) -> int:
    sys.argv = ["app", *arguments]
    try:
        runpy.run_module("app", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    main()
