"""An actor that tests of the outbox send to, and what lies in the outbox."""

from uuid import UUID

import dramatiq
from dramatiq.brokers.stub import StubBroker
from pydantic import SecretStr
from sqlalchemy import Engine, RowMapping, select

from adapters.database.tables import outbox
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from adapters.outbox import SqlOutbox
from app.bootstrap.worker.outbox import MessageEncoder
from domain.contract import TenantJob
from middleware import Contracts
from tests.middleware.brokers import replace_stack
from tests.tenants import Tenant


class Letter(TenantJob):
    """What the actor `deliver` takes."""

    number: int
    seal: SecretStr | None = None


def a_broker() -> StubBroker:
    """One that knows `deliver`, and checks what is sent to it."""
    broker = StubBroker()
    replace_stack(broker, Contracts())

    @dramatiq.actor(broker=broker)
    def deliver(letter: Letter) -> None: ...

    return broker


def an_outbox() -> SqlOutbox:
    """One that sends to it."""
    broker = a_broker()
    return SqlOutbox(MessageEncoder(lambda: broker))


def put(engine: Engine, tenant: Tenant, *, number: int = 1, delay_ms: int = 0) -> UUID:
    """Commit one letter."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        return an_outbox().send(
            unit, "deliver", Letter(org_id=tenant.org_id, number=number), delay_ms=delay_ms
        )


def rows(engine: Engine) -> list[RowMapping]:
    """What lies in the outbox, in the order it is due."""
    with SystemUnitOfWork(engine) as unit:
        query = select(outbox).order_by(outbox.c.due_at, outbox.c.id)
        return list(unit.connection.execute(query).mappings())
