"""Looking for what is due costs next to nothing, however many schedules there are."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event, text

from adapters.database.engine import create_engine
from adapters.database.migrate import upgrade
from adapters.database.schedules import SqlDueSchedules
from adapters.database.unit_of_work import SystemUnitOfWork
from domain.schedules import PATIENCE
from tests.databases import Database

from .firing import Firing

#: A hundred orgs with two hundred schedules each, all due some time in the coming days.
FILL = """
    INSERT INTO orgs (id, name) SELECT gen_random_uuid(), 'An org' FROM generate_series(1, 100);
    INSERT INTO schedules
        (org_id, id, name, actor, expression, tz, payload, missed, paused, next_due_at, created_by)
    SELECT id, gen_random_uuid(), n::text, 'report', 'every 60', 'UTC', '{}', 'skip', n % 2 = 0,
        date_trunc('minute', now()) + n * interval '1 hour', 'ann'
    FROM orgs, generate_series(1, 200) AS n;
"""


@pytest.fixture(scope="module")
def busy(new_database: Callable[[], Database]) -> Iterator[Engine]:
    """The planner knows how many rows there are, and decides as it would in production."""
    database = new_database()
    upgrade(database.owner_url)
    with ExitStack() as closing:
        engine = create_engine(database.worker_url)
        closing.callback(engine.dispose)
        with SystemUnitOfWork(engine) as unit:
            for statement in FILL.split(";")[:-1]:
                unit.connection.execute(text(statement))
        with psycopg.connect(database.owner_url, autocommit=True) as owner:
            owner.execute("VACUUM ANALYZE")
        yield engine


def test_looking_for_what_is_due_costs_a_look_into_an_index(busy: Engine) -> None:
    """The one query of an idle second reads the index in its order, and sorts nothing."""
    sent: list[tuple[str, Any]] = []

    def note(connection: object, cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    with SystemUnitOfWork(busy) as unit:
        event.listen(unit.connection, "before_cursor_execute", note)
        assert SqlDueSchedules(unit, lambda *_: None).due(100, known={"report"}, patience=PATIENCE) == []
        event.remove(unit.connection, "before_cursor_execute", note)
        [(statement, parameters)] = sent
        explained = unit.connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        plan = str(explained.scalar_one())

    assert "'Index Name': 'ix_schedules_due'" in plan
    assert "Sort" not in plan
    assert "Seq Scan" not in plan


def test_an_idle_look_is_one_query(busy: Engine) -> None:
    """Beside the one that begins the transaction."""
    statements: list[str] = []
    event.listen(busy, "before_cursor_execute", lambda _, __, statement, *___: statements.append(statement))

    Firing(busy)()

    assert len(statements) == 2
