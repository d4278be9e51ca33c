"""What differs between orgs, read for those who decide by it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Engine, delete, event, insert, text, update

from adapters.database.engine import create_engine
from adapters.database.migrate import upgrade
from adapters.database.org_shares import OrgShareRow, SqlOrgShares
from adapters.database.tables import orgs
from adapters.database.unit_of_work import SystemUnitOfWork
from tests.databases import Database
from tests.middleware.eventually import PATIENCE_S, eventually

PLAIN, OTHER = UUID(int=1), UUID(int=2)


@pytest.fixture
def own_database(new_database: Callable[[], Database]) -> Database:
    """No other test's orgs are there."""
    database = new_database()
    upgrade(database.owner_url)
    return database


@pytest.fixture
def fresh(own_database: Database) -> Iterator[Engine]:
    """On it, two orgs that have nothing of their own."""
    with ExitStack() as closing:
        engine = create_engine(own_database.worker_url)
        closing.callback(engine.dispose)
        with SystemUnitOfWork(engine) as unit:
            for org_id in (PLAIN, OTHER):
                unit.connection.execute(insert(orgs).values(id=org_id, name="An org"))
        yield engine


def change(engine: Engine, **values: object) -> None:
    """Have it in the row, as anybody may who can write there."""
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(update(orgs).where(orgs.c.id == OTHER).values(values))


def rows(engine: Engine) -> tuple[OrgShareRow, ...]:
    """All that differ."""
    with SqlOrgShares(engine).held() as now:
        return now.rows


def test_only_orgs_that_differ_are_read(fresh: Engine) -> None:
    """By weight, limit or region; what is no number is no limit."""
    assert rows(fresh) == ()
    change(fresh, weight=3)
    assert rows(fresh) == (OrgShareRow(org_id=OTHER, weight=3, max_active=None, region=None),)
    change(fresh, weight=1, region="eu")
    assert rows(fresh) == (OrgShareRow(org_id=OTHER, weight=1, max_active=None, region="eu"),)
    change(fresh, region=None, limits={"max_active": 5, "other": 7})
    assert rows(fresh) == (OrgShareRow(org_id=OTHER, weight=1, max_active=5, region=None),)
    for nonsense in ("5", 0, -1, True, 2.5, None):
        change(fresh, limits={"max_active": nonsense})
        assert rows(fresh) == (OrgShareRow(org_id=OTHER, weight=1, max_active=None, region=None),)
    change(fresh, limits={"other": 7})
    assert rows(fresh) == ()


def test_every_change_makes_another_version_and_nothing_else_does(fresh: Engine) -> None:
    """Also the end of an org, and a change by hand; a name is nobody's business here."""
    shares = SqlOrgShares(fresh)
    seen = [shares.version()]
    for values in (
        {"weight": 2},
        {"weight": 3},
        {"region": "eu"},
        {"region": "us"},
        {"limits": {"max_active": 2}},
        {"limits": {"max_active": 3}},
    ):
        change(fresh, **values)
        seen.append(shares.version())
    change(fresh, name="Acme")
    assert shares.version() == seen[-1]
    with SystemUnitOfWork(fresh) as unit:
        unit.connection.execute(delete(orgs).where(orgs.c.id == OTHER))

    assert len(set(seen)) == len(seen)
    assert shares.version() == seen[0]
    with shares.held() as now:
        assert now.version == seen[0]


def test_who_passes_on_what_it_read_is_isolated(fresh: Engine) -> None:
    """The next one reads when the first is done, and so never something older."""
    change(fresh, weight=2)
    reported: list[int] = []

    def pass_on() -> None:
        with SqlOrgShares(fresh).held() as now:
            reported.extend(row.weight for row in now.rows)

    def waits() -> bool:
        with SystemUnitOfWork(fresh) as unit:
            query = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            return bool(unit.connection.scalar(query))

    second = threading.Thread(target=pass_on)
    with SqlOrgShares(fresh).held() as now:
        second.start()
        assert eventually(waits)
        change(fresh, weight=3)
        reported.extend(row.weight for row in now.rows)
    second.join(PATIENCE_S)

    assert reported == [2, 3]


def test_an_orgs_region_is_looked_up(fresh: Engine) -> None:
    """None where it has none, or is not there."""
    shares = SqlOrgShares(fresh)
    change(fresh, region="eu")

    assert (shares.region(OTHER), shares.region(PLAIN), shares.region(UUID(int=3))) == ("eu", None, None)


def test_a_look_reads_those_that_differ_and_not_the_table(fresh: Engine, own_database: Database) -> None:
    """However many orgs there are: the version comes from the partial index."""
    with SystemUnitOfWork(fresh) as unit:
        unit.connection.execute(
            text(
                "INSERT INTO orgs (id, name, weight) "
                "SELECT gen_random_uuid(), 'An org', CASE WHEN n % 500 = 0 THEN 2 ELSE 1 END "
                "FROM generate_series(1, 20000) AS n"
            )
        )
    with psycopg.connect(own_database.owner_url, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE orgs")
    sent: list[tuple[str, Any]] = []

    def note(connection: object, cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    event.listen(fresh, "before_cursor_execute", note)
    SqlOrgShares(fresh).version()
    event.remove(fresh, "before_cursor_execute", note)

    begin, (statement, parameters) = sent
    with SystemUnitOfWork(fresh) as unit:
        explained = unit.connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        plan = str(explained.scalar_one())
    assert "set_config" in begin[0]
    # Not a parameter: a plan for any value of it could not use the index.
    assert "limits ? 'max_active'" in statement
    assert "ix_orgs_shares" in plan
    assert "Seq Scan" not in plan
