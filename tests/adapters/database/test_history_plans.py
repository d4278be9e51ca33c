"""Pages of the history are read from indexes, in their order, however many attempts there are."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine, event, text

from adapters.database.engine import create_engine
from adapters.database.history import SqlHistoryStore
from adapters.database.maintenance import SqlMaintenance
from adapters.database.migrate import upgrade
from adapters.database.unit_of_work import SystemUnitOfWork
from middleware.history.guard import AttemptRecord
from tests.databases import Database

#: Twenty orgs with 2,500 attempts each, five at each message; of one in five hundred the last one runs.
FILL = """
    INSERT INTO job_attempts (id, org_id, message_id, actor, queue, attempt, outcome, started_at, finished_at)
    SELECT gen_random_uuid(), ('00000000-0000-0000-0000-' || lpad((n % 20)::text, 12, '0'))::uuid, 'message ' || n,
        'actor ' || n % 3, 'queue ' || n % 4, try,
        CASE WHEN try < 5 THEN 'retried' WHEN n % 500 = 1 THEN 'running' ELSE 'succeeded' END,
        at, CASE WHEN try < 5 OR n % 500 <> 1 THEN at + interval '1 second' END
    FROM generate_series(1, 10000) AS n, generate_series(1, 5) AS try,
        LATERAL (SELECT now() - n * interval '10 seconds' + try * interval '20 seconds' AS at) AS start
"""
ORG = "00000000-0000-0000-0000-000000000001"
BEFORE = (datetime.now(UTC) - timedelta(hours=1), uuid4())

History = SqlHistoryStore[AttemptRecord]


@pytest.fixture(scope="module")
def busy(new_database: Callable[[], Database]) -> Iterator[Engine]:
    """The planner knows how many rows there are, and decides as it would in production."""
    database = new_database()
    upgrade(database.owner_url)
    engine = create_engine(database.worker_url)
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(text(FILL))
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE job_attempts")
    yield engine
    engine.dispose()


NEWEST, OF_ALL = "ix_job_attempts_newest", "ix_job_attempts_newest_of_all"
MESSAGE, RUNNING = "ix_job_attempts_message", "ix_job_attempts_running"

READ: dict[str, tuple[Callable[[History], object], set[str]]] = {
    "recent": (lambda history: history.recent(org=ORG), {NEWEST}),
    "recent, of all": (lambda history: history.recent(), {OF_ALL}),
    "latest": (lambda history: history.latest(org=ORG, limit=50), {NEWEST, MESSAGE}),
    "latest, next page": (
        lambda history: history.latest(org=ORG, actor="actor 1", before=BEFORE, limit=50),
        {NEWEST, MESSAGE},
    ),
    "latest, of all": (
        lambda history: history.latest(outcome="succeeded", before=BEFORE, limit=50),
        {OF_ALL, MESSAGE},
    ),
}
#: Of the few that run, or that one message has.
READ_FEW: dict[str, tuple[Callable[[History], object], set[str]]] = {
    "message": (lambda history: history.attempts("message 7"), {MESSAGE}),
    "running": (lambda history: history.latest(org=ORG, outcome="running"), {RUNNING, MESSAGE}),
    "running, of all": (lambda history: history.latest(outcome="running"), {RUNNING, MESSAGE}),
}


@pytest.mark.parametrize(("read", "indexes"), READ.values(), ids=READ)
def test_pages_are_read_in_the_order_of_an_index(
    busy: Engine, read: Callable[[History], object], indexes: set[str]
) -> None:
    """The last attempt at each message is told by a look for a later one, by the message's index."""
    (plan,) = _plans(busy, lambda: read(SqlHistoryStore(busy, AttemptRecord)))

    assert _indexes(plan) == indexes
    assert {"Sort", "Seq Scan", "Hash"}.isdisjoint(_kinds(plan))


@pytest.mark.parametrize(("read", "indexes"), READ_FEW.values(), ids=READ_FEW)
def test_the_few_are_found_by_an_index(
    busy: Engine, read: Callable[[History], object], indexes: set[str]
) -> None:
    """And then sorted, since they are few."""
    (plan,) = _plans(busy, lambda: read(SqlHistoryStore(busy, AttemptRecord)))

    assert _indexes(plan) == indexes
    assert {"Seq Scan", "Hash"}.isdisjoint(_kinds(plan))


def test_what_runs_is_counted_without_reading_what_ran(busy: Engine) -> None:
    """By an index of the few."""
    (plan,) = _plans(busy, lambda: SqlHistoryStore(busy, AttemptRecord).running_by_queue())

    assert _indexes(plan) == {"ix_job_attempts_running"}


def test_maintenance_finds_what_is_old_by_an_index(busy: Engine) -> None:
    """What has ended by its end, what never did by its start."""

    def delete() -> None:
        with SystemUnitOfWork(busy) as unit:
            SqlMaintenance(unit).delete_aged("attempts", timedelta(days=30), 100)

    ended, running = _plans(busy, delete)

    assert "ix_job_attempts_finished" in _indexes(ended)
    assert "ix_job_attempts_running" in _indexes(running)
    assert "Seq Scan" not in _kinds(ended) | _kinds(running)


def test_the_last_attempt_at_each_message_is_what_stands_for_it(busy: Engine) -> None:
    """Over all pages: each message once."""
    history = SqlHistoryStore(busy, AttemptRecord)
    found: list[AttemptRecord] = []
    page = history.latest(org=ORG, limit=200)
    while page:
        found += page
        page = history.latest(org=ORG, before=(page[-1].started_at, page[-1].id), limit=200)

    assert len({each.message_id for each in found}) == len(found) == 500
    assert {each.attempt for each in found} == {5}


def _plans(engine: Engine, read: Callable[[], object]) -> list[list[dict[str, object]]]:
    """The nodes of the plans of all statements about attempts."""
    sent: list[tuple[str, dict[str, object]]] = []

    def note(
        connection: object, cursor: object, statement: str, parameters: dict[str, object], *_: object
    ) -> None:
        if "job_attempts" in statement:
            sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    read()
    event.remove(engine, "before_cursor_execute", note)
    with SystemUnitOfWork(engine) as unit:
        return [
            list(
                _nodes(
                    unit.connection.exec_driver_sql(
                        f"EXPLAIN (FORMAT JSON) {statement}", parameters
                    ).scalar_one()[0]["Plan"]
                )
            )
            for statement, parameters in sent
        ]


def _nodes(node: dict[str, object]) -> Iterator[dict[str, object]]:
    yield node
    children = node.get("Plans", [])
    for child in children if isinstance(children, list) else []:
        yield from _nodes(child)


def _indexes(plan: list[dict[str, object]]) -> set[object]:
    return {node["Index Name"] for node in plan if "Index Name" in node}


def _kinds(plan: list[dict[str, object]]) -> set[str]:
    return {str(node["Node Type"]) for node in plan}
