"""From a schedule to the job that it starts: in real workers, and when one is killed in the middle."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import dramatiq
import pytest
from sqlalchemy import Engine, delete, func, select, update

from adapters.database.tables import schedules
from adapters.database.unit_of_work import SystemUnitOfWork
from app.bootstrap.worker.outbox import relay_outbox
from app.bootstrap.worker.periodic_tasks import BackgroundTasks
from app.bootstrap.worker.schedules import fire_schedules, keep_schedules
from app.embedded import Servers
from app.settings import Settings
from domain.schedule_keeping import NewSchedule
from domain.schedules import message_id_of
from tests.adapters.outbox.letters import Letter, a_broker, rows
from tests.app.bootstrap.worker.outbox.guarded_broker import guarded_broker
from tests.databases import Database
from tests.middleware.eventually import eventually
from tests.tenants import Tenant

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[5]
SCHEDULES = 3
#: Connection, settings, selection, time, two for each schedule, COMMIT about to be sent, connection given back.
STEPS = 6 + 2 * SCHEDULES


@pytest.fixture
def settings(database: Database, servers: Servers) -> Settings:
    """Where the servers are."""
    return Settings.model_validate({"database_url": database.worker_url, "redis_url": servers.redis_url})


@pytest.fixture
def due(engine: Engine, settings: Settings, tenant: Tenant) -> set[UUID]:
    """Three schedules that are due, with letters 0 to 2; the ids of their ticks. There are no others."""
    keep, broker = keep_schedules(settings, engine, lambda: broker), a_broker()
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(delete(schedules))
    for number in range(SCHEDULES):
        new = NewSchedule(name=str(number), actor="deliver", expression="@yearly", payload={"number": number})
        keep.add(tenant.org_id, new, created_by="ann")
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(update(schedules).values(next_due_at=func.date_trunc("minute", func.now())))
        found = unit.connection.execute(select(schedules.c.id, schedules.c.next_due_at)).all()
    return {message_id_of(schedule_id, at) for schedule_id, at in found}


def left(engine: Engine) -> int:
    """Schedules that are due still."""
    with SystemUnitOfWork(engine) as unit:
        query = select(func.count()).select_from(schedules).where(schedules.c.next_due_at <= func.now())
        return unit.connection.scalar(query) or 0


@pytest.mark.parametrize("dies_after", range(1, STEPS + 2))
def test_killed_after_any_step_every_tick_is_sent_once(
    engine: Engine, database: Database, due: set[UUID], dies_after: int
) -> None:
    """Up to the COMMIT nothing has happened, after it everything; the next worker does what is left."""
    reported = json.dumps({"database_url": database.worker_url, "dies_after": dies_after})
    worker = subprocess.run(
        [sys.executable, "-m", "tests.app.bootstrap.worker.schedules.dying_worker", reported],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )

    assert worker.returncode == (-signal.SIGKILL if dies_after <= STEPS else 0)
    if dies_after > STEPS:
        assert int(worker.stdout) == STEPS
    committed = dies_after >= STEPS
    assert {each["id"] for each in rows(engine)} == (due if committed else set())
    assert left(engine) == (0 if committed else SCHEDULES)

    fire = fire_schedules(engine, a_broker())
    # The dead worker's locks go with its connection, which the server notices in its own time.
    assert eventually(lambda: not fire() and left(engine) == 0)
    assert {each["id"] for each in rows(engine)} == due
    assert len(rows(engine)) == SCHEDULES


def test_workers_run_what_is_due(
    engine: Engine, servers: Servers, settings: Settings, tenant: Tenant, due: set[UUID]
) -> None:
    """Two of them, with nothing but their duties to start it: each letter once, for its org, by its tick's id."""
    delivered: list[tuple[UUID, int]] = []
    duties = [
        BackgroundTasks(settings, {"schedules": fire_schedules, "outbox": relay_outbox}) for _ in range(2)
    ]
    namespace = f"t{uuid4().hex}"

    def deliver(letter: Letter) -> None:
        delivered.append((letter.org_id, letter.number))

    with guarded_broker(servers.redis_url, namespace, deliver, *duties) as broker:
        workers = [dramatiq.Worker(broker, worker_timeout=50, worker_threads=2) for _ in range(2)]
        for each in workers:
            each.start()
        try:
            assert eventually(lambda: len(delivered) >= SCHEDULES and not rows(engine))
            broker.join("default")
        finally:
            for each in workers:
                each.stop()

    assert sorted(delivered, key=lambda each: each[1]) == [
        (tenant.org_id, number) for number in range(SCHEDULES)
    ]
    with SystemUnitOfWork(engine) as unit:
        assert set(unit.connection.scalars(select(schedules.c.last_message_id))) == due
