"""Content that is due, as tests of the scheduler need it."""

from datetime import timedelta
from uuid import UUID, uuid4

import dramatiq
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import Engine, func, insert, select, text

from adapters.database.tables import content_items, publish_intents, publish_targets
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from adapters.outbox import SqlOutbox
from app.bootstrap.worker.outbox import MessageEncoder
from domain.publish_execution import PublishExecution
from middleware import Contracts
from tests.middleware.brokers import replace_stack
from tests.tenants import Tenant


def publishing_outbox() -> SqlOutbox:
    """One that knows `publish_execution`, which does nothing."""
    broker = StubBroker()
    replace_stack(broker, Contracts())

    @dramatiq.actor(broker=broker, queue_name="publishing")
    def publish_execution(job: PublishExecution) -> None: ...

    return SqlOutbox(MessageEncoder(lambda: broker))


def add_target(engine: Engine, tenant: Tenant, *, enabled: bool = True) -> UUID:
    """Somewhere to publish to."""
    target_id = uuid4()
    row = {
        "org_id": tenant.org_id,
        "id": target_id,
        "domain_id": tenant.domain_id,
        "name": target_id.hex,
        "adapter": "wordpress",
        "address": "https://site.example",
        "credentials": b"",
        "enabled": enabled,
    }
    with UnitOfWork(engine, tenant.org_id) as unit:
        unit.connection.execute(insert(publish_targets).values(row))
    return target_id


def add_content(
    engine: Engine, tenant: Tenant, count: int, *, status: str = "scheduled", due_in_s: float = -60
) -> list[UUID]:
    """Items of the tenant's domain, each due a little later than the one before; their ids in that order."""
    ids = [uuid4() for _ in range(count)]
    with UnitOfWork(engine, tenant.org_id) as unit:
        rows = [
            {
                "org_id": tenant.org_id,
                "id": content_id,
                "domain_id": tenant.domain_id,
                "title": f"Item {number}",
                "content_type": "article",
                "status": status,
                "publish_at": func.now() + timedelta(seconds=due_in_s, milliseconds=number),
            }
            for number, content_id in enumerate(ids)
        ]
        unit.connection.execute(insert(content_items).values(rows))
    return ids


def statuses(engine: Engine, tenant: Tenant) -> dict[UUID, str]:
    """Of the tenant's content, in the order it was due."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        query = select(content_items.c.id, content_items.c.status)
        return {
            row.id: row.status for row in unit.connection.execute(query.order_by(content_items.c.publish_at))
        }


def intents(engine: Engine, tenant: Tenant) -> list[tuple[UUID, UUID, UUID, str]]:
    """The tenant's: id, content, target, status."""
    columns = publish_intents.c
    with UnitOfWork(engine, tenant.org_id) as unit:
        query = select(columns.id, columns.content_id, columns.target_id, columns.status)
        return [
            (intent_id, content_id, target_id, status)
            for intent_id, content_id, target_id, status in unit.connection.execute(query)
        ]


def forget_everything(engine: Engine) -> None:
    """Leave nothing that is due, of any org."""
    with SystemUnitOfWork(engine) as unit:
        for table in ("outbox", "content_items"):
            unit.connection.execute(text(f"DELETE FROM {table}"))
