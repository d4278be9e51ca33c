"""Who is beaten for: worker processes, and nobody who only sends or consumes by hand."""

import os

import psutil
import pytest
import redis

from app.embedded import Servers
from broker import FairRedisBroker
from tests.broker.conftest import MakeBroker
from tests.broker.supervisor.supervised import Stage
from tests.broker.workers import started
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow


class Elsewhere(redis.UnixDomainSocketConnection):
    """A connection of somebody's own making."""


def helpers() -> list[int]:
    """The helper processes of this one."""
    return [
        child.pid
        for child in psutil.Process(os.getpid()).children()
        if child.status() != psutil.STATUS_ZOMBIE and child.cmdline()[-1].endswith("heartbeat_process.py")
    ]


def test_a_worker_has_one_helper_for_as_long_as_it_works(fair: FairRedisBroker) -> None:
    """However many queues it works."""
    for queue in ("default", "mail", "images"):
        fair.declare_queue(queue)

    with started(fair):
        assert eventually(lambda: len(helpers()) == 1)

    assert helpers() == []


def test_who_sends_or_consumes_by_hand_has_none(fair: FairRedisBroker) -> None:
    """An application must not pay for what only workers need."""
    fair.declare_queue("default")

    assert next(fair.consume("default", timeout=1)) is None

    assert helpers() == []


def test_where_the_helper_cannot_connect_the_worker_beats_by_itself(
    servers: Servers, new_broker: MakeBroker, raw: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    """And says so: it works as before, except that a job must not hold the lock for long."""
    plain = redis.ConnectionPool.from_url(servers.redis_url)
    pool = redis.ConnectionPool(connection_class=Elsewhere, **plain.connection_kwargs)
    broker = new_broker(client=redis.Redis(connection_pool=pool), heartbeat_timeout=500)
    broker.declare_queue("default")

    def last_beat_ms() -> float:
        beats = raw.zrange(f"{broker.base}:workers", 0, -1, withscores=True)
        return float(beats[0][1]) if beats else 0.0

    with started(broker):
        assert eventually(lambda: last_beat_ms() > 0)
        first_ms = last_beat_ms()
        assert eventually(lambda: last_beat_ms() > first_ms + 500)
        assert helpers() == []
    assert "No helper process beats for this worker (The heartbeat's helper cannot connect" in caplog.text


def test_the_supervisor_hears_who_its_worker_is_to_the_broker(stage: Stage) -> None:
    """So that the broker can be told of its death."""
    supervised = stage.command(module="tests.broker.supervisor.fair_jobs")

    worker_id = supervised.wait_for("worker_ready")["worker_id"]

    stage.wait_until(
        lambda: stage.client.zscore(f"{stage.space}:{{0}}:workers", worker_id or "none") is not None
    )
