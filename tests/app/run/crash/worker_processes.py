"""Worker processes of a test's own, and what they report."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from broker import FairRedisBroker
from broker.keys import base_key

ROOT = Path(__file__).resolve().parents[4]
#: How long a test waits for anything before it fails, in seconds.
PATIENCE_S = 60

JOBS = "tests.app.run.crash.worker_jobs"
#: With which broker's workers run under which command.
COMMANDS = {
    True: [sys.executable, "-m", "broker", "worker", JOBS],
    False: [sys.executable, "-m", "dramatiq", JOBS, "--skip-logging"],
}


@dataclass
class Stage:
    """Where the test and its workers meet."""

    client: Any
    redis_url: str
    namespace: str
    folder: Path
    #: Our broker, or Dramatiq's.
    fair: bool
    started: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def ready(self) -> Path:
        """Where the workers keep their heartbeats."""
        return self.folder / "ready"

    @property
    def log(self) -> str:
        """What all of them have written."""
        return (self.folder / "log").read_text()

    def send(self, actor: str, *args: object) -> None:
        """As an application would."""
        broker = new_broker(fair=self.fair, client=self.client, namespace=self.namespace, middleware=[])
        broker.declare_queue("default")
        broker.enqueue(
            dramatiq.Message(queue_name="default", actor_name=actor, args=args, kwargs={}, options={})
        )

    def start(self, *, threads: int = 2, **environment: str) -> "subprocess.Popen[bytes]":
        """A command with one worker process, in a group of its own, once it takes jobs."""
        where = {
            "WORKER_JOBS_REDIS_URL": self.redis_url,
            "WORKER_JOBS_NAMESPACE": self.namespace,
            "WORKER_JOBS_READY": str(self.ready),
            "WORKER_JOBS_BROKER": "fair" if self.fair else "stock",
        }
        before = set(self.beats())
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*COMMANDS[self.fair], "--processes", "1", "--threads", str(threads)],
                cwd=ROOT,
                env={**os.environ, **where, **environment},
                start_new_session=True,
                stdout=log,
                stderr=log,
            )
        self.started.append(process)
        self.wait_until(lambda: bool(set(self.beats()) - before))
        return process

    def beats(self) -> dict[str, dict[str, Any]]:
        """What the worker processes say of themselves, by process id."""
        found = {}
        for path in self.ready.glob("*.json"):
            with suppress(FileNotFoundError):  # it has just stopped
                found[path.stem] = json.loads(path.read_text())
        return found

    def probe(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`python -m app probe`, on these workers."""
        return subprocess.run(
            [sys.executable, "-m", "app", "probe", "--ready-dir", str(self.ready), *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    def reports(self, number: int) -> set[str]:
        """The next reports of the jobs, in no order."""
        seen: set[str] = set()
        for _ in range(number):
            found = self.client.brpop([f"{self.namespace}:test:reports"], timeout=PATIENCE_S)
            assert found is not None, f"only {seen} came in {PATIENCE_S} s; the log:\n{self.log}"
            seen.add(str(found[1], "ascii"))
        return seen

    def open_gate(self) -> None:
        """Let one gated job end."""
        self.client.lpush(f"{self.namespace}:test:gate", "open")

    def waiting(self) -> int:
        """How many messages no worker has in hand."""
        if self.fair:
            return sum(self.client.llen(key) for key in self._keys(f"{base_key(self.namespace)}:l:default:*"))
        return int(self.client.llen(f"{self.namespace}:default"))

    def held(self) -> int:
        """How many messages workers have in hand, dead ones too."""
        if self.fair:
            return sum(self.client.hlen(key) for key in self._keys(f"{base_key(self.namespace)}:lease:*"))
        return sum(self.client.scard(key) for key in self._keys(f"{self.namespace}:__acks__.*"))

    def _keys(self, pattern: str) -> list[bytes]:
        return list(self.client.scan_iter(match=pattern))

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that the processes do."""
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            if holds():
                return
            # Nobody pushes there: the server does the waiting.
            self.client.blpop([f"{self.namespace}:test:never"], timeout=0.02)
        raise AssertionError(f"it did not come about in {PATIENCE_S} s; the log:\n{self.log}")


def new_broker(*, fair: bool, **options: Any) -> dramatiq.Broker:
    """Our broker, or Dramatiq's."""
    if fair:
        return FairRedisBroker(**options)
    return RedisBroker(**options)  # type: ignore[no-untyped-call]


@contextmanager
def staged(redis_url: str, folder: Path, *, fair: bool) -> Iterator[Stage]:
    """No process yet; all of them are killed afterwards."""
    with redis.Redis.from_url(redis_url) as client:
        made = Stage(client, redis_url, f"t{uuid4().hex}", folder, fair)
        try:
            yield made
        finally:
            for process in made.started:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
