"""Worker processes that are killed: what they held runs elsewhere, in order (frozen ones are in `promises/`)."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import dramatiq
import pytest
import redis

from app.embedded import Servers
from broker import FairRedisBroker
from tests.broker.conftest import MakeBroker
from tests.broker.crash.worker_host import declare
from tests.broker.workers import folders
from tests.middleware.crash.scenario import ROOT
from tests.middleware.eventually import eventually

#: The host's `heartbeat_timeout`, in milliseconds.
TIMEOUT_MS = 2_000
PATIENCE_S = 30


class Hosted:
    """Processes on one broker, and what they report."""

    def __init__(self, servers: Servers, new_broker: MakeBroker, raw: "redis.Redis") -> None:
        self.url = servers.redis_url
        self.raw = raw
        self.broker: FairRedisBroker = new_broker(namespace=uuid4().hex, heartbeat_timeout=TIMEOUT_MS)
        self.step: dramatiq.Actor[[int], None] = declare(self.broker, raw)

    @contextmanager
    def worker(self, threads: int = 1) -> Iterator["subprocess.Popen[bytes]"]:
        """A process at work, killed at the latest with the block."""
        command = [
            sys.executable,
            "-m",
            "tests.broker.crash.worker_host",
            self.url,
            self.broker.namespace,
            str(threads),
        ]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def next(self, report: str) -> int:
        """What a job reports next."""
        found = self.raw.blpop([f"{self.broker.namespace}:test:{report}"], PATIENCE_S)
        assert found is not None, f"nothing {report}"
        return int(found[1])

    def let_on(self, count: int = 1) -> None:
        """Open the gate for so many jobs."""
        self.raw.rpush(f"{self.broker.namespace}:test:gate", *["go"] * count)


@pytest.fixture
def hosted(servers: Servers, new_broker: MakeBroker, raw: "redis.Redis") -> Hosted:
    return Hosted(servers, new_broker, raw)


def test_a_killed_workers_messages_come_back_first_and_in_order(hosted: Hosted) -> None:
    """On an idle queue: nothing but another worker's beats looks after them."""
    with hosted.worker() as doomed:
        for n in range(2):
            hosted.step.send(n)
        assert hosted.next("begun") == 0
        assert eventually(lambda: folders(hosted.raw, hosted.broker).get("leased", 0) >= 1)
        doomed.kill()
        doomed.wait()
        for n in (2, 3):
            hosted.step.send(n)

    with hosted.worker():
        hosted.let_on(5)
        begun = [hosted.next("begun") for _ in range(4)]
        assert [hosted.next("ended") for _ in range(4)] == begun
        assert sorted(begun) == [0, 1, 2, 3]
        # What was ready ran while the dead worker was not yet given up; what it held kept its order.
        assert begun.index(2) < begun.index(3)
        assert eventually(lambda: folders(hosted.raw, hosted.broker) == {})
        workers = hosted.raw.zcard(f"{hosted.broker.base}:workers")
        assert workers == 1
