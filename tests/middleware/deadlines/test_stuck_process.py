"""Deadlines in worker processes: jobs that cannot be stopped, and workers that are."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis

from app.embedded import Servers
from middleware.deadlines.stuck_process import STUCK_EXIT_CODE
from tests.middleware.brokers import close
from tests.middleware.crash.crash_broker import KINDS, crash_broker
from tests.middleware.eventually import eventually
from tests.middleware.own_server import own_valkey

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
#: How long a test waits for anything before it fails, in seconds.
PATIENCE_S = 60


@dataclass
class Stage:
    """Worker processes, and what they report."""

    client: Any
    redis_url: str
    namespace: str
    #: One of `crash_broker.KINDS`.
    kind: str
    log: Path
    started: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def send(self, actor: str, *args: object) -> None:
        """As an application would."""
        broker: Any = crash_broker(self.kind, self.redis_url, self.namespace)
        broker.declare_queue("default")
        broker.enqueue(
            dramatiq.Message(queue_name="default", actor_name=actor, args=args, kwargs={}, options={})
        )
        close(broker)

    def start(self, *, threads: int = 4, processes: int = 1) -> "subprocess.Popen[bytes]":
        """A `dramatiq` command, in a group of its own."""
        where = {
            "DEADLINE_JOBS_BROKER": self.kind,
            "DEADLINE_JOBS_REDIS_URL": self.redis_url,
            "DEADLINE_JOBS_NAMESPACE": self.namespace,
        }
        counts = ["--processes", str(processes), "--threads", str(threads)]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dramatiq", "tests.middleware.deadlines.process_jobs", *counts],
                cwd=ROOT,
                env={**os.environ, **where},
                start_new_session=True,
                stdout=log,
                stderr=log,
            )
        self.started.append(process)
        return process

    def reports(self, number: int) -> set[str]:
        """The next reports of the jobs, in no order."""
        seen: set[str] = set()
        for _ in range(number):
            found = self.client.brpop([f"{self.namespace}:test:reports"], timeout=PATIENCE_S)
            assert found is not None, f"only {seen} came in {PATIENCE_S} s; the log:\n{self.log.read_text()}"
            seen.add(str(found[1], "ascii"))
        return seen

    def held(self) -> int:
        """How many messages dead workers still have in hand."""
        if self.kind == "fair":
            leases = self.client.scan_iter(match=f"{self.namespace}:*:lease:*")
            return sum(self.client.hlen(key) for key in leases)
        keys = self.client.scan_iter(match=f"{self.namespace}:__acks__.*")
        return sum(self.client.scard(key) for key in keys)


@pytest.fixture(params=KINDS)
def stage(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Iterator[Stage]:
    """On the server that all tests share."""
    with staged(servers.redis_url, tmp_path, request.param) as made:
        yield made


@contextmanager
def staged(redis_url: str, folder: Path, kind: str) -> Iterator[Stage]:
    """No process yet; all of them are killed afterwards."""
    with redis.Redis.from_url(redis_url) as client:
        made = Stage(client, redis_url, f"t{uuid4().hex}", kind, folder / "log")
        try:
            yield made
        finally:
            for process in made.started:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def test_a_stuck_job_is_charged_and_its_process_replaced(stage: Stage) -> None:
    """It ends with a code of its own; neighbours, running, deaf or fetched, come back at once and uncharged."""
    for name in ("stuck", "neighbour", "deaf"):
        stage.send(name)
    doomed = stage.start(threads=3)
    assert stage.reports(3) == {"stuck started 0", "neighbour started 0", "deaf started 0"}
    stage.send("queued", 1)
    stage.send("queued", 2)

    assert doomed.wait(PATIENCE_S) == STUCK_EXIT_CODE

    assert stage.held() == 0
    log = stage.log.read_text()
    assert "is stuck" in log
    assert "in stuck\n" in log
    assert stage.reports(1) == {"neighbour cleaned up 0"}
    stage.start()
    assert stage.reports(5) == {
        "stuck done 1",
        "neighbour done 0",
        "deaf done 0",
        "queued1 done 0",
        "queued2 done 0",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_is_replaced_also_while_its_broker_is_away(tmp_path: Path, kind: str) -> None:
    """Nobody can be told anything then, and the message comes back as any dead worker's does."""
    with own_valkey() as server, staged(server.url, tmp_path, kind) as stage:
        stage.send("stuck")
        doomed = stage.start(threads=1)
        assert stage.reports(1) == {"stuck started 0"}
        server.stop()

        assert doomed.wait(PATIENCE_S) == STUCK_EXIT_CODE


def test_a_job_that_freezes_the_interpreter_ends_its_process(stage: Stage) -> None:
    """No Python thread runs any more; all stacks are written by a timer outside of it, and the code is 1."""
    doomed = stage.start(threads=2)
    # Dramatiq waits half a minute for a worker that dies before it has said that it booted.
    assert eventually(lambda: "is ready for action" in stage.log.read_text())
    stage.send("frozen")
    assert stage.reports(1) == {"frozen started 0"}

    assert doomed.wait(PATIENCE_S) == 1

    assert "in frozen\n" in stage.log.read_text()
    assert stage.held() == 1, "it comes back with its worker's heartbeat"


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_notified_job_is_interrupted_and_another_worker_finishes_it(
    stage: Stage, stop: signal.Signals
) -> None:
    """A deploy in the middle of a long job costs it no attempt, and the worker stops cleanly."""
    stage.send("notified")
    leaving = stage.start(threads=1)
    assert stage.reports(1) == {"notified started 0"}

    leaving.send_signal(stop)

    assert stage.reports(1) == {"notified cleaned up 0"}
    assert leaving.wait(PATIENCE_S) == 0
    stage.start(threads=1)
    assert stage.reports(1) == {"notified done 0"}
