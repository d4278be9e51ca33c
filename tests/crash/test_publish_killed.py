"""`publish_execution`, its worker killed or frozen after each step: exactly one post in the end."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from adapters.credentials import CredentialBox, WordPressCredentials
from adapters.database.tables import (
    content_items,
    job_executions,
    media_assets,
    media_references,
    publish_executions,
    publish_intents,
    publish_targets,
)
from app.dev.wordpress_site import SitePost, WordPressSite, wordpress_site
from domain.publish_execution import post_key
from tests.crash.kill_kit import Case, Slot, kill_everywhere
from tests.crash.seeds import SECRET_KEY, new_domain, new_org, put, rows

TITLE = "How bread rises"
PICTURE = b"A picture"


@pytest.fixture(scope="module", params=[True, False], ids=["unique drafts", "twin drafts"])
def site(request: pytest.FixtureRequest) -> Iterator[WordPressSite]:
    """A site as current versions of WordPress are, and as those are that let drafts share a slug."""
    with wordpress_site(unique_drafts=request.param) as running:
        yield running


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_there_is_one_post_whenever_its_worker_stops(
    worlds: Sequence[Slot], site: WordPressSite, how: Literal["kill", "freeze"]
) -> None:
    """One post at the site, one success row, one published intent: for every step after which a worker is killed, and
    for every step after which it is frozen and wakes up when another one has finished the job."""
    steps = kill_everywhere(worlds, "publish_execution", partial(_prepare, site), how=how)

    assert steps.count("Client.send") == 3  # look up, create, make public
    assert steps.count("Connection.commit") > 4


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_there_is_one_of_each_whenever_its_worker_stops(
    worlds: Sequence[Slot], site: WordPressSite, how: Literal["kill", "freeze"]
) -> None:
    """One image, one category and one tag at the site beside the one post: also between the upload and the post, and
    between a tag that was made and its use."""
    steps = kill_everywhere(worlds, "publish_execution", partial(_prepare, site, is_detailed=True), how=how)

    # Look up, a category, a tag and an image looked up and made, look up again, create, make public.
    assert steps.count("Client.send") == 10


def _prepare(site: WordPressSite, world: Slot, *, is_detailed: bool = False) -> Case:
    engine = world.engine
    org_id = new_org(engine)
    domain_id = new_domain(engine, org_id)
    content_id, target_id, intent_id = uuid4(), uuid4(), uuid4()
    mine = {"org_id": org_id, "domain_id": domain_id}
    content = {"title": TITLE, "body": "Slowly.", "content_type": "article", "status": "publishing"}
    said = {"categories": [f"Category {content_id}"], "tags": [f"Tag {content_id}"], "excerpt": "Soon."}
    put(engine, content_items, {**mine, **content, **(said if is_detailed else {}), "id": content_id})
    if is_detailed:
        _put_image(world, org_id, domain_id, content_id)
    credentials = WordPressCredentials(
        username=site.username, application_password=SecretStr(site.application_password)
    )
    target = {"name": "Site", "adapter": "wordpress", "address": site.url}
    sealed = CredentialBox((SecretStr(SECRET_KEY),)).encrypt(target_id, credentials)
    put(engine, publish_targets, {**mine, **target, "id": target_id, "credentials": sealed})
    intent = {"content_id": content_id, "target_id": target_id, "status": "pending"}
    put(engine, publish_intents, {**mine, **intent, "id": intent_id})
    key = post_key(TITLE, intent_id)

    def half_way() -> None:
        assert [post.status for post in site.posts() if post.slug.startswith(key)] in (
            [],
            ["draft"],
            ["publish"],
        )

    def afterwards() -> None:
        (post,) = [post for post in site.posts() if post.slug.startswith(key)]
        assert (post.status, post.slug, post.title) == ("publish", key, TITLE)
        if is_detailed:
            _assert_one_of_each(site, post, content_id, key)
        (done,) = rows(engine, publish_intents, publish_intents.c.id == intent_id)
        assert (done["status"], done["external_id"]) == ("published", str(post.id))
        ends = rows(engine, publish_executions, publish_executions.c.intent_id == intent_id)
        assert [end["outcome"] for end in ends] == ["success"]
        (execution,) = rows(engine, job_executions, job_executions.c.org_id == org_id)
        assert (execution["status"], execution["lease_until"]) == ("succeeded", None)
        (item,) = rows(engine, content_items, content_items.c.id == content_id)
        assert item["status"] == "published"

    payload = {"org_id": str(org_id), "intent_id": str(intent_id)}
    return Case(payload, half_way, afterwards)


def _put_image(world: Slot, org_id: UUID, domain_id: UUID, content_id: UUID) -> None:
    media_id = uuid4()
    kept = world.home / "media" / str(media_id)
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(PICTURE)
    asset = {
        "object_key": str(media_id),
        "media_type": "image/png",
        "size_bytes": len(PICTURE),
        "storage": "hot",
    }
    put(world.engine, media_assets, {"org_id": org_id, "id": media_id, "domain_id": domain_id, **asset})
    reference = {"media_id": media_id, "content_id": content_id, "is_featured": True}
    put(world.engine, media_references, {"org_id": org_id, **reference})


def _assert_one_of_each(site: WordPressSite, post: SitePost, content_id: UUID, key: str) -> None:
    (image,) = [each for each in site.media if each.slug.startswith(key)]
    (category,) = [each for each in site.terms("categories") if each.name == f"Category {content_id}"]
    (tag,) = [each for each in site.terms("tags") if each.name == f"Tag {content_id}"]
    assert (post.featured_media, post.categories, post.tags) == (image.id, (category.id,), (tag.id,))
    assert (image.content, post.excerpt) == (PICTURE, "Soon.")
