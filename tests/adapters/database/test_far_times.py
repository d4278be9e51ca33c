"""Content that was made or published beyond Python's calendar is exported like any other."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from adapters.database.exports import SqlExports
from adapters.database.transactions import SqlTransactions
from adapters.database.unit_of_work import UnitOfWork
from domain.export_records import ContentRow, Cursor
from tests.tenants import Tenant

#: Newest first, two rows each, as PostgreSQL sorts them.
TIMES = (
    "infinity",
    "294276-12-31 23:59:59+00",
    "10000-01-01 00:00:00+00",
    "9999-12-31 23:59:59+00",
    "2026-01-01 00:00:00+00",
    "0044-03-15 00:00:00+00 BC",
    "-infinity",
)
_INSERT = text(
    "INSERT INTO content_items (org_id, id, domain_id, title, content_type, status, created_at, published_at) "
    "VALUES (:org, :id, :domain, 'T', 'article', 'published', CAST(:at AS timestamptz), CAST(:at AS timestamptz))"
)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_pages_hold_every_row_once_whatever_its_time(
    engine: Engine, new_tenant: Callable[[], Tenant], size: int
) -> None:
    """In the database's order, also where a page ends among rows of one far time."""
    tenant = new_tenant()
    for at in (*TIMES, *TIMES):
        _insert(engine, tenant, uuid4(), at)
    rows: list[ContentRow] = []
    after: Cursor | None = None
    while page := _page(engine, tenant, after, size):
        rows += page
        after = page[-1].cursor

    assert len({row.id for row in rows}) == 2 * len(TIMES) == len(rows)
    assert [row.created_at for row in rows if isinstance(row.created_at, str)] == [
        at for at in TIMES for _ in range(2) if not at.startswith("2026")
    ]
    assert all(row.created_at == row.published_at for row in rows)


def _insert(engine: Engine, tenant: Tenant, id_: UUID, at: str) -> None:
    with UnitOfWork(engine, tenant.org_id) as unit:
        row = {"org": tenant.org_id, "id": id_, "domain": tenant.domain_id, "at": at}
        unit.connection.execute(_INSERT, row)


def _page(engine: Engine, tenant: Tenant, after: Cursor | None, size: int) -> list[ContentRow]:
    exports = SqlTransactions(engine, SqlExports, lambda: None)
    return exports(tenant.org_id, lambda rows: rows.content_page(tenant.domain_id, None, after, size))
