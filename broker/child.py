"""One worker process as its supervisor sees it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from .fleet import Fleet

#: Bytes of a memory page.
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Child:
    """A started worker process.

    Parameters:
        fleet: whose worker it is.
        slot: its place among them, for who reads the log.
        now_s: the monotonic time.

    Raises:
        OSError: no process can be started now.
    """

    def __init__(self, fleet: Fleet, slot: int, now_s: float) -> None:
        self.slot = slot
        self.started_s = now_s
        self.ready = False
        self.worker_id: str | None = None
        #: It has run as many jobs as it may.
        self.spent = False
        #: Memory when it was ready; None until then, and where it cannot be known.
        self.baseline_bytes: int | None = None
        #: It was told to stop and is killed at this time; None while it may work.
        self.kill_at_s: float | None = None
        #: It was killed, since it did not stop in time.
        self.killed = False
        self._rest = b""
        self.pipe_fd, child_fd = os.pipe()
        try:
            os.set_blocking(self.pipe_fd, False)
            self._process = subprocess.Popen(
                [*_command(child_fd), *fleet.worker_arguments()],
                stdin=subprocess.DEVNULL,
                pass_fds=(child_fd,),
            )
        except OSError:
            os.close(self.pipe_fd)
            raise
        finally:
            os.close(child_fd)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def told_to_stop(self) -> bool:
        """Whether its end is what was asked of it."""
        return self.kill_at_s is not None

    def facts(self) -> dict[str, object]:
        """Which one it is, for a report."""
        return {"slot": self.slot, "pid": self.pid, "worker_id": self.worker_id}

    def code(self) -> int | None:
        """None while it runs; then its exit code, or the negative number of the signal that ended it."""
        return self._process.poll()

    def listen(self) -> bool:
        """Take in what it has announced; whether it may announce more."""
        try:
            read = os.read(self.pipe_fd, 65_536)
        except BlockingIOError:
            return True
        *lines, self._rest = (self._rest + read).split(b"\n")
        for line in lines:
            told = json.loads(line)
            self.worker_id = told.get("worker_id", self.worker_id)
            self.spent = self.spent or "spent" in told
            if "ready" in told:
                self.ready = True
                self.baseline_bytes = self.rss_bytes()
        return bool(read)

    def rss_bytes(self) -> int | None:
        """Memory it has in use; None where the system does not say."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            return None

    def grown_mb(self) -> float:
        """How much more memory it uses than when it was ready."""
        now_bytes = self.rss_bytes()
        if now_bytes is None or self.baseline_bytes is None:
            return 0.0
        return (now_bytes - self.baseline_bytes) / 1_048_576

    def stop(self, kill_at_s: float) -> None:
        """Ask it to drain, once."""
        if self.kill_at_s is None:
            self.kill_at_s = kill_at_s
            self._process.send_signal(signal.SIGTERM)

    def insist(self, kill_at_s: float) -> None:
        """Ask it again, with less patience; asking often must not lengthen it."""
        self.kill_at_s = kill_at_s if self.kill_at_s is None else min(self.kill_at_s, kill_at_s)
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.killed = True
        self._process.kill()

    def close(self) -> None:
        """Let go of what belongs to a process that has ended."""
        os.close(self.pipe_fd)


def _command(announce_fd: int) -> list[str]:
    # Under whichever name this package was installed.
    package = __package__ or "broker"
    told = ["--announce-fd", str(announce_fd), "--parent", str(os.getpid())]
    return [sys.executable, "-m", package, "one-worker", *told]
