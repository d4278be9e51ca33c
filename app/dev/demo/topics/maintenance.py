"""Nightly maintenance, now: idempotency keys that are past their time go."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import uuid4

from sqlalchemy import func, insert, select

from actors import database_maintenance
from adapters.database.tables import idempotency_keys
from adapters.database.unit_of_work import UnitOfWork
from app.dev.demo.sent import Left, Sent, Stage, sent

#: The kind of job whose keys these are.
JOB_TYPE = "demo"
KEYS_PER_SITE = 25


def send(stage: Stage) -> list[Sent]:
    """Leave some expired keys with each domain's org, and have them removed."""
    for site in stage.sites:
        with UnitOfWork(stage.engine, site.org_id) as unit:
            key = {"org_id": site.org_id, "job_type": JOB_TYPE, "expires_at": stage.now - timedelta(hours=1)}
            rows = [{**key, "key": str(uuid4()), "holder": uuid4()} for _ in range(KEYS_PER_SITE)]
            unit.connection.execute(insert(idempotency_keys).values(rows))
    look: Callable[[], Left] = partial(_look, stage)
    return [sent(database_maintenance.send(), None, "remove what is past its time", look)]


def _look(stage: Stage) -> Left:
    left = 0
    for org_id in {site.org_id for site in stage.sites}:
        with UnitOfWork(stage.engine, org_id) as unit:
            keys = idempotency_keys.c
            query = select(func.count()).where(keys.org_id == org_id, keys.job_type == JOB_TYPE)
            left += unit.connection.scalar(query) or 0
    fault = f"{left} expired keys are still there" if left else ""
    return Left(count=KEYS_PER_SITE * len(stage.sites), where="idempotency_keys", fault=fault)
