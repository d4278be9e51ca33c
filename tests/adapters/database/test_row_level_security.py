"""Row-level security, table by table: the metadata says which, so a new table is tested by itself."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import (
    Connection,
    Engine,
    Executable,
    Select,
    Table,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import ProgrammingError

from adapters.database.tables import audit_log, cron_ticks, orgs, tenant_tables
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from tests.tenants import Tenant

from .samples import Row, insert_family, insert_org, is_row, sample

each_tenant_table = pytest.mark.parametrize("table", tenant_tables(), ids=lambda table: str(table.name))

#: What the worker role may do to tables that are not like the others.
SPECIAL_GRANTS = {
    "audit_log": {"SELECT", "INSERT"},
    "orgs": {"SELECT"},
    "cron_ticks": set[str](),
    "alembic_version": {"SELECT"},
}


@pytest.fixture
def family(engine: Engine) -> dict[str, Row]:
    """One row of an org in every table."""
    org_id = uuid4()
    with SystemUnitOfWork(engine) as unit:
        insert_org(unit.connection, org_id)
        return {**insert_family(unit.connection, org_id), "orgs": {"id": org_id}}


@each_tenant_table
def test_an_org_finds_its_own_row(engine: Engine, family: dict[str, Row], table: Table) -> None:
    """An org reads its own rows."""
    row = family[table.name]
    with UnitOfWork(engine, _org(family)) as unit:
        assert unit.connection.scalar(_count(table, row)) == 1


@each_tenant_table
def test_another_org_finds_nothing(
    engine: Engine, family: dict[str, Row], tenant: Tenant, table: Table
) -> None:
    """Another org's row does not exist, also for who knows its key."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        assert unit.connection.scalar(_count(table, family[table.name])) == 0


@each_tenant_table
def test_another_org_changes_nothing(
    engine: Engine, family: dict[str, Row], tenant: Tenant, table: Table
) -> None:
    """Another org's row can be neither changed nor deleted."""
    row = family[table.name]
    with UnitOfWork(engine, tenant.org_id) as unit:
        statements = (
            update(table).where(*is_row(table, row)).values(org_id=tenant.org_id),
            delete(table).where(*is_row(table, row)),
        )
        assert [_touched(unit.connection, statement) for statement in statements] == [0, 0]
    with SystemUnitOfWork(engine) as system:
        assert system.connection.scalar(_count(table, row)) == 1


@each_tenant_table
def test_no_row_is_written_for_another_org(
    engine: Engine, family: dict[str, Row], tenant: Tenant, table: Table
) -> None:
    """A row for another org is refused, and so is giving one away."""
    foreign = sample(table, _org(family), family)
    with pytest.raises(ProgrammingError) as inserted, UnitOfWork(engine, tenant.org_id) as unit:
        unit.connection.execute(insert(table).values(foreign))
    assert isinstance(inserted.value.orig, InsufficientPrivilege)

    own = update(table).where(*is_row(table, family[table.name])).values(org_id=tenant.org_id)
    with pytest.raises(ProgrammingError) as given, UnitOfWork(engine, _org(family)) as unit:
        unit.connection.execute(own)
    assert isinstance(given.value.orig, InsufficientPrivilege)


@each_tenant_table
def test_without_an_org_nothing_exists(engine: Engine, family: dict[str, Row], table: Table) -> None:
    """Without an org, before a unit of work as after one on the same connection, no row is visible."""
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(table)) == 0
    with UnitOfWork(engine, _org(family)) as unit:
        used = unit.connection.scalar(select(func.pg_backend_pid()))
    with engine.connect() as connection:
        assert connection.scalar(select(func.pg_backend_pid())) == used
        assert connection.scalar(select(func.count()).select_from(table)) == 0


@pytest.mark.parametrize(
    "table",
    [table for table in tenant_tables() if table.c.org_id.nullable],
    ids=lambda table: str(table.name),
)
def test_rows_of_the_platform_belong_to_no_org(engine: Engine, tenant: Tenant, table: Table) -> None:
    """A row without an org is visible to the system role alone, and no org can write one."""
    row = {**sample(table, tenant.org_id, {}), "org_id": None}
    with SystemUnitOfWork(engine) as system:
        system.connection.execute(insert(table).values(row))
    with UnitOfWork(engine, tenant.org_id) as unit:
        assert unit.connection.scalar(select(func.count()).where(table.c.org_id.is_(None))) == 0
    with (
        pytest.raises(ProgrammingError, match="row-level security"),
        UnitOfWork(engine, tenant.org_id) as unit,
    ):
        unit.connection.execute(insert(table).values({**sample(table, tenant.org_id, {}), "org_id": None}))


def test_an_org_sees_itself_only(engine: Engine, tenant: Tenant, new_tenant: Callable[[], Tenant]) -> None:
    """Of all orgs, an org sees its own row, and cannot change it."""
    new_tenant()
    with UnitOfWork(engine, tenant.org_id) as unit:
        assert unit.connection.scalars(select(orgs.c.id)).all() == [tenant.org_id]
    with UnitOfWork(engine, tenant.org_id) as unit:
        assert _touched(unit.connection, update(orgs).values(weight=1000)) == 0


@pytest.mark.parametrize("change", ["UPDATE audit_log SET reason = 'none'", "DELETE FROM audit_log"])
def test_the_audit_log_only_grows(engine: Engine, tenant: Tenant, change: str) -> None:
    """An org's job adds to the audit log and can neither change nor remove what stands there."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        unit.connection.execute(
            insert(audit_log).values(org_id=tenant.org_id, actor="a job", action="test", target="none")
        )
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        UnitOfWork(engine, tenant.org_id) as unit,
    ):
        unit.connection.execute(text(change))


def test_nobody_rewrites_the_audit_log(engine: Engine) -> None:
    """The system role too may only add to the audit log and remove what is past its retention."""
    with pytest.raises(ProgrammingError, match="permission denied"), SystemUnitOfWork(engine) as unit:
        unit.connection.execute(update(audit_log).values(reason="none"))


def test_ticks_are_the_systems(engine: Engine, tenant: Tenant) -> None:
    """A table without an org is out of reach of an org's job."""
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        UnitOfWork(engine, tenant.org_id) as unit,
    ):
        unit.connection.execute(select(cron_ticks))


def test_the_worker_may_do_what_it_needs_and_no_more(engine: Engine) -> None:
    """Every table has exactly the grants that it should have."""
    query = text(
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants "
        "WHERE grantee = 'pressroom_worker' AND table_schema = 'public'"
    )
    with engine.connect() as connection:
        granted: dict[str, set[str]] = {name: set() for name in SPECIAL_GRANTS}
        for name, privilege in connection.execute(query):
            granted.setdefault(name, set()).add(privilege)
    usual = {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert granted == {**{table.name: usual for table in tenant_tables()}, **SPECIAL_GRANTS}


def test_every_tenant_table_is_closed_to_its_owner_too(engine: Engine) -> None:
    """Row-level security is on, forced, and has both policies wherever the database has a column `org_id`."""
    query = text("""
        SELECT relation.relname, relrowsecurity AND relforcerowsecurity,
            array(SELECT polname::text FROM pg_policy WHERE polrelid = relation.oid ORDER BY polname)
        FROM pg_class AS relation JOIN pg_attribute ON attrelid = relation.oid
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
            AND attname = CASE relname WHEN 'orgs' THEN 'id' ELSE 'org_id' END
    """)
    with engine.connect() as connection:
        closed = {name: (forced, policies) for name, forced, policies in connection.execute(query)}
    assert closed == {
        name: (True, ["system", "tenant"]) for name in ("orgs", *(table.name for table in tenant_tables()))
    }


def _org(family: dict[str, Row]) -> UUID:
    org_id = family["orgs"]["id"]
    assert isinstance(org_id, UUID)
    return org_id


def _count(table: Table, row: Row) -> Select[int]:
    return select(func.count()).select_from(table).where(*is_row(table, row))


def _touched(connection: Connection, statement: Executable) -> int:
    """Rows it changed; a statement that is refused altogether changed none."""
    try:
        with connection.begin_nested():
            return connection.execute(statement).rowcount
    except ProgrammingError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        return 0
