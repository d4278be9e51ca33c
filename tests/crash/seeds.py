"""What kill tests fill a world with, and how they look at it."""

from collections.abc import Iterable
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Engine, RowMapping, Table, func, insert, select

from adapters.database.tables import domain_registry, orgs
from adapters.database.unit_of_work import SystemUnitOfWork

#: Encrypts what the worlds keep encrypted.
SECRET_KEY = "k" * 32


def new_org(engine: Engine) -> UUID:
    """An org that nobody else uses."""
    org_id = uuid4()
    put(engine, orgs, {"id": org_id, "name": "An org"})
    return org_id


def new_domain(engine: Engine, org_id: UUID) -> UUID:
    """A domain of the org's."""
    domain_id = uuid4()
    put(engine, domain_registry, {"org_id": org_id, "id": domain_id, "host": f"{domain_id}.example"})
    return domain_id


def put(engine: Engine, table: Table, *rows: dict[str, object]) -> None:
    """Add rows to one table."""
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(insert(table).values(list(rows)))


def rows(engine: Engine, table: Table, *where: ColumnElement[bool]) -> list[RowMapping]:
    """The rows that are there."""
    with SystemUnitOfWork(engine) as unit:
        return list(unit.connection.execute(select(table).where(*where)).mappings())


def counts(engine: Engine, tables: Iterable[Table], org_id: UUID) -> dict[str, int]:
    """How many rows of an org's each of these tables has."""
    with SystemUnitOfWork(engine) as unit:
        return {
            table.name: unit.connection.scalar(
                select(func.count()).select_from(table).where(table.c.org_id == org_id)
            )
            or 0
            for table in tables
        }
