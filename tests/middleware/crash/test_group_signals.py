"""Dramatiq's own command, an event loop in its workers, and signals that reach a whole group of processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import redis
from dramatiq import Message

from app.embedded import Servers
from broker import FairRedisBroker
from tests.middleware.crash.scenario import PATIENCE_S, ROOT
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow


@dataclass
class Stage:
    """A command with one worker process, and what its jobs say."""

    process: "subprocess.Popen[bytes]"
    client: Any
    namespace: str

    def begin(self, actor: str) -> None:
        """Send a job, and wait until it runs."""
        sender = FairRedisBroker(client=self.client, namespace=self.namespace)
        sender.enqueue(Message(queue_name="default", actor_name=actor, args=(), kwargs={}, options={}))
        assert self.client.brpop([f"{self.namespace}:begun"], timeout=PATIENCE_S)

    def signal_all(self) -> None:
        """As a process manager that stops a group."""
        os.killpg(self.process.pid, signal.SIGTERM)

    def done(self) -> list[bytes]:
        """Jobs that ended."""
        found: list[bytes] = self.client.lrange(f"{self.namespace}:done", 0, -1)
        return found


@pytest.fixture
def stage(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """The command, killed with the test at the latest."""
    namespace = uuid4().hex
    monkeypatch.setenv("SIGNALLED_JOBS", f"{servers.redis_url} {namespace}")
    module = "tests.middleware.crash.signalled_jobs"
    process = subprocess.Popen(
        [sys.executable, "-m", "dramatiq", module, "--processes", "1", "--threads", "2"],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with redis.Redis.from_url(servers.redis_url, socket_timeout=None) as client:
            yield Stage(process, client, namespace)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("actor", ["gated", "awaited"])
def test_a_signal_to_the_whole_group_is_one_request(stage: Stage, actor: str) -> None:
    """Each worker gets it twice and more; what runs may end, and the command ends with code 0."""
    stage.begin(actor)
    for _ in range(2):
        stage.signal_all()
    stage.client.lpush(f"{stage.namespace}:gate", "open")

    assert stage.process.wait(PATIENCE_S) == 0
    assert stage.done() == [actor.encode()]


def test_who_insists_is_obeyed_in_spite_of_an_event_loop(stage: Stage) -> None:
    """The loop's thread does not keep the process."""
    stage.begin("awaited")
    stage.signal_all()
    signalled_s = time.monotonic()
    assert eventually(lambda: time.monotonic() - signalled_s > 2.5)

    stage.signal_all()

    assert stage.process.wait(15) != 0
    assert stage.done() == []
