"""A command that runs workers, seen from the test."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from tests.middleware.crash.scenario import ROOT

#: How long a test waits for anything before it fails, in seconds.
PATIENCE_S = 30


class WorkerProcess:
    """A process and whatever it starts: signals reach all of it, as on a machine that stands still.

    Parameters:
        environment: of the process.
        words: a module and its arguments.
    """

    def __init__(self, environment: dict[str, str], words: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pid = self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it to the whole group."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.signal(signal.SIGKILL)
        self.await_end()

    def await_end(self) -> int:
        """Wait until it has ended; its exit code."""
        return self._process.wait(PATIENCE_S)

    def has_ended(self) -> bool:
        """Whether it has."""
        return self._process.poll() is not None

    def let_read(self) -> None:
        """Let it read one byte of its input."""
        assert self._process.stdin is not None
        self._process.stdin.write(b".")
        self._process.stdin.flush()

    def close(self) -> None:
        """Nothing of it stays."""
        self.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
