"""Workers of two regions: each runs the jobs of its own region's orgs, whoever sent them, and no other's."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from sqlalchemy import Engine, select, text, update

from adapters.database.tables import job_attempts, orgs
from adapters.database.unit_of_work import SystemUnitOfWork
from tests.databases import Database
from tests.folders import open_folder
from tests.middleware.own_server import own_valkey

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[5]
#: How long workers may take to start and to run some jobs, in seconds.
PATIENCE_S = 90
#: Jobs of an org: one by each way of sending.
WAYS = 4

#: Sends a job for each org named, by each way that a process of the platform has; the schedule's is a worker's.
SENDING = """
import json, sys
from uuid import UUID, uuid4

from actors import experiment_start
from adapters.database.engine import create_engine
from adapters.database.unit_of_work import UnitOfWork
from app.bootstrap.worker.outbox import build_outbox
from app.control import OrgCaller, build_control
from app.cli.send import send_json
from app.settings import load_settings
from domain.experiment_start import ExperimentStart

settings = load_settings()
engine = create_engine(settings.database_url.get_secret_value())
with build_control(settings) as control:
    for org in map(UUID, sys.argv[1:]):
        caller = OrgCaller(org_id=org, who="ann", reason="test")
        experiment_start.send(ExperimentStart(org_id=org, experiment_id=uuid4(), triggered_by="send"))
        told = {"experiment_id": str(uuid4()), "triggered_by": "control"}
        control.jobs.enqueue(caller, "experiment_start", told)
        send_json("experiment_start", json.dumps({**told, "org_id": str(org), "triggered_by": "cli"}))
        with UnitOfWork(engine, org) as unit:
            job = ExperimentStart(org_id=org, experiment_id=uuid4(), triggered_by="outbox")
            build_outbox().send(unit, "experiment_start", job)
"""

#: A schedule that is due.
SCHEDULE = text("""
    INSERT INTO schedules
        (org_id, id, name, actor, expression, tz, payload, missed, paused, next_due_at, created_by)
    VALUES (:org_id, gen_random_uuid(), 'nightly', 'experiment_start', '0 0 1 1 *', 'UTC',
        CAST(:payload AS jsonb), 'coalesce', false, date_trunc('minute', now()), 'ann')
""")


class Platform:
    """Servers of the test's own, and processes that find them."""

    def __init__(self, redis_url: str, database: Database, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.log = home / "log"
        self.client: Any = redis.Redis.from_url(redis_url)
        self._environment = {
            **os.environ,
            "DATABASE_URL": database.worker_url,
            "REDIS_URL": redis_url,
            "PRESSROOM_HOME": str(home),
            "PRESSROOM_SECRET_KEYS": json.dumps(["0" * 32]),
        }

    @contextmanager
    def worker(self, region: str) -> Iterator[None]:
        """One worker process of a region."""
        environment = {**self._environment, "PRESSROOM_REGION": region}
        words = ["-m", "broker", "worker", "--threads", "2", "--", "actors"]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *words], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_S)

    def send(self, *org_ids: UUID) -> None:
        """A job for each, in every way but by schedule."""
        subprocess.run(
            [sys.executable, "-c", SENDING, *map(str, org_ids)],
            cwd=ROOT,
            env=self._environment,
            check=True,
            timeout=PATIENCE_S,
        )

    def schedule(self, *org_ids: UUID) -> None:
        """A job for each, by a schedule that is due."""
        with SystemUnitOfWork(self.engine) as unit:
            for org_id in org_ids:
                payload = json.dumps({"experiment_id": str(uuid4()), "triggered_by": "schedule"})
                unit.connection.execute(SCHEDULE, {"org_id": org_id, "payload": payload})

    def attempts(self, org_id: UUID) -> list[tuple[str, str]]:
        """Queue and worker of each job that ended."""
        columns = job_attempts.c
        query = select(columns.queue, columns.worker).where(
            columns.org_id == org_id, columns.outcome == "failed"
        )
        with SystemUnitOfWork(self.engine) as unit:
            return [(queue, worker) for queue, worker in unit.connection.execute(query)]

    def waiting(self, queue: str) -> int:
        """Messages that nobody has finished."""
        return int(self.client.hget("pressroom:{0}:n", queue) or 0)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what the processes do."""
        until_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < until_s, self.log.read_text()[-4_000:]
            self.client.blpop(["nobody-pushes-there"], timeout=0.05)


@pytest.fixture
def platform(database: Database, engine: Engine) -> Iterator[Platform]:
    """Nothing runs yet but the servers."""
    with own_valkey() as server, open_folder() as home:
        made = Platform(server.url, database, engine, home)
        yield made
        made.client.close()


def test_a_worker_runs_its_own_regions_jobs_and_no_others(platform: Platform, new_tenant: Any) -> None:
    """However they were sent: by an actor, the API, the command line, an outbox, a schedule."""
    eu, us, anywhere = (new_tenant().org_id for _ in range(3))
    with SystemUnitOfWork(platform.engine) as unit:
        for org_id, region in ((eu, "eu"), (us, "us")):
            unit.connection.execute(update(orgs).where(orgs.c.id == org_id).values(region=region))
    # Nobody has told Redis of regions yet: the table is asked.
    platform.send(eu, us, anywhere)
    platform.schedule(eu, us, anywhere)

    with platform.worker("eu"):
        platform.until(lambda: len(platform.attempts(eu)) == len(platform.attempts(anywhere)) == WAYS + 1)
        # The relay and the schedules of this worker have sent those of the other region, and it has run none.
        platform.until(lambda: platform.waiting("experiments.us") == WAYS + 1)
        assert platform.attempts(us) == []
        with platform.worker("us"):
            platform.until(lambda: len(platform.attempts(us)) == WAYS + 1)
            # Both run now, and both are told of regions by Redis.
            platform.send(eu, us)
            platform.until(lambda: len(platform.attempts(us)) == len(platform.attempts(eu)) == 2 * WAYS + 1)

    assert {queue for queue, _ in platform.attempts(eu)} == {"experiments.eu"}
    assert {queue for queue, _ in platform.attempts(us)} == {"experiments.us"}
    assert {queue for queue, _ in platform.attempts(anywhere)} == {"experiments"}
    eu_workers, us_workers = ({worker for _, worker in platform.attempts(each)} for each in (eu, us))
    assert len(eu_workers) == len(us_workers) == 1
    assert eu_workers != us_workers
