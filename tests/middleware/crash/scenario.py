"""What a test of worker processes and the processes themselves agree on, and what the test does to them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis
from dramatiq import Broker
from dramatiq.middleware import Middleware

from tests.middleware.crash.crash_broker import crash_broker

ROOT = Path(__file__).resolve().parents[3]
#: How long a test waits for anything before it fails, in seconds.
PATIENCE_S = 60


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Where the processes meet, and how their guards are set."""

    redis_url: str
    namespace: str
    #: One of `crash_broker.KINDS`.
    broker: str = "redis"
    on_duplicate: str = "skip"
    max_active: int = 5
    lease_ms: int = 60_000
    wait_ms: int = 5_000

    def key(self, name: str) -> str:
        """A key of this scenario's own."""
        return f"{self.namespace}:test:{name}"

    @property
    def claims(self) -> str:
        """What keys of idempotency begin with: in the fair broker's slot, it ends claims together with messages."""
        return f"{self.namespace}:{{0}}" if self.broker == "fair" else self.key("guards")


class Workers:
    """One `dramatiq` command with its worker process: a process group that signals reach as a whole."""

    def __init__(self, scenario: Scenario, *, threads: int) -> None:
        environment = {**os.environ, "GUARDED_JOBS": json.dumps(asdict(scenario))}
        module = "tests.middleware.crash.guarded_jobs"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dramatiq", module, "--processes", "1", "--threads", str(threads)],
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def freeze(self) -> None:
        """Stop all of it where it is, as a machine that swaps or a debugger does."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on as if nothing had happened."""
        os.killpg(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, with no chance to say anything."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@dataclass
class Stage:
    """A scenario under way, seen from the test."""

    scenario: Scenario
    client: Any
    started: list[Workers]

    def start(self, *, threads: int = 4) -> Workers:
        """Another `dramatiq` command; killed with the test at the latest."""
        workers = Workers(self.scenario, threads=threads)
        self.started.append(workers)
        return workers

    def await_in(self, listing: str) -> str:
        """The next thing that a process reports in this list."""
        found = self.client.brpop([self.scenario.key(listing)], timeout=PATIENCE_S)
        assert found is not None, f"nothing was {listing} for {PATIENCE_S} s"
        return str(found[1], "ascii")

    def open_gate(self, run: str) -> None:
        """Let this run of a gated job go on: `name number`."""
        self.client.rpush(self.scenario.key(f"gate:{run}"), "open")

    def broker(self, *middleware: Middleware) -> Broker:
        """The processes' broker, seen from outside."""
        scenario = self.scenario
        return crash_broker(scenario.broker, scenario.redis_url, scenario.namespace, *middleware)

    def drain(self) -> None:
        """Wait until the queue is empty, delayed messages included."""
        broker = self.broker()
        broker.declare_queue("default")
        broker.join("default", timeout=PATIENCE_S * 1_000)
        broker.close()

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that the processes do."""
        for _ in range(PATIENCE_S * 20):
            if holds():
                return
            # Nobody pushes there: the server does the waiting.
            self.client.blpop([self.scenario.key("never")], timeout=0.05)
        raise AssertionError(f"it did not come about in {PATIENCE_S} s")

    def counts(self, name: str) -> dict[str, int]:
        """A hash of counts that the processes keep."""
        return {
            str(key, "ascii"): int(value)
            for key, value in self.client.hgetall(self.scenario.key(name)).items()
        }

    def most(self) -> dict[str, int]:
        """How many jobs of each org ever ran at once."""
        return {
            str(org, "ascii"): int(n)
            for org, n in self.client.zrange(self.scenario.key("most"), 0, -1, withscores=True)
        }


@contextmanager
def staged(scenario: Scenario) -> Iterator[Stage]:
    """The scenario, without any process yet; all of them are killed afterwards."""
    with redis.Redis.from_url(scenario.redis_url) as client:
        stage = Stage(scenario, client, [])
        try:
            yield stage
        finally:
            for each in stage.started:
                each.kill()
