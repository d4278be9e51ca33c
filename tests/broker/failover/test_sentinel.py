"""A primary that ends or freezes under load: Sentinel promotes a replica, and everybody goes on with that."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from dramatiq import Message
from dramatiq.errors import ConnectionClosed
from redis.sentinel import Sentinel

from broker import FairRedisBroker, Inspector, client_from_url
from broker.leasing.heartbeat import HeartbeatSender
from broker.leasing.heartbeat_address import Address
from tests.broker.failover.servers import SERVICE, watched
from tests.middleware.crash.scenario import ROOT
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow

#: From the promotion to the first send that returns and the first job that runs, in seconds.
BACK_S = {"kill": 3.0, "freeze": 5.0}


@pytest.mark.parametrize("ending", ["kill", "freeze"])
def test_a_primary_that_is_lost_under_load_costs_seconds_and_no_message(tmp_path: Path, ending: str) -> None:
    """Nothing that a send returned for is missing, and nothing runs twice."""
    sends, runs = tmp_path / "sends", tmp_path / "runs"
    with watched() as servers, host("work", servers.url, runs), ExitStack() as sending:
        sending.enter_context(host("send", servers.url, sends))
        assert eventually(lambda: len(numbers(runs, "")) > 100)

        getattr(servers.primary, ending)()
        promoted_s = servers.await_promotion()

        sent_s, ran_s = first_after(sends, "=", promoted_s), first_after(runs, "", promoted_s)
        before = len(numbers(runs, ""))
        assert eventually(lambda: len(numbers(runs, "")) > before + 100)
        sending.close()

        returned = set(numbers(sends, "="))
        assert eventually(lambda: returned <= set(numbers(runs, "")))
        ran = numbers(runs, "")
        assert len(ran) == len(set(ran))
        assert sent_s - promoted_s < BACK_S[ending]
        assert ran_s - promoted_s < BACK_S[ending]


def test_the_primary_is_found_however_sentinel_is_named() -> None:
    """By a URL, a client or a Sentinel, decoding or not; the heartbeat's helper finds the next one, too."""
    with watched() as servers:
        sentinel = Sentinel(servers.addresses)  # type: ignore[no-untyped-call]
        ways: list[dict[str, Any]] = [
            {"url": servers.url},
            {"url": f"{servers.url}?db=0&decode_responses=true"},
            {"client": client_from_url(servers.url)},
            {"client": sentinel.master_for(SERVICE)},  # type: ignore[no-untyped-call]
            {"client": sentinel.master_for(SERVICE, decode_responses=True)},  # type: ignore[no-untyped-call]
            {"client": sentinel, "service_name": SERVICE},
        ]
        brokers = [FairRedisBroker(middleware=[], namespace="ways", **way) for way in ways]
        for number, broker in enumerate(brokers, start=1):
            broker.declare_queue("default")
            broker.enqueue(Message("default", "job", (), {}, {}))
            assert broker.do_qsize("default") == number
        look = Inspector(ways[4]["client"], brokers[0].base)
        assert look.depth("default")[0].ready == len(ways)

        worker_id, base, heartbeat = "w", brokers[0].base, HeartbeatSender(every_s=0.2)
        with servers.primary.client() as client:
            client.zadd(f"{base}:workers", {worker_id: 1})
            assert client.wait(2, 5_000) == 2
        heartbeat.start(worker_id, base, Address.from_client(brokers[3].client))
        servers.primary.kill()
        servers.await_promotion()

        with servers.new_primary().client() as client:
            assert eventually(lambda: (client.zscore(f"{base}:workers", worker_id) or 0) > 1)
            before = client.zscore(f"{base}:workers", worker_id) or 0
            assert eventually(lambda: (client.zscore(f"{base}:workers", worker_id) or 0) > before)
        heartbeat.stop()
        for broker in brokers:
            assert eventually(lambda broker=broker: _qsize(broker) == len(ways))  # type: ignore[misc]
            broker.close()


@contextmanager
def host(what: str, url: str, book: Path) -> Iterator[None]:
    """A process that keeps a book; stopped in order with the block."""
    book.touch()
    command = [sys.executable, "-m", "tests.broker.failover.work_host", what, url, str(book)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
        try:
            yield
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(20)
            finally:
                process.kill()


def numbers(book: Path, mark: str) -> list[int]:
    """All that stand there with this mark, in order."""
    return [number for number, _ in _lines(book, mark)]


def first_after(book: Path, mark: str, moment_s: float) -> float:
    """Wait for a line with this mark that is written after a moment. Returns when, by the monotonic clock."""
    assert eventually(lambda: any(when_s > moment_s for _, when_s in _lines(book, mark)))
    return next(when_s for _, when_s in _lines(book, mark) if when_s > moment_s)


def _qsize(broker: FairRedisBroker) -> int | None:
    with suppress(ConnectionClosed):
        return broker.do_qsize("default")
    return None


def _lines(book: Path, mark: str) -> Iterator[tuple[int, float]]:
    for row in book.read_text().splitlines(keepends=True):
        word, _, when_s = row.partition(" ")
        digits = word.lstrip("+=!?")
        if row.endswith("\n") and word == mark + digits:
            yield int(digits), float(when_s)
