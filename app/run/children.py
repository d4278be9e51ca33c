"""The processes of one `up`: started together, stopped together, and swept up when their owner was killed."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

from app.process_identity import ProcessIdentity, wait_gone
from app.settings import Settings
from broker.supervisor.options import DRAIN_S, GRACE_S

#: What a supervisor may take beside the drain and the grace of its workers, in seconds.
AFTER_GRACE_S = 5.0
#: How long children may take to finish what they have in hand.
STOP_TIMEOUT_S = DRAIN_S + GRACE_S + AFTER_GRACE_S


def worker_command(settings: Settings, *, queues: Sequence[str] = ()) -> list[str]:
    """The command line of a supervisor whose workers work queues of `actors`; all of them when none is named."""
    options = {
        "--processes": settings.worker_processes,
        "--threads": settings.worker_threads,
        "--drain-s": settings.drain_s,
        "--max-rss-mb": settings.worker_max_rss_mb,
        "--max-jobs": settings.worker_max_jobs,
    }
    named = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    command = [sys.executable, "-m", "broker", "worker", *named]
    return [*command, *(["--queues", *queues] if queues else []), "--", "actors"]


def scheduler_command() -> list[str]:
    """The periodiq command line that sends what is due."""
    # The package has no `-m` entry; its command stands beside the interpreter it was installed for.
    return [str(Path(sys.executable).with_name("periodiq")), "actors"]


def web_command(listening_fd: int) -> list[str]:
    """Our own command that serves download links, on a socket it inherits."""
    return [sys.executable, "-m", "app", "web", "--fd", str(listening_fd)]


class Children:
    """Child processes in sessions of their own, so that Ctrl-C reaches only us and we stop them in order.

    Each child is written down in `folder`; a later `Children` there first stops those whose owner is gone.

    Parameters:
        folder: where they are written down; made when missing.
        environment: what they run with.
        log_folder: where each one's output goes; None for the terminal.
        stop_timeout_s: how long they may take to stop before they are killed. Default STOP_TIMEOUT_S.

    Example:
        >>> with Children(home / "children", environment) as children:
        ...     children.start("worker", worker_command(settings))
        ...     children.wait()
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        log_folder: Path | None = None,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        self._stop_timeout_s = stop_timeout_s
        self._folder = folder
        self._environment = dict(environment)
        self._log_folder = log_folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._without_work: set[str] = set()
        self._files = ExitStack()
        self._listeners: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for folder in (self._folder, self._log_folder):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        sweep(self._folder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._files.close()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        pass_fds: Sequence[int] = (),
        has_work: bool = True,
        on_output: Callable[[str], None] | None = None,
    ) -> None:
        """Start one child.

        Parameters:
            name: of the child, and its log.
            command: program and arguments.
            pass_fds: descriptors it inherits.
            has_work: whether it may have something in hand, so that ending by the signal itself is no clean
                stop. Default True.
            hear: takes each line of its standard output, on a thread. Default None: they go where its errors go.
        """
        if not has_work:
            self._without_work.add(name)
        output = self._output(name)
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output if on_output is None else subprocess.PIPE,
            stderr=output,
            env=self._environment,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self._running[name] = child
        ProcessIdentity.of(os.getpid()).write(self._record(name).with_suffix(".owner"))
        ProcessIdentity.of(child.pid).write(self._record(name))
        if on_output is not None and child.stdout is not None:
            listener = threading.Thread(
                target=_listen, args=(child.stdout, on_output), name=name, daemon=True
            )
            listener.start()
            self._listeners.append(listener)

    def ended(self) -> dict[str, int]:
        """The exit codes of children that ended by themselves, by name."""
        codes = {name: child.poll() for name, child in self._running.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def stop(self) -> dict[str, int]:
        """Ask all to stop, wait, kill what does not; the exit codes by name."""
        for child in self._running.values():
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        codes = {name: self._code(name, child) for name, child in self._running.items()}
        for child in self._running.values():
            _end_group(child.pid, self._stop_timeout_s)
        for name in codes:
            _forget(self._record(name))
        self._running.clear()
        for listener in self._listeners:
            # A process that somebody has started and that outlives its group may hold the other end.
            listener.join(AFTER_GRACE_S)
        return codes

    def _code(self, name: str, child: subprocess.Popen[bytes]) -> int:
        code = _reap(child, self._stop_timeout_s)
        return 0 if code == -signal.SIGTERM and name in self._without_work else code

    def _output(self, name: str) -> IO[bytes] | None:
        if self._log_folder is None:
            return None
        return self._files.enter_context((self._log_folder / f"{name}.log").open("ab"))

    def _record(self, name: str) -> Path:
        return self._folder / f"{os.getpid()}-{name}.child"


def sweep(folder: Path, *, timeout_s: float = STOP_TIMEOUT_S) -> list[int]:
    """Stop children whose owner was killed, those they started included; their process ids.

    Parameters:
        folder: where they are written down.
        timeout_s: how long they may take before they are killed. Default STOP_TIMEOUT_S.
    """
    swept = []
    for record in folder.glob("*.child"):
        owner = ProcessIdentity.read(record.with_suffix(".owner"))
        if owner is not None and owner.alive():
            continue
        child = ProcessIdentity.read(record)
        if child is not None and _is_still_its_group(child) and _end_group(child.pid, timeout_s):
            swept.append(child.pid)
        _forget(record)
    return swept


def _listen(said: IO[bytes], on_output: Callable[[str], None]) -> None:
    with said:
        for text in said:
            on_output(text.decode(errors="replace").rstrip("\n"))


def _forget(record: Path) -> None:
    record.unlink(missing_ok=True)
    record.with_suffix(".owner").unlink(missing_ok=True)


def _is_still_its_group(leader: ProcessIdentity) -> bool:
    """Whether a group of this number can only be the one that the child led."""
    return leader.alive() is not None or not psutil.pid_exists(leader.pid)


def _end_group(leader_pid: int, timeout_s: float) -> bool:
    """End what is left of a child's process group, its leader first; whether there was anything.

    A child that was killed leaves those that it started behind, and they would go on working.
    """
    group = [member for process in psutil.process_iter() if (member := _member(process, leader_pid))]
    leader = [member for member in group if member.pid == leader_pid]
    for part in (leader, group):
        for member in part:
            if (process := member.alive()) is not None:
                process.terminate()
        for stubborn in wait_gone(part, timeout_s):
            stubborn.kill()
        wait_gone(part, timeout_s)
    return bool(group)


def _member(process: psutil.Process, leader_pid: int) -> ProcessIdentity | None:
    try:
        if os.getpgid(process.pid) == leader_pid and process.status() != psutil.STATUS_ZOMBIE:
            return ProcessIdentity.of(process.pid)
    except (ProcessLookupError, psutil.NoSuchProcess):
        pass
    return None


def _reap(child: subprocess.Popen[bytes], timeout_s: float) -> int:
    try:
        return child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        return child.wait()
