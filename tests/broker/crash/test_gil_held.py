"""A job in C code that keeps the interpreter's lock: its worker runs no Python for long, and lives all the same."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest
import redis

from app.embedded import Servers
from tests.broker.conftest import MakeBroker
from tests.broker.crash.holding_host import TIMEOUT_MS, declare
from tests.broker.stage import places
from tests.middleware.crash.scenario import ROOT
from tests.middleware.waiting import eventually

PATIENCE_S = 30

Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def namespace() -> str:
    return uuid4().hex


@pytest.fixture
def start(servers: Servers, namespace: str) -> Iterator[Start]:
    """Starts worker processes, killed with the test at the latest."""
    with ExitStack() as ending:

        def launch() -> "subprocess.Popen[bytes]":
            command = [
                sys.executable,
                "-m",
                "tests.broker.crash.holding_host",
                servers.redis_url,
                namespace,
            ]
            process = ending.enter_context(
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
            ending.callback(process.kill)
            return process

        yield launch


def test_a_job_that_holds_the_lock_for_three_time_outs_runs_once(
    start: Start, namespace: str, new_broker: MakeBroker, raw: "redis.Redis"
) -> None:
    """Beside a worker that would have taken it over, had its own been silent; and its end counts."""
    broker = new_broker(namespace=namespace, heartbeat_timeout=TIMEOUT_MS)
    job = declare(broker, raw)

    def heard(report: str) -> str:
        found = raw.blpop([f"{namespace}:test:{report}"], PATIENCE_S)
        assert found is not None, f"nothing {report}"
        return _text(found[1])

    holding = start()
    job.send(True)
    assert heard("begun") == f"{holding.pid} True"
    worker_id = _text(raw.zrange(f"{broker.base}:workers", 0, -1)[0])
    began_ms = _now_ms(raw)
    other = start()
    job.send(False)
    assert heard("begun") == f"{other.pid} False"

    def beaten_for_ms() -> float:
        return (raw.zscore(f"{broker.base}:workers", worker_id) or 0) - began_ms

    assert eventually(lambda: beaten_for_ms() > 3 * TIMEOUT_MS)
    assert heard("ended") == f"{other.pid} False"
    assert holding.stdin is not None
    holding.stdin.write(b".")
    holding.stdin.flush()

    assert heard("ended") == f"{holding.pid} True"
    assert eventually(lambda: places(raw, broker) == {})
    assert raw.exists(f"{namespace}:test:begun", f"{namespace}:test:ended") == 0


def _text(answer: object) -> str:
    assert isinstance(answer, bytes)
    return answer.decode()


def _now_ms(client: "redis.Redis") -> int:
    seconds, micros = client.time()
    return int(seconds * 1_000 + micros // 1_000)
