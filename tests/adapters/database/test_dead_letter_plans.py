"""Pages of dead letters are read from an index, in its order, however many there are."""

from collections.abc import Callable, Iterator
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Engine, event, text

from adapters.database.dead_letters import SqlDeadLetterBox, SqlDeadLetters
from adapters.database.engine import create_engine
from adapters.database.migrate import upgrade
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from middleware.dead_letters.letter import DeadLetter
from tests.databases import Database

#: Twenty orgs with a thousand letters each, half of them of one category.
FILL = """
    INSERT INTO publishing_dlq (id, org_id, queue, error_category, message, created_at)
    SELECT gen_random_uuid(), ('00000000-0000-0000-0000-' || lpad((n % 20)::text, 12, '0'))::uuid, 'q',
        CASE WHEN n % 40 < 20 THEN 'timeout' ELSE 'network' END, 'm', now() - n * interval '1 second'
    FROM generate_series(1, 20000) AS n
"""
ORG = "00000000-0000-0000-0000-000000000001"

Box = SqlDeadLetterBox[DeadLetter]


@pytest.fixture(scope="module")
def busy(new_database: Callable[[], Database]) -> Iterator[Engine]:
    """The planner knows how many rows there are, and decides as it would in production."""
    database = new_database()
    upgrade(database.owner_url)
    engine = create_engine(database.worker_url)
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(text(FILL))
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE publishing_dlq")
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("read", "index"),
    [
        (lambda box, after: box.list(limit=100), "ix_publishing_dlq_newest"),
        (lambda box, after: box.list(after=after, limit=100), "ix_publishing_dlq_newest"),
        (
            lambda box, after: box.list_by_category("timeout", after=after, limit=100),
            "ix_publishing_dlq_category_newest",
        ),
    ],
    ids=["first", "next", "category"],
)
def test_an_orgs_pages_are_not_sorted(busy: Engine, read: Callable[[Box, str], object], index: str) -> None:
    """One org's, under row-level security."""
    box = SqlDeadLetters(busy, DeadLetter.from_record).of_org(ORG)
    after = box.list(limit=1)[0].cursor

    assert _indexes(busy, lambda: read(box, after)) == (index, False)


def test_an_operators_pages_are_not_sorted(busy: Engine) -> None:
    """All orgs', as the system role."""
    box = SqlDeadLetters(busy, DeadLetter.from_record).of_every_org()

    assert _indexes(busy, lambda: box.list(limit=100), system=True) == ("ix_publishing_dlq_age", False)


def _indexes(engine: Engine, read: Callable[[], object], *, system: bool = False) -> tuple[str, bool]:
    """The index that the one query goes through, and whether its rows are sorted afterwards."""
    sent: list[tuple[str, dict[str, object]]] = []

    def note(
        connection: object, cursor: object, statement: str, parameters: dict[str, object], *_: object
    ) -> None:
        if "publishing_dlq" in statement:
            sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    read()
    event.remove(engine, "before_cursor_execute", note)
    [(statement, parameters)] = sent
    with SystemUnitOfWork(engine) if system else UnitOfWork(engine, UUID(ORG)) as unit:
        plan = unit.connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    nodes = list(_nodes(plan[0]["Plan"]))
    [index] = [str(node["Index Name"]) for node in nodes if "Index Name" in node]
    return index, any("Sort" in str(node["Node Type"]) for node in nodes)


def _nodes(node: dict[str, object]) -> Iterator[dict[str, object]]:
    yield node
    children = node.get("Plans", [])
    for child in children if isinstance(children, list) else []:
        yield from _nodes(child)
