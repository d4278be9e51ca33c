"""What a WordPress site takes out of a text is noticed, and told in the result."""

from collections.abc import Iterator

import pytest

from adapters.publishing.wordpress_markup import scripted, taken_out
from app.dev.wordpress_site import Answer, SiteUser, WordPressSite, wordpress_site
from domain.publishing import Found, Post

from .conftest import Way
from .journals import MemoryJournal

AUTHOR = SiteUser(name="writer", application_password="planted", role="author")
EDITOR = SiteUser(name="chief", application_password="planted", role="editor")
SCRIPTED = '<p onclick="planted()">Hi</p><script>planted()</script><iframe src="https://a.example"></iframe>'


@pytest.fixture
def running() -> Iterator[WordPressSite]:
    with wordpress_site(users=[AUTHOR, EDITOR]) as site:
        yield site


def published(way: Way, site: WordPressSite, user: SiteUser, body: str, name: str = "a") -> Found:
    """What publishing a text says."""
    post = Post(key=f"{name}-36b1b0bafdaf", title="T", body=body)
    return way.wordpress(site, user).publish(post, MemoryJournal())


def test_what_an_author_may_not_write_is_reported(way: Way, running: WordPressSite) -> None:
    """The post is public, and a warning names what is missing and who may write it."""
    found = published(way, running, AUTHOR, SCRIPTED)

    (warning,) = found.warnings
    assert "took iframe, onclick, script out of the text" in warning
    assert "Editor" in warning
    assert "planted" not in warning
    assert found.is_public


def test_what_an_editor_writes_is_kept(way: Way, running: WordPressSite) -> None:
    """So there is nothing to say."""
    assert published(way, running, EDITOR, SCRIPTED).warnings == ()
    assert running.posts()[0].content == SCRIPTED


def test_plain_texts_are_not_looked_at_again(way: Way, running: WordPressSite) -> None:
    """They cost no further request, whatever they say of scripts."""
    body = "<!-- wp:paragraph --><p>on = <code>&lt;script&gt;</code> 1 < 2</p><!-- /wp:paragraph -->"
    assert published(way, running, AUTHOR, body).warnings == ()
    assert running.operations == ["list", "create", "update"]


def test_a_post_that_was_published_before_is_looked_at(way: Way, running: WordPressSite) -> None:
    """A worker that was killed in between told nobody."""
    first = published(way, running, AUTHOR, SCRIPTED)
    post = Post(key="a-36b1b0bafdaf", title="T", body=SCRIPTED)
    assert way.wordpress(running, AUTHOR).find(post, MemoryJournal()) == first
    assert published(way, running, AUTHOR, SCRIPTED) == first


def test_a_text_that_is_too_large_to_look_at_is_judged_by_the_role(way: Way, running: WordPressSite) -> None:
    """What a site sends back has a bound."""
    body = SCRIPTED + "x" * 1_100_000
    assert "script" in published(way, running, AUTHOR, body).warnings[0]
    assert published(way, running, EDITOR, body, "b").warnings == ()


def test_a_look_that_fails_spoils_nothing(way: Way, running: WordPressSite) -> None:
    """The post is public all the same."""
    running.fail("read", *[Answer(status=500)] * 9)
    assert published(way, running, AUTHOR, SCRIPTED).is_public


@pytest.mark.parametrize(
    ("sent", "kept", "gone"),
    [
        ("<script>a</script><script>b</script>", "<script>a</script>b", ["script"]),
        ("<SCRIPT >a</SCRIPT>", "a", ["script"]),
        ('<a href="javascript:x()">a</a>', '<a href="x()">a</a>', ["javascript:"]),
        ("<img src=x\nonerror=y>", "<img src=x>", ["onerror"]),
        ("<p>a</p>", "<div>a</div>", []),
        ("<svg/onload=x>", "", ["onload", "svg"]),
        ("<form><input></form>", "", ["form", "input"]),
        ("a < script", "", []),
    ],
)
def test_what_is_missing_is_named(sent: str, kept: str, gone: list[str]) -> None:
    """Of elements, handlers and addresses that only some may write."""
    assert taken_out(sent, kept) == gone


def test_long_texts_are_searched_quickly() -> None:
    """Also those that are made to take long."""
    for text in (
        "<a " * 300_000,
        "<" * 1_000_000,
        "<a" + " on" * 300_000,
        "= " * 300_000,
        " on" + "x" * 1_000_000,
    ):
        assert not scripted(text)
