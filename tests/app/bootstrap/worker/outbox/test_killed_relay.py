"""A relay that is killed at any point: what was committed is sent at least once, and run once."""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from adapters.outbox import Relay
from app.bootstrap.worker.outbox import broker_sender
from app.embedded import Servers
from tests.adapters.outbox.letters import rows
from tests.databases import Database
from tests.middleware.brokers import stored, work
from tests.tenants import Tenant

from .guarded_broker import commit_letters, guarded_broker

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[5]
LETTERS = 3
#: Connection, settings, selection, one for each letter, deletion, COMMIT about to be sent, connection given back.
STEPS = 6 + LETTERS


def relay_once(
    database: Database, servers: Servers, namespace: str, dies_after: int
) -> "subprocess.Popen[str]":
    """A relay in a process of its own."""
    reported = {
        "database_url": database.worker_url,
        "redis_url": servers.redis_url,
        "namespace": namespace,
        "dies_after": dies_after,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.app.bootstrap.worker.outbox.dying_relay", json.dumps(reported)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("dies_after", range(1, STEPS + 2))
def test_killed_after_any_step_every_message_is_sent_and_runs_once(
    engine: Engine, database: Database, servers: Servers, tenant: Tenant, dies_after: int
) -> None:
    """Another relay sends what the killed one had not, or had not said; each letter is delivered once."""
    namespace, delivered = f"t{uuid4().hex}", list[int]()
    with guarded_broker(
        servers.redis_url, namespace, lambda letter: delivered.append(letter.number)
    ) as broker:
        ids = commit_letters(engine, broker, tenant, LETTERS)
        process = relay_once(database, servers, namespace, dies_after)
        reported, _ = process.communicate(timeout=60)
        assert process.returncode == (-signal.SIGKILL if dies_after <= STEPS else 0)
        if dies_after > STEPS:
            assert int(reported) == STEPS

        relay = Relay(engine, broker_sender(broker))
        while rows(engine):
            relay()

        copies = stored(broker, "default")
        assert {each.message_id for each in copies} == {str(each) for each in ids}
        sent_before = max(0, min(dies_after - 3, LETTERS))
        deleted = dies_after == STEPS or dies_after > STEPS
        assert len(copies) == LETTERS + (0 if deleted else sent_before)
        work(broker, "default", threads=4)
    assert sorted(delivered) == list(range(LETTERS))


def test_relays_killed_in_the_middle_of_a_crowd_lose_nothing(
    engine: Engine, database: Database, servers: Servers, tenant: Tenant
) -> None:
    """Two die at different points while two others relay the same two hundred messages."""
    namespace, delivered = f"t{uuid4().hex}", list[int]()
    with guarded_broker(
        servers.redis_url, namespace, lambda letter: delivered.append(letter.number)
    ) as broker:
        commit_letters(engine, broker, tenant, 200)
        dying = [relay_once(database, servers, namespace, dies_after) for dies_after in (10, 60)]

        def relay(_: int) -> None:
            one = Relay(engine, broker_sender(broker), batch_rows=7)
            while rows(engine):
                one()

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(relay, range(2)))
        for each in dying:
            each.communicate(timeout=60)
        work(broker, "default", threads=4)
    assert sorted(delivered) == list(range(200))
