"""`pressroom queues drain-dramatiq`: off Dramatiq's own broker."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import Engine

from app.cli.root import cli
from domain.errors import ProviderUnavailable
from tests.app.cli.commands import Commands, as_operator
from tests.databases import Database
from tests.middleware.brokers import close
from tests.middleware.own_server import own_valkey
from tests.tenants import Tenant

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
LATER_MS = 3_600_000


def test_jobs_of_the_old_broker_come_over(
    engine: Engine, database: Database, new_tenant: Callable[[], Tenant], tmp_path: Path
) -> None:
    """Into their orgs' lanes, with their actors' priorities; who did it and why is kept."""
    org = str(new_tenant().org_id)
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        vanilla = RedisBroker(url=server.url, namespace="pressroom")  # type: ignore[no-untyped-call]
        for delay in (None, None, LATER_MS):
            vanilla.enqueue(
                dramatiq.Message(
                    queue_name="experiments",
                    actor_name="experiment_start",
                    args=({"org_id": org},),
                    kwargs={},
                    options={"org": org},
                ),
                delay=delay,
            )

        def run(*arguments: str) -> dict[str, dict[str, int]]:
            words = [
                "-m",
                "app",
                "queues",
                "drain-dramatiq",
                "--json",
                *as_operator("off the old"),
                *arguments,
            ]
            where = {
                "DATABASE_URL": database.worker_url,
                "REDIS_URL": server.url,
                "PRESSROOM_HOME": str(tmp_path),
            }
            done = subprocess.run(
                [sys.executable, *words],
                cwd=ROOT,
                env={**os.environ, **where},
                check=True,
                capture_output=True,
                text=True,
            )
            reported: dict[str, dict[str, int]] = json.loads(done.stdout)["queues"]["experiments"]
            return reported

        there = run("--dry-run")["left"]
        moved = run("--follow")["moved"]
        base = "pressroom:{0}"
        lanes = client.zrange(f"{base}:ql:experiments:{org}", 0, -1)
        counted = client.hget(f"{base}:n", "experiments")
        close(vanilla)

    assert (there["ready"], there["delayed"]) == (2, 1)
    assert (moved["ready"], moved["delayed"]) == (2, 1)
    assert [lane.decode().partition(":")[0] for lane in lanes if isinstance(lane, bytes)] == [
        "experiment_start"
    ]
    assert lanes != [b"experiment_start:0"]
    assert counted == b"3"
    commands = Commands(engine, new_tenant().org_id, new_tenant().org_id)
    assert commands.audited("queues.drain_stock", "*")[-1] == ("off the old", None)


def test_a_server_that_is_away_is_said(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what to do; without a reason nothing is begun."""
    import app.broker

    away = RedisBroker(url="redis://127.0.0.1:1")  # type: ignore[no-untyped-call]
    monkeypatch.setattr(app.broker.broker, "client", away.client)

    refused = commands.run(cli, "queues", "drain-dramatiq", as_=as_operator())
    mistaken = commands.run(cli, "queues", "drain-dramatiq", as_=())

    assert isinstance(refused.exception, ProviderUnavailable)
    assert "run it again" in str(refused.exception)
    assert mistaken.exit_code == 2
