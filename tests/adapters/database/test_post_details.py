"""What is said of a post is kept with the content, within bounds, and read with its intent."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, delete, insert, update
from sqlalchemy.exc import IntegrityError

from adapters.database.tables import content_items, media_assets, media_references
from adapters.database.unit_of_work import UnitOfWork
from domain.post_details import FeaturedMedia, PostDetails
from domain.publish_ports import Intent
from tests.tenants import Tenant

from .due_content import add_content
from .publishing_rows import add_intent, in_repository

DATED = datetime(2021, 5, 6, 7, 8, 9, tzinfo=UTC)


def change(engine: Engine, tenant: Tenant, content_id: UUID, values: Mapping[str, object]) -> None:
    """Write columns of a content item."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        unit.connection.execute(update(content_items).where(content_items.c.id == content_id).values(values))


def add_media(
    engine: Engine, tenant: Tenant, content_id: UUID, *, is_featured: bool, storage: str = "hot"
) -> UUID:
    """A file that the content refers to."""
    media_id = uuid4()
    asset = {
        "object_key": f"media/{media_id}",
        "media_type": "image/png",
        "size_bytes": 7,
        "storage": storage,
        "cold_at": DATED if storage == "cold" else None,
    }
    reference = {"media_id": media_id, "content_id": content_id, "is_featured": is_featured}
    mine = {"org_id": tenant.org_id}
    with UnitOfWork(engine, tenant.org_id) as unit:
        unit.connection.execute(
            insert(media_assets).values(**mine, id=media_id, domain_id=tenant.domain_id, **asset)
        )
        unit.connection.execute(insert(media_references).values(**mine, **reference))
    return media_id


def read(engine: Engine, tenant: Tenant, content_id: UUID) -> Intent:
    """A new intent for the content, as the saga reads it."""
    intent_id = add_intent(engine, tenant, content_id=content_id)
    intent = in_repository(engine, tenant, lambda repository: repository.intent(intent_id))
    assert intent is not None
    return intent


def test_content_says_nothing_more_by_default(engine: Engine, tenant: Tenant) -> None:
    """As everything that was there before."""
    (content_id,) = add_content(engine, tenant, 1, status="publishing")
    add_media(engine, tenant, content_id, is_featured=False)

    intent = read(engine, tenant, content_id)

    assert intent.details == PostDetails()
    assert not intent.is_dated_ahead


def test_what_is_said_is_read_with_the_intent(engine: Engine, tenant: Tenant) -> None:
    """Names once each and without space around them, in their order; the file by where its bytes are."""
    (content_id,) = add_content(engine, tenant, 1, status="publishing")
    media_id = add_media(engine, tenant, content_id, is_featured=True, storage="cold")
    add_media(engine, tenant, content_id, is_featured=False)
    said = {"excerpt": "In short.", "categories": ["Rye", "Bread"], "author": " Bo  Writer ", "dated": DATED}
    change(engine, tenant, content_id, {**said, "tags": [" slow ", "slow", "", "a\nb"]})

    assert read(engine, tenant, content_id).details == PostDetails(
        excerpt="In short.",
        categories=("Rye", "Bread"),
        tags=("slow", "a b"),
        author="Bo Writer",
        dated=DATED,
        featured=FeaturedMedia(
            media_id=media_id, object_key=f"media/{media_id}", media_type="image/png", size_bytes=7
        ),
    )


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"excerpt": "x" * 2001}, "excerpt_length"),
        ({"categories": ["x"] * 21}, "categories_number"),
        ({"tags": ["x"] * 51}, "tags_number"),
        ({"author": "x" * 201}, "author_length"),
        ({"dated": datetime(1899, 1, 1, tzinfo=UTC)}, "dated_in_calendar"),
        ({"dated": datetime.now(UTC) + timedelta(hours=1)}, "schedule it with publish_at"),
        ({"dated": datetime(9999, 1, 1, tzinfo=UTC)}, "schedule it with publish_at"),
    ],
    ids=["excerpt", "categories", "tags", "author", "too old", "in an hour", "in ages"],
)
def test_what_cannot_be_published_is_refused_at_the_door(
    engine: Engine, tenant: Tenant, values: Mapping[str, object], constraint: str
) -> None:
    """A date to come above all: what is to come is scheduled here."""
    (content_id,) = add_content(engine, tenant, 1, status="draft")
    with pytest.raises(IntegrityError, match=constraint):
        change(engine, tenant, content_id, values)


def test_content_with_a_date_to_come_is_never_made(engine: Engine, tenant: Tenant) -> None:
    """Inserting is a door as well."""
    new = {"id": uuid4(), "title": "T", "content_type": "article", "status": "draft"}
    ahead = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(IntegrityError, match="publish_at"), UnitOfWork(engine, tenant.org_id) as unit:
        unit.connection.execute(
            insert(content_items).values(org_id=tenant.org_id, domain_id=tenant.domain_id, dated=ahead, **new)
        )


def test_one_file_stands_for_content(engine: Engine, tenant: Tenant) -> None:
    """Others may be referred to; another one can stand for it when the first does not any more."""
    (content_id,) = add_content(engine, tenant, 1, status="publishing")
    first = add_media(engine, tenant, content_id, is_featured=True)
    with pytest.raises(IntegrityError, match="uq_media_references_featured"):
        add_media(engine, tenant, content_id, is_featured=True)

    with UnitOfWork(engine, tenant.org_id) as unit:
        unit.connection.execute(delete(media_references).where(media_references.c.media_id == first))
    second = add_media(engine, tenant, content_id, is_featured=True)

    featured = read(engine, tenant, content_id).details.featured
    assert featured is not None
    assert featured.media_id == second
