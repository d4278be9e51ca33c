"""Engines on the migrated database, and orgs of a test's own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, insert

from adapters.database.engine import create_engine
from adapters.database.tables import domain_registry, orgs
from adapters.database.unit_of_work import SystemUnitOfWork
from tests.databases import Database


@dataclass(frozen=True)
class Tenant:
    """An org with one domain."""

    org_id: UUID
    domain_id: UUID
    host: str


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    """The worker role's engine."""
    engine = create_engine(database.worker_url, pool_size=10)
    yield engine
    engine.dispose()


@pytest.fixture
def new_tenant(engine: Engine) -> Callable[[], Tenant]:
    """Makes orgs that nothing else uses."""

    def make() -> Tenant:
        tenant = Tenant(org_id=uuid4(), domain_id=uuid4(), host=f"{uuid4().hex}.example")
        with SystemUnitOfWork(engine) as unit:
            unit.connection.execute(insert(orgs).values(id=tenant.org_id, name="An org"))
            unit.connection.execute(
                insert(domain_registry).values(org_id=tenant.org_id, id=tenant.domain_id, host=tenant.host)
            )
        return tenant

    return make


@pytest.fixture
def tenant(new_tenant: Callable[[], Tenant]) -> Tenant:
    """One of them."""
    return new_tenant()
