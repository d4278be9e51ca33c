"""What the test does to a supervisor and its workers, and what it hears from them."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import redis

from app.process_identity import ProcessIdentity

ROOT = Path(__file__).resolve().parents[3]
JOBS = "tests.broker.supervisor.jobs"
#: How long a test waits for anything before it fails, in seconds.
PATIENCE_S = 30


class Supervised:
    """One supervisor, and the reports it made."""

    def __init__(
        self, command: Sequence[str], environment: dict[str, str], folder: Path, log: IO[bytes] | None = None
    ) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        self.pid = self._process.pid
        self._coming: queue.Queue[dict[str, Any]] = queue.Queue()
        #: All that was heard so far.
        self.heard: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, event: str, **facts: object) -> dict[str, Any]:
        """The next report of that event with those facts; those before it are passed over."""
        until_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                report = self._coming.get(timeout=max(0.0, until_s - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {event} {facts} in {PATIENCE_S} s, but {self.heard}") from None
            self.heard.append(report)
            assert time.monotonic() < until_s, f"no {event} {facts} in {PATIENCE_S} s"
            if report["event"] == event and facts.items() <= report.items():
                return report

    def news(self) -> list[dict[str, Any]]:
        """All reports since the last ones, without waiting."""
        reports = []
        with suppress(queue.Empty):
            while True:
                reports.append(self._coming.get_nowait())
        self.heard += reports
        return reports

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal to the supervisor alone, or to its workers as well, as a terminal does."""
        (os.killpg if group else os.kill)(self.pid, number)

    def ended(self) -> bool:
        """Whether it has."""
        return self._process.poll() is not None

    def code(self) -> int:
        """Wait for its end; its exit code."""
        code = self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def rest(self) -> list[dict[str, Any]]:
        """After its end: all that it ever reported."""
        self.news()
        return self.heard

    def close(self) -> None:
        """Kill whatever is left of it."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(PATIENCE_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for row in self._process.stdout:
            if row.startswith("{"):
                self._coming.put(json.loads(row))


@dataclass
class Stage:
    """Where a test and its workers meet."""

    client: Any
    url: str
    space: str = field(default_factory=lambda: f"supervised-{uuid4().hex}")
    _started: list[Supervised] = field(default_factory=list)

    def command(self, *words: str, module: str = JOBS, folder: Path = ROOT) -> Supervised:
        """The command, as an operator types it."""
        return self._start([sys.executable, "-m", "broker", "worker", module, *words], folder)

    def host(self, *, folder: Path = ROOT, module: str = JOBS, **numbers: object) -> Supervised:
        """A supervisor with numbers that the command does not offer."""
        reported = json.dumps({"modules": [module], "restart_delay_s": 0.05, **numbers})
        return self._start(
            [sys.executable, "-m", "tests.broker.supervisor.supervisor_host", reported], folder
        )

    def send(self, actor: str, *arguments: object, queue: str = "default") -> None:
        """One message for an actor of the jobs."""
        from dramatiq import Message
        from dramatiq.brokers.redis import RedisBroker

        broker = RedisBroker(client=self.client, namespace=self.space)  # type: ignore[no-untyped-call]
        broker.declare_queue(queue)
        broker.enqueue(
            Message(queue_name=queue, actor_name=actor, args=arguments, kwargs={}, options={"max_retries": 0})
        )

    def await_in(self, listing: str) -> str:
        """The next thing that a job reports in this list."""
        found = self.client.blpop([f"{self.space}:{listing}"], timeout=PATIENCE_S)
        assert found is not None, f"nothing {listing} for {PATIENCE_S} s"
        return str(found[1], "utf-8")

    def began(self) -> int:
        """The process in which the next job began."""
        return int(self.await_in("began").split()[1])

    def open_gate(self, name: str) -> None:
        """Let a job that waits go on."""
        self.client.rpush(f"{self.space}:gate:{name}", "open")

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that processes do."""
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            if holds():
                return
            # Nobody pushes there: the server does the waiting.
            self.client.blpop([f"{self.space}:never"], timeout=0.05)
        raise AssertionError(f"it did not come about in {PATIENCE_S} s")

    def await_gone(self, pid: int) -> None:
        """Wait until a process has ended."""
        self.wait_until(lambda: not is_alive(pid))

    def close(self) -> None:
        """Nothing of it stays."""
        for each in self._started:
            each.close()

    def _start(self, command: Sequence[str], folder: Path) -> Supervised:
        environment = {
            **os.environ,
            "SUPERVISED_URL": self.url,
            "SUPERVISED_SPACE": self.space,
            "PYTHONPATH": str(ROOT),
            # Consumers notice a stop so much sooner.
            "dramatiq_worker_timeout": "50",
        }
        self._started.append(Supervised(command, environment, folder))
        return self._started[-1]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has collected yet does not."""
    import psutil

    try:
        return ProcessIdentity.of(pid).alive() is not None
    except psutil.NoSuchProcess:
        return False


@contextmanager
def staged(url: str) -> Iterator[Stage]:
    """A stage whose processes are all killed afterwards."""
    with redis.Redis.from_url(url, socket_timeout=None) as client:
        stage = Stage(client, url)
        try:
            yield stage
        finally:
            stage.close()
