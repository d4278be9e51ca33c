"""A domain changes hands by one UPDATE; everything below it goes along."""

from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, func, select, update

from adapters.database.tables import domain_registry, tenant_tables
from adapters.database.unit_of_work import SystemUnitOfWork

from .samples import insert_family, insert_org

#: What is an org's own and stays when one of its domains goes: its history, its feedback, its keys.
STAYS = {
    "ai_usage",
    "audit_log",
    "domain_transfer_tokens",
    "feedback_events",
    "feedback_metrics",
    "idempotency_keys",
    "job_attempts",
    "job_executions",
    "outbox",
    "publishing_dlq",
    "schedules",
}


def test_everything_below_a_domain_moves_with_it(engine: Engine) -> None:
    """The receiver gets every row below the domain, the giver keeps all the rest, and nothing is lost."""
    giver, receiver = uuid4(), uuid4()
    with SystemUnitOfWork(engine) as unit:
        for org_id in (giver, receiver):
            insert_org(unit.connection, org_id)
        moving = insert_family(unit.connection, giver)
        insert_family(unit.connection, giver)
        insert_family(unit.connection, receiver)

        unit.connection.execute(
            update(domain_registry)
            .where(domain_registry.c.id == moving["domain_registry"]["id"])
            .values(org_id=receiver, transferred_from=giver, transferred_at=func.now())
        )

        moves = {table.name for table in tenant_tables()} - STAYS
        assert _rows(unit.connection, giver) == dict.fromkeys(moves, 1) | dict.fromkeys(STAYS, 2)
        assert _rows(unit.connection, receiver) == dict.fromkeys(moves, 2) | dict.fromkeys(STAYS, 1)


def test_a_domain_goes_with_all_that_is_below_it(engine: Engine) -> None:
    """Deleting a domain leaves none of its rows."""
    org_id = uuid4()
    with SystemUnitOfWork(engine) as unit:
        insert_org(unit.connection, org_id)
        insert_family(unit.connection, org_id)
        unit.connection.execute(domain_registry.delete().where(domain_registry.c.org_id == org_id))
        left = {name for name, rows in _rows(unit.connection, org_id).items() if rows}
    assert left == STAYS


def _rows(connection: Connection, org_id: UUID) -> dict[str, int | None]:
    return {
        table.name: connection.scalar(select(func.count()).select_from(table).where(table.c.org_id == org_id))
        for table in tenant_tables()
    }
