"""A database whose outbox nobody else uses: a relay takes whatever is due, whosever it is."""

from collections.abc import Callable, Iterator

import pytest
import stamina
from sqlalchemy import Engine, delete

from adapters.database.migrate import upgrade
from adapters.database.tables import outbox
from adapters.database.unit_of_work import SystemUnitOfWork
from tests.databases import Database


@pytest.fixture(scope="package")
def database(new_database: Callable[[], Database]) -> Database:
    """Migrated, and these tests' own."""
    fresh = new_database()
    upgrade(fresh.owner_url)
    return fresh


@pytest.fixture(autouse=True)
def _outbox_is_empty(engine: Engine) -> None:
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(delete(outbox))


@pytest.fixture(autouse=True)
def _retries_do_not_wait() -> Iterator[None]:
    with stamina.set_testing(True, attempts=100, cap=True):
        yield
