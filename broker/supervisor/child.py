"""A worker process as its supervisor sees it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Protocol

from ..leasing.worker_info import rss_bytes
from .death_reports import Death
from .options import SupervisorOptions


class RunningProcess(Protocol):
    """A process, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int:
        """The process id."""

    def poll(self) -> int | None:
        """None while it runs; then its exit code, or the negative number of the signal that ended it."""

    def send_signal(self, sig: int, /) -> None:
        """Send a signal; nothing happens when it has ended."""

    def kill(self) -> None:
        """End it at once."""


#: Starts a process with this command line, that has these file descriptors.
StartProcess = Callable[[list[str], Sequence[int]], RunningProcess]


def start_process(command: list[str], fds: Sequence[int]) -> RunningProcess:
    """Start a worker process.

    Raises:
        OSError: no process can be started now.
    """
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=fds)


class Child:
    """A started worker process.

    Parameters:
        options: how workers are started.
        slot: the number of its slot, for who reads the log; None for the probe.
        now_s: the monotonic time.
        start: starts the process. Default: as a new program.

    Raises:
        OSError: no process can be started now.
    """

    def __init__(
        self, options: SupervisorOptions, slot: int | None, now_s: float, start: StartProcess = start_process
    ) -> None:
        self.slot = slot
        self.started_s = now_s
        self.ready = False
        self.worker_id: str | None = None
        #: It has run as many jobs as it may.
        self.max_jobs_reached = False
        #: It has seen messages that are to be run alone.
        self.suspects = False
        #: A message has begun in it; only a probe announces that.
        self.began = False
        #: It ends because it has nothing to do; only a probe does.
        self.idle = False
        #: It ends because it was asked to, by whomever.
        self.stopping = False
        #: Whose deaths it has reported to the broker since this list was read.
        self.reported: list[str] = []
        #: Memory when it was ready; None until then, and where it cannot be known.
        self.baseline_bytes: int | None = None
        #: It was asked to stop and is killed at this time; None while it may work.
        self.kill_at_s: float | None = None
        #: It was killed, since it did not stop in time.
        self.killed = False
        self._unread = b""
        self._reported: set[str] = set()
        with ExitStack() as on_failure, ExitStack() as handed_over:
            self.pipe_fd, child_fd = os.pipe()
            on_failure.callback(os.close, self.pipe_fd)
            handed_over.callback(os.close, child_fd)
            deaths_fd, self._deaths_fd = os.pipe()
            on_failure.callback(os.close, self._deaths_fd)
            handed_over.callback(os.close, deaths_fd)
            os.set_blocking(self.pipe_fd, False)
            os.set_blocking(self._deaths_fd, False)
            command = [*_command(child_fd, deaths_fd), *options.worker_arguments(probe=slot is None)]
            self._process = start(command, (child_fd, deaths_fd))
            on_failure.pop_all()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def kind(self) -> str:
        """How events name it."""
        return "probe" if self.slot is None else "worker"

    @property
    def stop_requested(self) -> bool:
        """True if the supervisor has asked it to end."""
        return self.kill_at_s is not None

    def facts(self) -> dict[str, object]:
        """Which one it is, for an event."""
        return {"slot": self.slot, "pid": self.pid, "worker_id": self.worker_id}

    def code(self) -> int | None:
        """None while it runs; then its exit code, or the negative number of the signal that ended it."""
        return self._process.poll()

    def listen(self) -> bool:
        """Read what it has announced. Returns False when it can announce nothing more."""
        try:
            read = os.read(self.pipe_fd, 65_536)
        except BlockingIOError:
            return True
        *lines, self._unread = (self._unread + read).split(b"\n")
        for row in lines:
            announced = json.loads(row)
            self.worker_id = announced.get("worker_id", self.worker_id)
            self.max_jobs_reached = self.max_jobs_reached or "spent" in announced
            self.suspects = self.suspects or "suspects" in announced
            self.began = self.began or "began" in announced
            self.idle = self.idle or "idle" in announced
            self.stopping = self.stopping or "stopping" in announced
            self.reported += [announced["reported"]] if "reported" in announced else []
            if "ready" in announced:
                self.ready = True
                self.baseline_bytes = rss_bytes(self.pid)
        return bool(read)

    def report(self, death: Death) -> None:
        """Have the worker report a death to the broker, once; it announces when it has."""
        if death.worker_id not in self._reported:
            # One that is gone, or has not read for long, is not the only one that gets it.
            with suppress(OSError):
                os.write(self._deaths_fd, death.row())
                self._reported.add(death.worker_id)

    def grown_mb(self) -> float:
        """Megabytes of memory that it uses more than when it was ready."""
        now_bytes = rss_bytes(self.pid)
        if now_bytes is None or self.baseline_bytes is None:
            return 0.0
        return (now_bytes - self.baseline_bytes) / 1_048_576

    def stop(self, kill_at_s: float) -> None:
        """Request that it drains, once."""
        if self.kill_at_s is None:
            self.kill_at_s = kill_at_s
            self._process.send_signal(signal.SIGTERM)

    def insist(self, kill_at_s: float) -> None:
        """Repeat the request with an earlier deadline; repeating it often must not make it later."""
        self.kill_at_s = kill_at_s if self.kill_at_s is None else min(self.kill_at_s, kill_at_s)
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.killed = True
        self._process.kill()

    def close(self) -> None:
        """Close the pipes of a process that has ended."""
        os.close(self.pipe_fd)
        os.close(self._deaths_fd)


def _command(announce_fd: int, deaths_fd: int) -> list[str]:
    # Under whichever name this package was installed.
    package = __name__.partition(".supervisor.")[0]
    links = [f"--announce-fd={announce_fd}", f"--deaths-fd={deaths_fd}", f"--parent={os.getpid()}"]
    return [sys.executable, "-m", package, "one-worker", *links]
