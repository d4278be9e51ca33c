"""Publishing to WordPress: one public post for a key, whatever was there before and whoever lost the lease."""

from collections.abc import Iterator

import pytest

from app.dev.wordpress_site import Answer, WordPressSite, wordpress_site
from domain.errors import AuthFailed, InvalidReply, LeaseLost, ProviderUnavailable
from domain.publishing import Found, Post

from .conftest import USERS, Way
from .journals import MemoryJournal

POST = Post(key="crumbs-36b1b0bafdaf", title="Crumbs & more", body="<p>Naïve — ελληνικά</p>")


def public(site: WordPressSite) -> list[tuple[str, str, str]]:
    """Slug, title and text of what readers see."""
    return [(post.slug, post.title, post.content) for post in site.posts("publish")]


def test_a_post_is_published(site: WordPressSite, way: Way) -> None:
    """Through a draft under its key: title and text arrive as they are, the reply says where it is."""
    journal = MemoryJournal()

    found = way.wordpress(site).publish(POST, journal)

    (post,) = site.posts()
    assert found == Found(external_id=str(post.id), url=f"{site.url}/{POST.key}/", is_public=True)
    assert public(site) == [(POST.key, POST.title, POST.body)]
    assert site.operations == ["list", "create", "update"]


def test_the_drafts_id_is_kept_before_it_is_used(site: WordPressSite, way: Way) -> None:
    """Lease, draft, its id, lease again, and only then the call that makes it public."""
    journal = MemoryJournal()

    found = way.wordpress(site).publish(POST, journal)

    assert journal.calls == ["hold", "remember", "hold"]
    assert journal.draft_id == found.external_id


def test_publishing_again_changes_nothing(site: WordPressSite, way: Way) -> None:
    """With the draft's id remembered, and without."""
    publisher = way.wordpress(site)
    first = publisher.publish(POST, MemoryJournal())

    assert publisher.publish(POST, MemoryJournal(draft_id=first.external_id)) == first
    assert publisher.publish(POST, MemoryJournal()) == first
    assert len(site.posts()) == 1


def test_nothing_is_found_where_nothing_is(site: WordPressSite, way: Way) -> None:
    """Nor are posts whose key only begins alike, nor those in the trash."""
    site.add(slug=f"{POST.key}-and-more", status="publish")
    site.add(slug=POST.key[:-1], status="publish")
    site.trash(site.add(slug=POST.key, status="publish").id)

    assert way.wordpress(site).find(POST, MemoryJournal()) is None


@pytest.mark.parametrize("status", ["draft", "pending", "future", "private", "publish"])
def test_a_post_is_found_in_any_status(site: WordPressSite, way: Way, status: str) -> None:
    """Only `publish` is public."""
    there = site.add(slug=POST.key, status=status)

    found = way.wordpress(site).find(POST, MemoryJournal())

    assert found is not None
    assert (found.external_id, found.is_public) == (str(there.id), status == "publish")


def test_a_public_post_comes_before_drafts(site: WordPressSite, way: Way) -> None:
    """Also under a variant of the key; the drafts are removed."""
    site.add(slug=POST.key)
    there = site.add(slug=f"{POST.key}-2", status="publish")

    found = way.wordpress(site).find(POST, MemoryJournal())

    assert found == Found(external_id=str(there.id), url=f"{site.url}/{POST.key}-2/", is_public=True)
    assert site.posts() == [there]


def test_of_several_drafts_the_oldest_stays(site: WordPressSite, way: Way) -> None:
    """Whichever worker looks keeps the same one."""
    oldest, *_ = [site.add(slug=slug) for slug in (POST.key, f"{POST.key}-2", f"{POST.key}-3")]

    found = way.wordpress(site).find(POST, MemoryJournal())

    assert found is not None
    assert (found.external_id, site.posts()) == (str(oldest.id), [oldest])


def test_of_several_drafts_the_remembered_one_stays(site: WordPressSite, way: Way) -> None:
    """However old it is."""
    _, remembered = [site.add(slug=slug) for slug in (POST.key, f"{POST.key}-2")]

    found = way.wordpress(site).find(POST, MemoryJournal(draft_id=str(remembered.id)))

    assert found is not None
    assert (found.external_id, site.posts()) == (str(remembered.id), [remembered])


def test_a_draft_in_use_is_not_removed(site: WordPressSite, way: Way) -> None:
    """Nor is anything that is no draft any more."""
    drafts = [site.add(slug=slug) for slug in (POST.key, f"{POST.key}-2")]
    pending = site.add(slug=f"{POST.key}-3", status="pending")

    way.wordpress(site).find(POST, MemoryJournal(in_use=frozenset({str(drafts[1].id)})))

    assert site.posts() == [*drafts, pending]


def test_a_draft_that_was_left_behind_is_published(site: WordPressSite, way: Way) -> None:
    """Instead of a second one."""
    left = site.add(slug=POST.key, title=POST.title, content=POST.body)
    journal = MemoryJournal()

    found = way.wordpress(site).publish(POST, journal)

    assert (found.external_id, journal.draft_id) == (str(left.id), str(left.id))
    assert len(site.posts()) == 1
    assert "create" not in site.operations


@pytest.fixture
def older() -> Iterator[WordPressSite]:
    with wordpress_site(users=USERS, unique_drafts=False) as running:
        yield running


def test_older_versions_keep_drafts_of_one_slug(older: WordPressSite, way: Way) -> None:
    """Where several drafts share the key, one of them is published and the others go, on every page of the list."""
    drafts = [older.add(slug=POST.key) for _ in range(102)]
    in_use = frozenset(str(draft.id) for draft in drafts[2:-1])

    found = way.wordpress(older).publish(POST, MemoryJournal(in_use=in_use))

    assert found.external_id == str(drafts[0].id)
    left = [post.id for post in older.posts("draft")]
    assert left == [draft.id for draft in drafts[2:-1]]
    assert older.operations.count("list") == 2


@pytest.mark.parametrize("again", ["removed", "trashed"])
def test_a_draft_that_vanished_is_made_again(site: WordPressSite, way: Way, again: str) -> None:
    """One that was removed is made anew; one in the trash comes out of it. There is one post in the end."""
    draft = site.add(slug=POST.key, title=POST.title, content=POST.body)
    site.remove(draft.id) if again == "removed" else site.trash(draft.id)
    journal = MemoryJournal(draft_id=str(draft.id))

    found = way.wordpress(site).publish(POST, journal)

    assert public(site) == [(POST.key, POST.title, POST.body)]
    assert len(site.posts()) == 1
    assert journal.draft_id == found.external_id


def test_drafts_that_always_vanish_are_an_outage(site: WordPressSite, way: Way) -> None:
    """It ends, and says what to look for."""

    class Forgetful(MemoryJournal):
        def remember(self, draft_id: str) -> None:
            super().remember(draft_id)
            site.remove(int(draft_id))

    with pytest.raises(ProviderUnavailable, match="what removes them"):
        way.wordpress(site).publish(POST, Forgetful())
    assert site.operations.count("create") == 3


def test_a_lost_lease_stops_before_the_draft(site: WordPressSite, way: Way) -> None:
    """Nothing was sent."""
    with pytest.raises(LeaseLost):
        way.wordpress(site).publish(POST, MemoryJournal(lost_after=0))
    assert site.requests == 0


def test_a_draft_that_cannot_be_remembered_is_removed(site: WordPressSite, way: Way) -> None:
    """The worker that has the lease by now makes its own."""
    with pytest.raises(LeaseLost):
        way.wordpress(site).publish(POST, MemoryJournal(lost_after=1))
    assert site.posts() == []
    assert site.operations == ["list", "create", "delete"]


def test_a_draft_that_another_worker_found_meanwhile_stays(site: WordPressSite, way: Way) -> None:
    """A worker that wakes up late removes nothing that is in use."""
    with pytest.raises(LeaseLost):
        way.wordpress(site).publish(POST, MemoryJournal(lost_after=1, in_use=frozenset({"1"})))
    assert len(site.posts("draft")) == 1


def test_a_failed_removal_does_not_hide_the_lost_lease(site: WordPressSite, way: Way) -> None:
    """The draft is found by whoever looks next."""
    site.fail("delete", Answer(status=500))
    with pytest.raises(LeaseLost):
        way.wordpress(site).publish(POST, MemoryJournal(lost_after=1))
    assert len(site.posts("draft")) == 1


def test_a_lost_lease_stops_before_it_is_public(site: WordPressSite, way: Way) -> None:
    """The draft stays for whoever has the lease: its id was remembered."""
    with pytest.raises(LeaseLost):
        way.wordpress(site).publish(POST, MemoryJournal(lost_after=2))
    assert public(site) == []
    assert len(site.posts("draft")) == 1


def test_who_may_not_publish_is_reported_so(site: WordPressSite, way: Way) -> None:
    """The fix is a role; nothing was made public."""
    with pytest.raises(AuthFailed, match="Author or Editor"):
        way.wordpress(site, USERS[1]).publish(POST, MemoryJournal())
    assert public(site) == []


def test_a_site_that_holds_posts_back_is_distinguished(site: WordPressSite, way: Way) -> None:
    """A reply that says another status than published is no success."""
    draft = site.add(slug=POST.key)
    body = b'{"id": 1, "slug": "%s", "status": "future", "link": null}' % POST.key.encode()
    site.fail("update", Answer(status=200, body=body))

    with pytest.raises(InvalidReply, match="another status"):
        way.wordpress(site).publish(POST, MemoryJournal(draft_id=str(draft.id)))


def test_a_site_that_changes_slugs_is_refused(site: WordPressSite, way: Way) -> None:
    """A post that cannot be found again could be published twice; its draft is removed."""
    site.add(slug="made-up-by-a-plugin")
    site.fail(
        "create", Answer(status=201, body=b'{"id": 1, "slug": "made-up-by-a-plugin", "status": "draft"}')
    )

    with pytest.raises(InvalidReply, match="plugin"):
        way.wordpress(site).publish(POST, MemoryJournal())
    assert site.posts() == []
