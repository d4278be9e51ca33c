"""What a WordPress site refuses is told by its cause: who was not recognised, who may not, what a plugin does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from adapters.credentials import WordPressCredentials
from app.dev.wordpress_site import Answer, SiteUser, WordPressSite, wordpress_site
from domain.errors import AuthFailed, InvalidReply, JobError, ProviderUnavailable
from domain.publishing import Post, Publisher
from tests.adapters.ai.scripted_server import answer as scripted
from tests.adapters.ai.scripted_server import scripted_server

from .conftest import Way
from .journals import MemoryJournal

POST = Post(key="rolls-36b1b0bafdaf", title="Rolls", body="A text")
SUBSCRIBER = SiteUser(name="reader", application_password="planted", role="subscriber")
AUTHOR = SiteUser(name="writer", application_password="planted", role="author")

NESTED = (
    b'{"code":"rest_invalid_param","message":"planted","data":{"status":400,"params":{"status":"Status is forbidden."},'
    b'"details":{"status":{"code":"rest_forbidden_status","message":"planted","data":{"status":%d}}}}}'
)


@contextmanager
def failing(kind: type[JobError], says: str) -> Iterator[None]:
    """Expect one error, whose text quotes nothing."""
    with pytest.raises(kind, match=says) as caught:
        yield
    assert type(caught.value) is kind
    assert "planted" not in str(caught.value)


CALLS: list[Callable[[Publisher], object]] = [
    lambda publisher: publisher.publish(POST, MemoryJournal()),
    lambda publisher: publisher.find(POST, MemoryJournal()),
    lambda publisher: publisher.publish(POST, MemoryJournal(draft_id="1")),
]


@pytest.mark.parametrize("call", CALLS, ids=["publish", "find", "resume"])
@pytest.mark.parametrize("name", ["editor", "nobody"])
def test_whoever_is_not_recognised_has_wrong_credentials(
    site: WordPressSite, way: Way, name: str, call: Callable[[Publisher], object]
) -> None:
    """A wrong password as well as an unknown user, whichever call meets it first: never a bad request."""
    stranger = SiteUser(name=name, application_password="planted")
    with failing(AuthFailed, "recognised nobody"):
        call(way.wordpress(site, stranger))


@pytest.mark.parametrize("call", CALLS, ids=["publish", "find", "resume"])
def test_a_header_that_the_web_server_drops_is_named(way: Way, call: Callable[[Publisher], object]) -> None:
    """It is the same as no credentials to the site; the advice names the header, and no role."""
    with wordpress_site(drops_authorization=True) as running:
        user = running.users[0]
        with failing(AuthFailed, "Authorization header"):
            call(way.wordpress(running, user))


def test_a_role_that_sees_no_drafts_is_named(way: Way) -> None:
    """A subscriber is somebody: the fix is the role."""
    with wordpress_site(users=[SUBSCRIBER]) as running, failing(AuthFailed, "Author or Editor"):
        way.wordpress(running, SUBSCRIBER).publish(POST, MemoryJournal())


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (Answer(status=400, body=NESTED % 401), AuthFailed, "recognised nobody"),
        (Answer(status=400, body=NESTED % 403), AuthFailed, "Author or Editor"),
        (
            Answer(status=400, body=b"\xef\xbb\xbf\n<br />Notice: planted" + NESTED % 401),
            AuthFailed,
            "nobody",
        ),
        (Answer(status=401, body=b'{"code":"rest_cannot_create"}'), AuthFailed, "recognised nobody"),
        (Answer(status=401, body=b'{"code":"rest_planted"}'), AuthFailed, "recognised nobody"),
        (Answer(status=401, body=b'{"code":"incorrect_password"}'), AuthFailed, "make a new one"),
        (Answer(status=403, body=b'{"code":"rest_cannot_edit_others"}'), AuthFailed, "another's name"),
        (Answer(status=403, body=b"<html>planted"), AuthFailed, "check the credentials"),
        (
            Answer(status=400, body=b'{"code":"rest_invalid_param","data":{"params":{"orderby":"planted"}}}'),
            InvalidReply,
            "does not take our orderby",
        ),
        (Answer(status=400, body=b'{"code":"rest_invalid_param","data":[]}'), InvalidReply, "400"),
        (Answer(status=400, body=b'{"code":[],"data":{"details":[7]}}'), InvalidReply, "400"),
        (
            Answer(status=404, body=b'{"code":"rest_no_route","message":"planted"}'),
            InvalidReply,
            "no such route",
        ),
        (Answer(status=413, body=b"planted"), InvalidReply, "limit"),
    ],
)
@pytest.mark.parametrize("operation", ["list", "create", "update"])
def test_a_refusal_says_its_deepest_reason(
    site: WordPressSite, way: Way, reply: Answer, kind: type[JobError], says: str, operation: str
) -> None:
    """Whichever call it comes to, and however it is wrapped."""
    site.fail(operation, reply)  # type: ignore[arg-type]
    with failing(kind, says):
        way.wordpress(site).publish(POST, MemoryJournal())


def test_a_site_in_maintenance_is_back_within_a_minute(site: WordPressSite, way: Way) -> None:
    """It asks for ten, at every update of a plugin; nothing else that asks for time is cut short."""
    site.maintain()
    with pytest.raises(ProviderUnavailable, match="maintenance") as caught:
        way.wordpress(site).publish(POST, MemoryJournal())
    assert caught.value.retry_after_s == 60.0

    site.maintain(begins=False)
    assert way.wordpress(site).publish(POST, MemoryJournal()).is_public


@pytest.mark.parametrize("most", [1, 7, 10, 50, 99])
def test_a_plugin_that_gives_short_pages_is_put_up_with(way: Way, most: int) -> None:
    """Lists are asked for in pages that the site takes."""
    with wordpress_site(most_per_page=most) as running:
        found = way.wordpress(running, running.users[0]).publish(POST, MemoryJournal())
        assert [(post.slug, post.status) for post in running.posts()] == [(POST.key, "publish")]
        assert found.is_public


@pytest.mark.parametrize(
    ("body", "is_ready"),
    [
        (b'{"capabilities": {"publish_posts": true, "unfiltered_html": true}}', True),
        (b'{"capabilities": {"publish_posts": 1, "level_0": null}}', True),
        (b'{"capabilities": {"publish_posts": "1", "odd": {"a": []}}}', True),
        (b'{"capabilities": ["publish_posts"]}', True),
        (
            b'\xef\xbb\xbf\nWarning: planted in [planted] {planted}\n{"capabilities": {"publish_posts": true}}',
            True,
        ),
        (b'{"roles": ["editor"]}', True),
        (b'{"capabilities": null, "id": 7}', True),
        (b'{"capabilities": {"publish_posts": false}}', False),
        (b'{"capabilities": {"publish_posts": ""}}', False),
        (b'{"capabilities": {"publish_posts": "0"}}', False),
        (b'{"capabilities": [], "roles": ["editor"]}', True),
        (b'{"capabilities": []}', False),
        (b'{"capabilities": [], "roles": []}', False),
        (b'{"capabilities": {"edit_posts": true}}', False),
    ],
)
def test_odd_lists_of_capabilities_are_read(way: Way, body: bytes, *, is_ready: bool) -> None:
    """PHP's empty map is a list, and plugins keep all kinds of values; a list that is missing refuses nobody."""
    with scripted_server() as server:
        server.script(scripted(200, body))
        target = way.target(server.url, _credentials())
        assert way.publishers.check(target, timeout_s=5).is_ready is is_ready


def test_a_check_says_that_scripts_are_taken_out(way: Way) -> None:
    """Who may publish and may not write scripts learns so beforehand."""
    with wordpress_site(users=[AUTHOR]) as running:
        checked = way.publishers.check(way.target(running.url, _credentials()), timeout_s=5)
    assert (checked.is_ready, "scripts" in checked.message) == (True, True)


def _credentials() -> WordPressCredentials:
    return WordPressCredentials.model_validate(
        {"username": AUTHOR.name, "application_password": AUTHOR.application_password}
    )


NOISES: dict[str, Callable[[bytes], bytes]] = {
    "a byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "two of them": lambda body: b"\xef\xbb\xbf\n\xef\xbb\xbf" + body,
    "a warning in HTML": lambda body: b"<br />\n<b>Warning</b>: Undefined index [] in {x}<br />\n" + body,
    "a warning in text": lambda body: b"\nWarning: Undefined offset: 1 in /a.php on line 3\n" + body,
    "a comment behind": lambda body: body + b"\n<!-- cached page generated by a plugin -->",
    "printed twice": lambda body: b"<pre>Array ( [0] => [] )</pre>\n" + body + b"\n<br />Deprecated: {}",
}


@pytest.mark.parametrize("noise", NOISES)
def test_noise_around_json_is_passed_over(way: Way, noise: str) -> None:
    """In lists as in single things: one post is made, and found again."""
    with wordpress_site(prints=partial(NOISES[noise])) as running:
        publisher = way.wordpress(running, running.users[0])
        first = publisher.publish(POST, MemoryJournal())
        assert publisher.publish(POST, MemoryJournal()) == first
        assert [(post.slug, post.status) for post in running.posts()] == [(POST.key, "publish")]
