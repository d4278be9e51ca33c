"""Every query of the repositories finds its rows by an index, as the worker role and under row-level security."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Engine, event, select, text

from adapters.database.engine import create_engine
from adapters.database.exports import SqlExports
from adapters.database.ideas import SqlIdeas
from adapters.database.migrate import upgrade
from adapters.database.tables import domain_registry
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from domain.domain_export import DateRange
from domain.limits import Limits
from tests.databases import Database

NOW = datetime.now(UTC)
WEEK = timedelta(days=7)
RANGE = DateRange(start=NOW - 2 * WEEK, end=NOW)

Query = Callable[[UnitOfWork, UUID], object]


#: A hundred orgs with twenty domains each, one of which is in use; with fewer rows the right plan would be to read
#: them all.
FILL = """
    INSERT INTO orgs (id, name) SELECT gen_random_uuid(), 'An org' FROM generate_series(1, 100);
    INSERT INTO domain_registry (org_id, id, host)
        SELECT id, gen_random_uuid(), n || '.example' FROM orgs, generate_series(1, 20) AS n;
    INSERT INTO domain_settings (org_id, domain_id, name, value)
        SELECT org_id, id, 'setting ' || n, 'true' FROM domain_registry, generate_series(1, 20) AS n
        WHERE host = '1.example';
    INSERT INTO idempotency_keys (org_id, job_type, key, holder, expires_at)
        SELECT id, 'content_idea_generation', 'key ' || n, id, now() + interval '1 day'
        FROM orgs, generate_series(1, 50) AS n;
    INSERT INTO keyword_metrics (org_id, domain_id, keyword, day, position)
        SELECT org_id, id, 'keyword ' || n, current_date - ago, 1
        FROM domain_registry, generate_series(1, 40) AS n, generate_series(0, 29) AS ago
        WHERE host = '1.example';
    INSERT INTO content_items (org_id, id, domain_id, title, content_type, status, created_at)
        SELECT org_id, gen_random_uuid(), id, 'A title', 'article', 'draft', now() - n * interval '1 hour'
        FROM domain_registry, generate_series(1, 100) AS n WHERE host = '1.example';
    INSERT INTO content_performance (org_id, content_id, day)
        SELECT org_id, id, current_date - ago FROM content_items, generate_series(0, 4) AS ago;
"""
#: Years of content for one domain.
FILL_ONE = """
    INSERT INTO content_items (org_id, id, domain_id, title, content_type, status, created_at)
    SELECT :org_id, gen_random_uuid(), :domain_id, 'A title', 'article', 'draft', now() - n * interval '1 minute'
    FROM generate_series(1, 20000) AS n
"""


@dataclass(frozen=True)
class Busy:
    """A database with enough rows; org and domain of one like most, and of one with years of content."""

    engine: Engine
    usual: tuple[UUID, UUID]
    large: tuple[UUID, UUID]


@pytest.fixture(scope="module")
def busy(new_database: Callable[[], Database]) -> Iterator[Busy]:
    """The planner knows how many rows there are, and decides as it would in production."""
    database = new_database()
    upgrade(database.owner_url)
    engine = create_engine(database.worker_url)
    with SystemUnitOfWork(engine) as unit:
        for statement in FILL.split(";")[:-1]:
            unit.connection.execute(text(statement))
        used = select(domain_registry.c.org_id, domain_registry.c.id).where(
            domain_registry.c.host == "1.example"
        )
        large, usual = unit.connection.execute(used.limit(2))
        unit.connection.execute(text(FILL_ONE), {"org_id": large.org_id, "domain_id": large.id})
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE")
    yield Busy(engine, (usual.org_id, usual.id), (large.org_id, large.id))
    engine.dispose()


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        (lambda unit, domain: _ideas(unit).domain_exists(domain), {"pk_domain_registry"}),
        (lambda unit, domain: _ideas(unit).batch_for_key("key 1"), {"pk_idempotency_keys"}),
        (
            lambda unit, domain: _ideas(unit).keyword_averages(domain, ["keyword 1", "keyword 2"], 30),
            {"pk_keyword_metrics"},
        ),
        (lambda unit, domain: SqlExports(unit).domain_name(domain), {"pk_domain_registry"}),
        (
            lambda unit, domain: SqlExports(unit).content_page(domain, None, None, 100),
            {"ix_content_items_newest"},
        ),
        (
            lambda unit, domain: SqlExports(unit).content_page(domain, RANGE, (NOW, uuid4()), 100),
            {"ix_content_items_newest"},
        ),
        (
            lambda unit, domain: SqlExports(unit).content_performance(domain, NOW - WEEK, NOW, 100),
            {"ix_content_items_newest", "pk_content_performance"},
        ),
        (
            lambda unit, domain: SqlExports(unit).keyword_performance(domain, NOW - WEEK, NOW, 100),
            {"ix_keyword_metrics_day"},
        ),
        (lambda unit, domain: SqlExports(unit).settings(domain), {"pk_domain_settings"}),
    ],
)
def test_queries_use_their_index(busy: Busy, query: Query, indexes: set[str]) -> None:
    """The plan goes through the index that was made for the query."""
    assert {
        node["Index Name"] for node in _plan(busy.engine, busy.usual, query) if "Index Name" in node
    } == indexes


@pytest.mark.parametrize("after", [None, (NOW - WEEK, uuid4())], ids=["first", "next"])
@pytest.mark.parametrize("date_range", [None, RANGE], ids=["whole", "range"])
def test_pages_are_not_sorted(
    busy: Busy, after: tuple[datetime, UUID] | None, date_range: DateRange | None
) -> None:
    """A page costs its own rows however many there are: the index has them in order."""
    plan = _plan(
        busy.engine,
        busy.large,
        lambda unit, domain: SqlExports(unit).content_page(domain, date_range, after, 100),
    )
    kinds = [str(node["Node Type"]) for node in plan]
    assert "Index Scan" in kinds
    assert "Sort" not in kinds


def _ideas(unit: UnitOfWork) -> SqlIdeas:
    return SqlIdeas(unit, limits=Limits())


def _plan(engine: Engine, owner: tuple[UUID, UUID], query: Query) -> list[dict[str, object]]:
    """The nodes of the query's plan, outermost first."""
    org_id, domain_id = owner
    sent: list[tuple[str, dict[str, object]]] = []

    def note(
        connection: object, cursor: object, statement: str, parameters: dict[str, object], *_: object
    ) -> None:
        sent.append((statement, parameters))

    with UnitOfWork(engine, org_id) as unit:
        event.listen(unit.connection, "before_cursor_execute", note)
        query(unit, domain_id)
        event.remove(unit.connection, "before_cursor_execute", note)
        [(statement, parameters)] = sent
        explained = unit.connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        return list(_nodes(explained.scalar_one()[0]["Plan"]))


def _nodes(node: dict[str, object]) -> Iterator[dict[str, object]]:
    yield node
    children = node.get("Plans", [])
    for child in children if isinstance(children, list) else []:
        yield from _nodes(child)
