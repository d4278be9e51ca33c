"""The windows of a hundred entities are one query, answered from the index alone; starts find their rows by index."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Engine, event, text

from adapters.database.engine import create_engine
from adapters.database.experiments import SqlExperiments
from adapters.database.feedback import SqlFeedback
from adapters.database.migrate import upgrade
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from domain.feedback import Entity
from domain.limits import Limits
from tests.databases import Database
from tests.middleware.eventually import eventually

#: Twenty orgs; each with a hundred entities, one of them loved by everybody, and with experiments that ran.
FILL = """
    INSERT INTO orgs (id, name)
        SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'An org' FROM generate_series(1, 20) AS n;
    INSERT INTO feedback_events (org_id, source, event_id, entity_type, entity_id, sentiment, occurred_at)
        SELECT id, 'api', 'event ' || n, 'content',
            CASE WHEN n % 2 = 0 THEN '0' ELSE (n % 100)::text END, 'positive', now() - n * interval '1 hour'
        FROM orgs, generate_series(1, 5000) AS n;
    INSERT INTO domain_registry (org_id, id, host) SELECT id, id, id || '.example' FROM orgs;
    INSERT INTO experiments (org_id, id, domain_id, name, status)
        SELECT orgs.id, gen_random_uuid(), orgs.id, 'e', 'ready' FROM orgs, generate_series(1, 100);
    INSERT INTO experiment_variants (org_id, id, experiment_id, name)
        SELECT org_id, gen_random_uuid(), id, 'v' || n FROM experiments, generate_series(1, 5) AS n;
    INSERT INTO experiment_runs (org_id, id, experiment_id, status, triggered_by, ended_at)
        SELECT org_id, gen_random_uuid(), id, 'completed', 'ann', now() FROM experiments, generate_series(1, 5);
"""
ORG = UUID(int=1)
EXPERIMENT = uuid4()
HUNDRED = [Entity("content", str(number)) for number in range(100)]


@pytest.fixture(scope="module")
def busy(new_database: Callable[[], Database]) -> Iterator[Engine]:
    """The planner knows how many rows there are, and decides as it would in production."""
    database = new_database()
    upgrade(database.owner_url)
    engine = create_engine(database.worker_url)
    with SystemUnitOfWork(engine) as unit:
        for statement in FILL.split(";")[:-1]:
            unit.connection.execute(text(statement))
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        # A second time if need be: whoever looks at the database at that moment keeps pages from counting as clean.
        assert eventually(lambda: _is_clean(owner))
    yield engine
    engine.dispose()


@pytest.mark.parametrize("entities", [HUNDRED, HUNDRED[:1], HUNDRED[1:2]], ids=["hundred", "loved", "usual"])
@pytest.mark.parametrize("windows", [(7, 30, 90), (3650,)], ids=["usual", "long"])
def test_windows_are_counted_from_the_index_only(
    busy: Engine, entities: list[Entity], windows: tuple[int, ...]
) -> None:
    """One query for all entities and windows; no row of the table is looked at, and none of another entity."""
    now = datetime.now(UTC)
    plan = _plan(busy, lambda unit: SqlFeedback(unit, limits=Limits()).count_windows(entities, windows, now))
    assert _indexes(plan) == {("Index Only Scan", "ix_feedback_events_window")}
    assert not [node for node in plan if node["Node Type"] == "Seq Scan"]
    [scan] = [node for node in plan if node["Node Type"] == "Index Only Scan"]
    for column in ("org_id", "entity_type", "entity_id", "occurred_at"):
        assert column in str(scan["Index Cond"])


@pytest.mark.parametrize(
    ("read", "indexes"),
    [
        (lambda unit: SqlExperiments(unit).lock_runs(EXPERIMENT), {"uq_experiment_runs_running"}),
        (lambda unit: SqlExperiments(unit).lock_experiment(EXPERIMENT), {"pk_experiments"}),
        (
            lambda unit: SqlExperiments(unit).count_variants(EXPERIMENT),
            {"uq_experiment_variants_org_id_experiment_id_name"},
        ),
        (
            lambda unit: SqlExperiments(unit).runs(EXPERIMENT, EXPERIMENT),
            {"ix_experiment_runs_newest"},
        ),
    ],
    ids=["lock_runs", "lock_experiment", "count_variants", "runs"],
)
def test_a_start_finds_its_rows_by_index(
    busy: Engine, read: Callable[[UnitOfWork], object], indexes: set[str]
) -> None:
    """However many experiments there are and however often each has run."""
    assert {name for _, name in _indexes(_plan(busy, read))} == indexes


def _is_clean(owner: psycopg.Connection) -> bool:
    owner.execute("VACUUM ANALYZE")
    [all_visible] = owner.execute(
        "SELECT relallvisible >= 0.99 * relpages FROM pg_class WHERE relname = 'feedback_events'"
    ).fetchone() or [False]
    return bool(all_visible)


def _indexes(plan: list[dict[str, object]]) -> set[tuple[str, str]]:
    return {(str(node["Node Type"]), str(node["Index Name"])) for node in plan if "Index Name" in node}


def _plan(engine: Engine, read: Callable[[UnitOfWork], object]) -> list[dict[str, object]]:
    """The nodes of the one query's plan, outermost first."""
    sent: list[tuple[str, dict[str, object]]] = []

    def note(
        connection: object, cursor: object, statement: str, parameters: dict[str, object], *_: object
    ) -> None:
        sent.append((statement, parameters))

    with UnitOfWork(engine, ORG) as unit:
        event.listen(unit.connection, "before_cursor_execute", note)
        read(unit)
        event.remove(unit.connection, "before_cursor_execute", note)
        [(statement, parameters)] = sent
        explained = unit.connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        return list(_nodes(explained.scalar_one()[0]["Plan"]))


def _nodes(node: dict[str, object]) -> Iterator[dict[str, object]]:
    yield node
    children = node.get("Plans", [])
    for child in children if isinstance(children, list) else []:
        yield from _nodes(child)
