"""Media as the clean-up sees it, on the real database."""

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from adapters.database.media import SqlMedia
from adapters.database.tables import content_items, domain_registry, media_assets, media_references
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from domain.media_cleanup import MediaItem
from tests.tenants import Tenant

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
#: Older than anything that other tests leave, so that pages of these alone can be asked for.
AGE = timedelta(days=3000)
OLD = NOW - AGE - DAY


def put(engine: Engine, tenant: Tenant, **values: object) -> str:
    """A media row; its object key."""
    key = f"{tenant.org_id}/{uuid4()}"
    row = {"org_id": tenant.org_id, "domain_id": tenant.domain_id, "id": uuid4(), "object_key": key}
    row |= {"media_type": "image/png", "storage": "hot"}
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(insert(media_assets).values(**row | values))
    return key


def refer(unit: UnitOfWork, tenant: Tenant, key: str) -> None:
    """Show the media in an article of its org's."""
    media_id = unit.connection.scalar(select(media_assets.c.id).where(media_assets.c.object_key == key))
    content_id = uuid4()
    unit.connection.execute(
        insert(content_items).values(
            org_id=tenant.org_id,
            domain_id=tenant.domain_id,
            id=content_id,
            title="An article",
            content_type="article",
            status="draft",
        )
    )
    unit.connection.execute(
        insert(media_references).values(org_id=tenant.org_id, media_id=media_id, content_id=content_id)
    )


def referred(engine: Engine, tenant: Tenant, key: str) -> None:
    """In a transaction of its own."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        refer(unit, tenant, key)


def storage_of(engine: Engine, *keys: str) -> list[str | None]:
    """What the rows say."""
    with SystemUnitOfWork(engine) as unit:
        rows = unit.connection.execute(
            select(media_assets.c.object_key, media_assets.c.storage).where(
                media_assets.c.object_key.in_(keys)
            )
        )
        found = {row.object_key: row.storage for row in rows}
    return [found.get(key) for key in keys]


def every_orphan(unit: SystemUnitOfWork) -> list[str]:
    """Page by page."""
    found: list[MediaItem] = []
    while page := SqlMedia(unit).orphans(AGE, found[-1] if found else None, 2):
        found += page
    return [each.object_key for each in found]


def test_orphans_come_the_longest_first(engine: Engine, tenant: Tenant) -> None:
    """Without what is referred to, is young, or is being deleted already."""
    keys = [put(engine, tenant, last_referenced_at=OLD - number * DAY) for number in range(5)]
    put(engine, tenant, last_referenced_at=NOW)
    put(engine, tenant, last_referenced_at=OLD, storage="deleting")
    shown = put(engine, tenant, last_referenced_at=OLD)
    referred(engine, tenant, shown)

    with SystemUnitOfWork(engine) as unit:
        mine = [key for key in every_orphan(unit) if key.startswith(str(tenant.org_id))]

    assert mine == keys[::-1]


def test_unseen_media_comes_the_longest_first(engine: Engine, tenant: Tenant) -> None:
    """The hot alone, whole."""
    keys = [put(engine, tenant, last_accessed_at=OLD - number * DAY) for number in range(3)]
    for storage in ("cold", "cooling", "deleting"):
        put(engine, tenant, last_accessed_at=OLD, storage=storage, cold_at=OLD)

    with SystemUnitOfWork(engine) as unit:
        media = SqlMedia(unit)
        first = media.unseen(AGE, None, 100)
        rest = media.unseen(AGE, first[0], 100)

    mine = [each for each in first if each.object_key.startswith(str(tenant.org_id))]
    assert [each.object_key for each in mine] == keys[::-1]
    assert (mine[0].media_type, mine[0].storage, mine[0].since) == ("image/png", "hot", OLD - 2 * DAY)
    assert rest == first[1:]


def test_unfinished_media_comes_by_key(engine: Engine, tenant: Tenant) -> None:
    """Whatever its age."""
    keys = sorted(
        put(engine, tenant, storage=storage, cold_at=NOW) for storage in ("cooling", "deleting", "cooling")
    )
    put(engine, tenant)

    with SystemUnitOfWork(engine) as unit:
        found = SqlMedia(unit).unfinished(f"{tenant.org_id}/", 3)
        after = SqlMedia(unit).unfinished(keys[0], 2)

    assert [each.object_key for each in found] == keys
    assert after == found[1:]


def test_orphans_are_doomed_and_nothing_else(engine: Engine, tenant: Tenant) -> None:
    """Asked again, as after a commit that nobody heard of, the answer is the same."""
    orphan, cold = (
        put(engine, tenant, last_referenced_at=OLD),
        put(engine, tenant, last_referenced_at=OLD, storage="cold", cold_at=OLD),
    )
    young, shown = put(engine, tenant), put(engine, tenant, last_referenced_at=OLD)
    referred(engine, tenant, shown)
    keys = [orphan, cold, young, shown, "no such key"]

    for _ in range(2):
        with SystemUnitOfWork(engine) as unit:
            assert SqlMedia(unit).condemn(keys, AGE) == {orphan, cold}

    assert storage_of(engine, *keys) == ["deleting", "deleting", "hot", "hot", None]


def test_doomed_media_gets_no_reference(engine: Engine, tenant: Tenant) -> None:
    """As if it were gone, neither a new one nor one that is moved to it."""
    doomed, other = put(engine, tenant, storage="deleting"), put(engine, tenant)
    referred(engine, tenant, other)

    with pytest.raises(IntegrityError, match="is being deleted"):
        referred(engine, tenant, doomed)
    target = select(media_assets.c.id).where(media_assets.c.object_key == doomed).scalar_subquery()
    with pytest.raises(IntegrityError, match="is being deleted"), UnitOfWork(engine, tenant.org_id) as unit:
        unit.connection.execute(update(media_references).values(media_id=target))


def test_a_reference_that_comes_while_media_is_doomed_is_refused(engine: Engine, tenant: Tenant) -> None:
    """It waits for the verdict; nothing that was found unreferenced is referenced afterwards."""
    key = put(engine, tenant, last_referenced_at=OLD)

    with ThreadPoolExecutor(1) as other:
        with SystemUnitOfWork(engine) as unit:
            assert SqlMedia(unit).condemn([key], AGE) == {key}
            referring = other.submit(referred, engine, tenant, key)
            _until_it_waits(engine, referring)
        with pytest.raises(IntegrityError, match="is being deleted"):
            referring.result()

    assert storage_of(engine, key) == ["deleting"]


def test_a_reference_that_comes_first_saves_its_media(engine: Engine, tenant: Tenant) -> None:
    """The verdict waits for it, although the reference was not to be seen when it began."""
    key = put(engine, tenant, last_referenced_at=OLD)

    def verdict() -> set[str]:
        with SystemUnitOfWork(engine) as unit:
            return SqlMedia(unit).condemn([key], AGE)

    with ThreadPoolExecutor(1) as other:
        with UnitOfWork(engine, tenant.org_id) as unit:
            refer(unit, tenant, key)
            condemning = other.submit(verdict)
            _until_it_waits(engine, condemning)
        assert condemning.result() == set()

    assert storage_of(engine, key) == ["hot"]


def test_unseen_media_cools_and_nothing_else(engine: Engine, tenant: Tenant) -> None:
    """The answer tells what each is by now, and is the same when asked again."""
    unseen, seen = put(engine, tenant, last_accessed_at=OLD), put(engine, tenant)
    cold, doomed = (
        put(engine, tenant, last_accessed_at=OLD, storage=storage, cold_at=OLD)
        for storage in ("cold", "deleting")
    )

    for _ in range(2):
        with SystemUnitOfWork(engine) as unit:
            states = SqlMedia(unit).cool([unseen, seen, cold, doomed, "no such key"], AGE)
            assert states == {unseen: "cooling", seen: "hot", cold: "cold", doomed: "deleting"}


def test_what_is_settled_is_cold_or_gone(engine: Engine, tenant: Tenant) -> None:
    """Once or twice; what is in neither state stays as it is."""
    keys = [
        put(engine, tenant, storage=storage, cold_at=NOW)
        for storage in ("cooling", "deleting", "hot", "cold")
    ]

    for _ in range(2):
        with SystemUnitOfWork(engine) as unit:
            SqlMedia(unit).settle(keys)

    assert storage_of(engine, *keys) == ["cold", None, "hot", "cold"]


def test_a_domain_that_changes_hands_takes_its_media_along(engine: Engine, tenant: Tenant) -> None:
    """Condemned or not: the trigger minds new references alone."""
    key, doomed = put(engine, tenant), put(engine, tenant, storage="deleting")
    referred(engine, tenant, key)
    with SystemUnitOfWork(engine) as unit:
        receiver = uuid4()
        unit.connection.execute(text("INSERT INTO orgs (id, name) VALUES (:id, 'An org')"), {"id": receiver})
        unit.connection.execute(
            update(domain_registry).where(domain_registry.c.id == tenant.domain_id).values(org_id=receiver)
        )

    assert _org_of(engine, key) == _org_of(engine, doomed) == receiver


def _org_of(engine: Engine, key: str) -> UUID | None:
    with SystemUnitOfWork(engine) as unit:
        return unit.connection.scalar(select(media_assets.c.org_id).where(media_assets.c.object_key == key))


def _until_it_waits(engine: Engine, work: Future[Any]) -> None:
    """Until a session of this database waits for a lock; fails when what should wait is over."""
    waits = text(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
        "AND wait_event_type = 'Lock')"
    )
    with engine.connect() as connection:
        while not connection.scalar(waits):
            assert not work.done(), work.exception()
            connection.rollback()
