"""A server process that outlives the process which started it, and is found again by its pid file."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from app.process_identity import ProcessIdentity, wait_gone

#: How long a server may take to answer after its start, and to go after a request to stop.
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0

_POLL_S = 0.02
_LOG_TAIL_BYTES = 2_000


class EmbeddedServerError(RuntimeError):
    """An embedded server cannot be used; the message says why and what to do."""


def find(pid_file: Path) -> psutil.Process | None:
    """The live server of a pid file; None when there is none."""
    identity = ProcessIdentity.read(pid_file)
    return identity.alive() if identity else None


def start(
    command: Sequence[str],
    *,
    folder: Path,
    user: tuple[int, int] | None,
    answers: Callable[[], bool],
) -> None:
    """Start a server in a session of its own and wait until it answers.

    Parameters:
        command: program and arguments; it must stay in the foreground.
        folder: working directory, for `log` and `pid` too.
        user: user and group id to run as; None for the current ones.
        answers: whether the server serves by now.

    Raises:
        EmbeddedServerError: it ended, or did not answer within START_TIMEOUT_S.
    """
    log_path = folder / "log"
    uid, gid = user or (None, None)
    with log_path.open("ab") as log:
        child = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us: we stop the servers after those who use them
            user=uid,
            group=gid,
            extra_groups=[] if user else None,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        )
    ProcessIdentity.of(child.pid).write(folder / "pid")
    deadline = time.monotonic() + START_TIMEOUT_S
    while not answers():
        if child.poll() is not None or time.monotonic() > deadline:
            child.kill()
            child.wait()
            raise EmbeddedServerError(
                f"{Path(command[0]).name} did not start (exit code {child.returncode}). "
                f"The end of {log_path}:\n{_tail(log_path)}"
            )
        time.sleep(_POLL_S)
    # The server may outlive us on purpose; without this Python warns about it at exit.
    child.returncode = 0


def stop(pid_file: Path, request: signal.Signals) -> None:
    """Ask the server to stop, wait, and make sure; nothing to do when it does not run."""
    process, identity = find(pid_file), ProcessIdentity.read(pid_file)
    if process is not None and identity is not None:
        process.send_signal(request)
        for stubborn in wait_gone([identity], STOP_TIMEOUT_S):
            stubborn.kill()
            wait_gone([identity], STOP_TIMEOUT_S)
    pid_file.unlink(missing_ok=True)


def _tail(path: Path) -> str:
    return path.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
