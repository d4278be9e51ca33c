"""The clean-up reads its pages from indexes, in their order, however much media there is."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Engine, event, text

from adapters.database.engine import create_engine
from adapters.database.media import SqlMedia
from adapters.database.migrate import upgrade
from adapters.database.unit_of_work import SystemUnitOfWork
from domain.media_cleanup import MediaItem
from tests.databases import Database

DAY = timedelta(days=1)

#: Twenty orgs with a thousand items each; most are shown somewhere and were looked at of late.
FILL = """
    INSERT INTO orgs (id, name) SELECT gen_random_uuid(), 'An org' FROM generate_series(1, 20);
    INSERT INTO domain_registry (org_id, id, host) SELECT id, gen_random_uuid(), 'a.example' FROM orgs;
    INSERT INTO content_items (org_id, id, domain_id, title, content_type, status)
        SELECT org_id, gen_random_uuid(), id, 'A title', 'article', 'draft' FROM domain_registry;
    INSERT INTO media_assets (org_id, id, domain_id, object_key, media_type, storage, cold_at, last_accessed_at,
            last_referenced_at)
        SELECT org_id, gen_random_uuid(), id, gen_random_uuid(), 'image/png',
            CASE n % 100 WHEN 1 THEN 'cooling' WHEN 2 THEN 'deleting' ELSE 'hot' END, now(),
            now() - n * interval '1 hour', now() - n * interval '1 hour'
        FROM domain_registry, generate_series(1, 1000) AS n;
    INSERT INTO media_references (org_id, media_id, content_id)
        SELECT m.org_id, m.id, c.id FROM media_assets AS m JOIN content_items AS c USING (domain_id)
        WHERE storage = 'hot' AND random() < 0.9;
"""
BY_KEY = {"uq_media_assets_object_key", "ix_media_assets_unfinished"}
AFTER = MediaItem(
    media_id=uuid4(),
    object_key="8",
    media_type="image/png",
    storage="hot",
    since=datetime.now(UTC) - 38 * DAY,
)


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
        owner.execute("VACUUM ANALYZE")
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        (lambda media: media.unfinished(None, 100), {"ix_media_assets_unfinished"}),
        (lambda media: media.unfinished(AFTER.object_key, 100), {"ix_media_assets_unfinished"}),
        (
            lambda media: media.orphans(7 * DAY, None, 100),
            {"ix_media_assets_last_referenced", "pk_media_references"},
        ),
        (
            lambda media: media.orphans(7 * DAY, AFTER, 100),
            {"ix_media_assets_last_referenced", "pk_media_references"},
        ),
        (lambda media: media.unseen(30 * DAY, None, 100), {"ix_media_assets_to_cool"}),
        (lambda media: media.unseen(30 * DAY, AFTER, 100), {"ix_media_assets_to_cool"}),
    ],
    ids=lambda value: None if isinstance(value, set) else "",
)
def test_pages_are_read_in_an_indexs_order(
    busy: Engine, query: Callable[[SqlMedia], object], indexes: set[str]
) -> None:
    """A page costs its own rows: none is sorted, no table is read through."""
    [plan] = _plans(busy, query)

    assert {node["Index Name"] for node in plan if "Index Name" in node} == indexes
    assert [kind for node in plan if (kind := str(node["Node Type"])) in ("Sort", "Seq Scan")] == []


@pytest.mark.parametrize(
    "change",
    [
        lambda media: media.condemn(_keys(), 7 * DAY),
        lambda media: media.cool(_keys(), 30 * DAY),
        lambda media: media.settle(_keys()),
    ],
    ids=["condemn", "cool", "settle"],
)
def test_a_batch_is_found_by_its_keys(busy: Engine, change: Callable[[SqlMedia], object]) -> None:
    """Every statement of every change, or among the few that are unfinished."""
    plans = _plans(busy, change)

    assert len(plans) >= 2
    for plan in plans:
        assert "Seq Scan" not in [str(node["Node Type"]) for node in plan]
        assert BY_KEY & {node.get("Index Name") for node in plan}


def _keys() -> list[str]:
    return [str(UUID(int=number)) for number in range(100)]


def _plans(engine: Engine, query: Callable[[SqlMedia], object]) -> list[list[dict[str, object]]]:
    """The nodes of each statement's plan, outermost first."""
    sent: list[tuple[str, dict[str, object]]] = []

    def note(
        connection: object, cursor: object, statement: str, parameters: dict[str, object], *_: object
    ) -> None:
        sent.append((statement, parameters))

    with SystemUnitOfWork(engine) as unit:
        event.listen(unit.connection, "before_cursor_execute", note)
        query(SqlMedia(unit))
        event.remove(unit.connection, "before_cursor_execute", note)
        explained = [
            unit.connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
            for statement, parameters in sent
        ]
    return [list(_nodes(each[0]["Plan"])) for each in explained]


def _nodes(node: dict[str, object]) -> Iterator[dict[str, object]]:
    yield node
    children = node.get("Plans", [])
    for child in children if isinstance(children, list) else []:
        yield from _nodes(child)
