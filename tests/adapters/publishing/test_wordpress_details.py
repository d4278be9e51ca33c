"""What is said of a post reaches a WordPress site: found there or made once, whatever goes wrong in between."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest
from pydantic import SecretStr

from adapters.credentials import CredentialBox
from adapters.publishing import SitePublishers
from adapters.publishing.wordpress_details import image_slug
from app.dev.wordpress_site import (
    Answer,
    Fault,
    HangUp,
    Hold,
    Operation,
    SiteUser,
    WordPressSite,
    wordpress_site,
)
from domain.errors import (
    AuthFailed,
    InvalidInput,
    InvalidReply,
    LeaseLost,
    NotFound,
    ProviderUnavailable,
    StorageUnavailable,
)
from domain.post_details import MAX_IMAGE_BYTES, FeaturedMedia, PostDetails
from domain.publishing import Post, Publisher
from tests.middleware.eventually import eventually

from .conftest import LOOPBACK, Way
from .journals import MemoryJournal

CHIEF = SiteUser(name="chief", application_password="planted", role="editor", display_name="Ann Chief")
WRITER = SiteUser(name="writer", application_password="planted", role="author", display_name="Bo Writer")
READER = SiteUser(name="reader", application_password="planted", role="subscriber")
PICTURE = b"\x89PNG planted"
MEDIA = FeaturedMedia(media_id=UUID(int=7), object_key="a/b", media_type="image/png", size_bytes=len(PICTURE))
DETAILS = PostDetails(
    excerpt="In short & sweet",
    categories=("Bread & Rolls", "Rye"),
    tags=("slow", "Ünïcode <3"),
    author="Bo Writer",
    dated=datetime(2020, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2))),
    featured=MEDIA,
)
POST = Post(key="rye-36b1b0bafdaf", title="Rye", body="Slowly.", details=DETAILS)


class Files:
    """Reads one picture, and counts how often."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.reads = 0

    def __call__(self, media: FeaturedMedia) -> bytes:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return PICTURE


@pytest.fixture(scope="module")
def running() -> Iterator[WordPressSite]:
    with wordpress_site(users=[CHIEF, WRITER, READER]) as made:
        yield made


@pytest.fixture
def blog(running: WordPressSite) -> WordPressSite:
    """A site with nothing on it."""
    running.clear()
    return running


Reached = Callable[..., Publisher]


@pytest.fixture
def reached() -> Iterator[Reached]:
    """Makes publishers that read media."""
    box = CredentialBox([SecretStr("k" * 32)])
    made: list[SitePublishers] = []

    def reach(
        site: WordPressSite,
        user: SiteUser = CHIEF,
        files: Files | None = None,
        attempt_timeout_s: float = 30.0,
        retries: int = 3,
    ) -> Publisher:
        publishers = SitePublishers(
            lambda: box, LOOPBACK, files=files or Files(), attempt_timeout_s=attempt_timeout_s
        )
        made.append(publishers)
        return Way(publishers, box).wordpress(site, user, retries=retries)

    yield reach
    for publishers in made:
        publishers.close()


def named(site: WordPressSite, taxonomy: str, ids: tuple[int, ...]) -> list[str]:
    """Names of terms."""
    known = {term.id: term.name for term in site.terms(taxonomy)}  # type: ignore[arg-type]
    return [known[each] for each in ids]


def assert_complete(site: WordPressSite) -> None:
    """One post with all that was said of it, one image, each category and tag once."""
    (post,) = site.posts()
    (image,) = site.media
    assert (post.status, post.slug, post.excerpt, post.author) == (
        "publish",
        POST.key,
        DETAILS.excerpt,
        "writer",
    )
    assert named(site, "categories", post.categories) == list(DETAILS.categories)
    assert named(site, "tags", post.tags) == list(DETAILS.tags)
    assert post.date == DETAILS.dated
    assert post.featured_media == image.id
    assert (image.slug, image.content, image.title) == (image_slug(POST.key, MEDIA), PICTURE, POST.title)
    assert [term.name for term in site.terms("categories")] == ["Uncategorized", *DETAILS.categories]
    assert [term.name for term in site.terms("tags")] == list(DETAILS.tags)


def test_a_post_arrives_with_all_that_is_said_of_it(blog: WordPressSite, reached: Reached) -> None:
    """The date in the zone it was given in or not; what the site did not have was made there."""
    found = reached(blog).publish(POST, MemoryJournal())

    assert_complete(blog)
    assert found.warnings == ()


def test_what_the_site_has_is_used(blog: WordPressSite, reached: Reached) -> None:
    """A second post makes no category and no tag, however their names are written."""
    publisher = reached(blog)
    publisher.publish(POST, MemoryJournal())
    blog_terms = (blog.terms("categories"), blog.terms("tags"))
    other = replace(
        POST,
        key="oat-36b1b0bafdaf",
        details=replace(DETAILS, categories=("bread  &  rolls",), tags=("SLOW",), author="writer"),
    )

    publisher.publish(other, MemoryJournal())

    assert (blog.terms("categories"), blog.terms("tags")) == blog_terms
    first, second = blog.posts()
    assert named(blog, "categories", second.categories) == ["Bread & Rolls"]
    assert (second.author, second.featured_media != first.featured_media) == ("writer", True)


def test_a_published_post_is_left_as_it_is(blog: WordPressSite, reached: Reached) -> None:
    """Nothing is made again for it."""
    publisher = reached(blog)
    first = publisher.publish(POST, MemoryJournal())
    before = blog.requests
    assert publisher.publish(POST, MemoryJournal()) == first
    assert blog.operations[before:] == ["list"]


STEPS: list[Operation] = ["find_term", "create_term", "find_user", "find_media", "upload", "create", "update"]
FAULTS: dict[str, Fault] = {
    "500": Answer(status=500),
    "429": Answer(status=429, headers={"Retry-After": "1"}),
    "closed before": HangUp(handled=False),
    "closed after": HangUp(handled=True),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_is_overcome_and_makes_nothing_twice(
    blog: WordPressSite, reached: Reached, step: Operation, fault: str
) -> None:
    """Whichever step it hits, and also when the answer alone was lost."""
    blog.fail(step, FAULTS[fault])
    reached(blog).publish(POST, MemoryJournal())
    assert_complete(blog)


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_that_stops_leaves_no_twin(blog: WordPressSite, reached: Reached, step: Operation) -> None:
    """The next one finds what was made, and what was not."""
    blog.fail(step, HangUp(handled=True))
    with pytest.raises(ProviderUnavailable, match="connection"):
        reached(blog, retries=0).publish(POST, MemoryJournal())

    reached(blog).publish(POST, MemoryJournal())

    assert_complete(blog)


def test_nonsense_for_an_answer_makes_nothing_twice(blog: WordPressSite, reached: Reached) -> None:
    """What was made in spite of it is looked up."""
    for step in ("create_term", "upload"):
        blog.fail(step, Answer(status=200, body=b"<br/>Warning: planted"))
    reached(blog).publish(POST, MemoryJournal())
    assert_complete(blog)


def test_an_image_that_comes_late_is_removed_by_who_looks_next(blog: WordPressSite, reached: Reached) -> None:
    """The upload was given up and came through after all: whoever looks up keeps the oldest."""
    blog.fail("upload", Hold())
    plain = replace(POST, details=PostDetails(featured=MEDIA))
    reached(blog, attempt_timeout_s=0.5).publish(plain, MemoryJournal())
    blog.release()
    assert eventually(lambda: len(blog.media) == 2)
    blog.remove(blog.posts()[0].id)

    reached(blog).publish(plain, MemoryJournal())

    (post,), (image,) = blog.posts(), blog.media
    assert post.featured_media == image.id


@pytest.mark.parametrize("lost_after", range(6))
def test_a_lost_lease_stops_before_each_part(blog: WordPressSite, reached: Reached, lost_after: int) -> None:
    """Whoever has it by now goes on where this one stopped."""
    with pytest.raises(LeaseLost):
        reached(blog).publish(POST, MemoryJournal(lost_after=lost_after))
    assert blog.posts() == []

    reached(blog).publish(POST, MemoryJournal())
    assert_complete(blog)


def test_what_the_user_may_not_do_is_left_out_and_reported(blog: WordPressSite, reached: Reached) -> None:
    """Categories that are missing, and another's name; tags they may make, and the post is public."""
    details = replace(DETAILS, author="chief", categories=("Uncategorized", "Rye"))

    found = reached(blog, WRITER).publish(replace(POST, details=details), MemoryJournal())

    (post,) = blog.posts("publish")
    assert post.author == "writer"
    assert named(blog, "categories", post.categories) == ["Uncategorized"]
    assert named(blog, "tags", post.tags) == list(DETAILS.tags)
    categories, author = found.warnings
    assert "no categories named Rye" in categories
    assert "another's name" in author


def test_an_author_who_is_not_there_is_reported(blog: WordPressSite, reached: Reached) -> None:
    """The post is by whoever signed in."""
    details = PostDetails(author="Nobody")
    found = reached(blog).publish(replace(POST, details=details), MemoryJournal())
    assert ("Nobody" in found.warnings[0], blog.posts()[0].author) == (True, "chief")


@pytest.mark.parametrize(
    ("media", "error", "kind", "says"),
    [
        (replace(MEDIA, media_type="application/x-planted"), None, InvalidReply, "files of its type"),
        (replace(MEDIA, size_bytes=MAX_IMAGE_BYTES + 1), None, InvalidInput, "bytes"),
        (MEDIA, NotFound("object", "a/b"), InvalidInput, "nowhere in our storage"),
        (MEDIA, StorageUnavailable("away"), StorageUnavailable, "away"),
    ],
    ids=["refused", "too large", "gone", "storage away"],
)
def test_an_image_that_cannot_be_sent_stops_the_post(
    blog: WordPressSite,
    reached: Reached,
    media: FeaturedMedia,
    error: Exception | None,
    kind: type[Exception],
    says: str,
) -> None:
    """A post without its image would be another post; the error says whose fault it is."""
    with pytest.raises(kind, match=says):
        reached(blog, files=Files(error)).publish(
            replace(POST, details=PostDetails(featured=media)), MemoryJournal()
        )
    assert (blog.posts(), blog.media) == ([], [])


def test_an_image_is_read_once_and_only_if_the_site_does_not_have_it(
    blog: WordPressSite, reached: Reached
) -> None:
    """Faults of the upload do not read it again."""
    files = Files()
    blog.fail("upload", Answer(status=503), Answer(status=503))
    blog.fail("create", *[Answer(status=400)])
    with pytest.raises(InvalidReply):
        reached(blog, files=files).publish(POST, MemoryJournal())
    assert files.reads == 1

    reached(blog, files=files).publish(POST, MemoryJournal())
    assert files.reads == 1
    assert_complete(blog)


def test_a_user_who_may_not_upload_learns_it_by_role(blog: WordPressSite, reached: Reached) -> None:
    """Before anything is made."""
    with pytest.raises(AuthFailed, match="Author or Editor"):
        reached(blog, READER).publish(POST, MemoryJournal())


def test_another_image_has_another_slug() -> None:
    """When the content's image is changed between two attempts, the first one is not taken for it."""
    other = replace(MEDIA, media_id=UUID(int=8))
    assert image_slug("a", MEDIA) != image_slug("a", other)
    assert image_slug("a", MEDIA) != image_slug("b", MEDIA)
