"""Publishing to WordPress when the connection or the site lets one down: still one post, and errors that help."""

import logging
import traceback

import pytest

from adapters.net.http import SHORT_RETRY_AFTER_S
from app.dev.wordpress_site import Answer, Fault, HangUp, Hold, Operation, SiteUser, WordPressSite
from domain.errors import AuthFailed, InvalidReply, JobError, LeaseLost, ProviderUnavailable
from domain.publishing import Post
from tests.adapters.ai.scripted_server import answer as scripted
from tests.adapters.ai.scripted_server import refused_url, scripted_server
from tests.middleware.eventually import eventually

from .conftest import USERS, Way
from .journals import MemoryJournal

POST = Post(key="crumbs-36b1b0bafdaf", title="A planted title", body="A planted text")

#: What must never stand in an error: the password in its forms, what was sent, what came back.
PLANTED = ("planted", "editor ABCD", "ZWRpdG9y")

FAULTS: dict[str, Fault] = {
    "429": Answer(status=429, headers={"Retry-After": "1"}),
    "408": Answer(status=408),
    "500": Answer(status=500, body=b"planted"),
    "503": Answer(status=503),
    "closed before": HangUp(handled=False),
    "closed after": HangUp(handled=True),
}


def assert_published_once(site: WordPressSite) -> None:
    """One post, public, under its key."""
    (post,) = site.posts()
    assert (post.slug, post.status, post.title, post.content) == (POST.key, "publish", POST.title, POST.body)


def assert_nothing_planted(error: BaseException) -> None:
    """Neither the error's text nor its trace quotes a secret or a body."""
    reported = "".join(traceback.format_exception(error))
    assert [each for each in PLANTED if each in str(error)] == []
    assert "ZWRpdG9y" not in reported


@pytest.mark.parametrize("operation", ["list", "create", "update"])
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_is_overcome(site: WordPressSite, way: Way, operation: Operation, fault: str) -> None:
    """Whichever call it hits and however it fails: the post is there once, in the same attempt."""
    site.fail(operation, FAULTS[fault])

    found = way.wordpress(site).publish(POST, MemoryJournal())

    assert_published_once(site)
    assert found.external_id == str(site.posts()[0].id)


@pytest.mark.parametrize("operation", ["list", "create", "update"])
def test_silence_is_overcome(site: WordPressSite, hasty: Way, operation: Operation) -> None:
    """Whichever call the site does not answer in time."""
    site.fail(operation, Hold())

    hasty.wordpress(site).publish(POST, MemoryJournal())

    assert_published_once(site)
    site.release()


@pytest.mark.parametrize("fault", ["closed before", "closed after"])
def test_a_connection_that_closes_every_time_makes_one_draft(
    site: WordPressSite, way: Way, fault: str
) -> None:
    """The answer to creating is lost each time, and looking up finds what was made."""
    site.fail("create", *[FAULTS[fault]] * 3)

    way.wordpress(site).publish(POST, MemoryJournal())

    assert_published_once(site)


def test_a_slow_site_that_creates_late_has_one_post_in_the_end(site: WordPressSite, hasty: Way) -> None:
    """The draft that comes after we gave up on it is found and removed when somebody looks."""
    site.fail("create", Hold())
    publisher = hasty.wordpress(site)
    publisher.publish(POST, MemoryJournal())
    site.release()
    assert eventually(lambda: len(site.posts()) == 2)

    found = publisher.find(POST, MemoryJournal())

    assert found is not None
    assert found.is_public
    assert_published_once(site)


@pytest.mark.parametrize("operation", ["list", "create", "update"])
def test_a_long_retry_after_is_left_to_the_job(site: WordPressSite, way: Way, operation: Operation) -> None:
    """It is not waited for within the attempt; the error says when to come back."""
    site.fail(operation, Answer(status=429, headers={"Retry-After": "600"}))

    with pytest.raises(ProviderUnavailable) as caught:
        way.wordpress(site).publish(POST, MemoryJournal())

    assert caught.value.retry_after_s == 600.0 > SHORT_RETRY_AFTER_S
    assert site.operations.count(operation) == 1


@pytest.mark.parametrize("operation", ["list", "create", "update"])
@pytest.mark.parametrize("retries", [0, 2])
def test_a_site_that_stays_down_is_an_outage(
    site: WordPressSite, way: Way, operation: Operation, retries: int
) -> None:
    """Each call is made as often as the options say, and no more."""
    site.fail(operation, *[Answer(status=500)] * 10)

    with pytest.raises(ProviderUnavailable, match="500") as caught:
        way.wordpress(site, retries=retries).publish(POST, MemoryJournal())

    assert site.operations.count(operation) == 1 + retries
    assert_nothing_planted(caught.value)


def test_a_refused_connection_is_an_outage(way: Way) -> None:
    """Where nothing listens."""
    with refused_url() as url, pytest.raises(ProviderUnavailable) as caught:
        way.wordpress(url).publish(POST, MemoryJournal())
    assert_nothing_planted(caught.value)


def test_no_call_outlives_the_lease(site: WordPressSite, way: Way) -> None:
    """What `hold` gave bounds everything that is done under it, retries included."""
    site.fail("list", Hold())

    with pytest.raises(ProviderUnavailable):
        way.wordpress(site).publish(POST, MemoryJournal(hold_s=0.1))

    assert site.operations == ["list"]
    site.release()


@pytest.mark.parametrize("operation", ["create", "update"])
def test_nonsense_for_an_answer_is_looked_into(site: WordPressSite, way: Way, operation: Operation) -> None:
    """The site said yes and then talked nonsense: what it did is looked up, and done if it was not."""
    site.fail(operation, Answer(status=200, body=b"<br/>Warning: planted"))

    way.wordpress(site).publish(POST, MemoryJournal())

    assert_published_once(site)
    assert site.operations.count(operation) == 2


def test_nonsense_after_every_publishing_does_not_hide_that_it_worked(site: WordPressSite, way: Way) -> None:
    """A plugin that prints a warning whenever a post is saved."""
    draft = site.add(slug=POST.key, title=POST.title, content=POST.body, status="publish")
    site.fail("update", Answer(status=200, body=b"<br/>Warning: planted"))

    found = way.wordpress(site).publish(POST, MemoryJournal(draft_id=str(draft.id)))

    assert found.is_public
    assert site.operations == ["update", "read"]


def test_nonsense_and_a_draft_that_stays_one_is_final(site: WordPressSite, way: Way) -> None:
    """It is asked twice and no more."""
    draft = site.add(slug=POST.key)
    site.fail("update", *[Answer(status=200, body=b"<br/>Warning: planted")] * 5)

    with pytest.raises(InvalidReply, match="another status") as caught:
        way.wordpress(site).publish(POST, MemoryJournal(draft_id=str(draft.id)))

    assert site.operations == ["update", "read"] * 2
    assert_nothing_planted(caught.value)


def test_a_site_that_only_talks_nonsense_is_no_wordpress(site: WordPressSite, way: Way) -> None:
    """It is found out before anything is made."""
    site.fail("list", Answer(status=200, body=b"<html>planted"))

    with pytest.raises(InvalidReply, match="not the JSON") as caught:
        way.wordpress(site).publish(POST, MemoryJournal())

    assert_nothing_planted(caught.value)
    assert site.operations.count("list") == 1
    assert "create" not in site.operations


REFUSALS: list[tuple[Answer, type[JobError], str]] = [
    (
        Answer(status=401, body=b'{"code": "incorrect_password", "message": "planted"}'),
        AuthFailed,
        "make a new one",
    ),
    (Answer(status=401, body=b"planted"), AuthFailed, "check the credentials"),
    (
        Answer(status=403, body=b'{"code": "made_up", "message": "planted"}'),
        AuthFailed,
        "check the credentials",
    ),
    (Answer(status=400, body=b'{"code": "rest_invalid_param", "message": "planted"}'), InvalidReply, "400"),
    (Answer(status=404, body=b"planted"), InvalidReply, "REST API"),
    (Answer(status=404, body=b'{"code": "rest_no_route"}'), InvalidReply, "REST API"),
    (Answer(status=413, body=b"planted"), InvalidReply, "413"),
]


@pytest.mark.parametrize(
    ("refusal", "kind", "says"), REFUSALS, ids=lambda each: getattr(each, "status", None)
)
@pytest.mark.parametrize("operation", ["list", "create", "update"])
def test_a_refusal_is_final_and_says_what_to_do(
    site: WordPressSite, way: Way, operation: Operation, refusal: Answer, kind: type[JobError], says: str
) -> None:
    """Once, without quoting what came back."""
    site.fail(operation, refusal)

    with pytest.raises(kind, match=says) as caught:
        way.wordpress(site).publish(POST, MemoryJournal())

    assert_nothing_planted(caught.value)
    assert site.operations.count(operation) == 1


def test_wrong_credentials_are_refused(site: WordPressSite, way: Way) -> None:
    """The site does not say which part is wrong, so the error names all that may be."""
    for user, says in (
        (SiteUser(name="editor", application_password="planted"), "application password"),
        (SiteUser(name="nobody", application_password="planted"), "user name"),
    ):
        with pytest.raises(AuthFailed, match=says) as caught:
            way.wordpress(site, user).find(POST, MemoryJournal())
        assert_nothing_planted(caught.value)


@pytest.mark.parametrize("operation", ["list", "create", "update"])
def test_a_redirect_is_not_followed(site: WordPressSite, way: Way, operation: Operation) -> None:
    """To another host: credentials and posts stay here, and the error says which address to configure."""
    with scripted_server() as elsewhere:
        elsewhere.script(scripted(200))
        target = f"{elsewhere.url}/planted?planted=planted"
        site.fail(operation, Answer(status=307, headers={"Location": target}))

        with pytest.raises(InvalidReply, match=f"a redirect to {elsewhere.url}; configure") as caught:
            way.wordpress(site).publish(POST, MemoryJournal())

        assert_nothing_planted(caught.value)
        assert elsewhere.received == []


@pytest.mark.parametrize("location", ["/elsewhere/planted/", "", "http://[planted", "planted:planted"])
def test_a_redirect_elsewhere_on_the_host_is_not_followed(
    site: WordPressSite, way: Way, location: str
) -> None:
    """Nor one that leads nowhere."""
    site.fail("create", Answer(status=308, headers={"Location": location}))

    with pytest.raises(InvalidReply, match="redirect") as caught:
        way.wordpress(site).publish(POST, MemoryJournal())

    assert_nothing_planted(caught.value)
    assert site.operations.count("create") == 1


def test_a_site_below_a_path_is_asked_there(way: Way) -> None:
    """With and without a slash at the end."""
    with scripted_server() as server:
        server.script(scripted(200, b"[]"))
        for address in (f"{server.url}/blog", f"{server.url}/blog/"):
            way.wordpress(address).find(POST, MemoryJournal())

        assert {request.path.partition("?")[0] for request in server.received} == {
            "/blog/wp-json/wp/v2/posts"
        }


def test_credentials_go_where_they_belong(way: Way) -> None:
    """As Basic authentication, in one header and nowhere else."""
    with scripted_server() as server:
        server.script(scripted(200, b"[]"))
        way.wordpress(server.url).find(POST, MemoryJournal())

        (request,) = server.received
        assert request.headers["Authorization"].startswith("Basic ZWRpdG9y")
        assert USERS[0].application_password not in request.path


def test_logs_hold_no_secret(site: WordPressSite, way: Way, caplog: pytest.LogCaptureFixture) -> None:
    """However much is logged, by us and by the libraries, and however it ends."""
    caplog.set_level(logging.DEBUG)
    site.fail("create", HangUp(handled=True), Answer(status=500, body=b"planted"))
    way.wordpress(site).publish(POST, MemoryJournal())
    site.fail("delete", Answer(status=500, body=b"planted"))
    other = Post(key="other-36b1b0bafdaf", title=POST.title, body=POST.body)
    with pytest.raises(LeaseLost):
        way.wordpress(site).publish(other, MemoryJournal(lost_after=1))

    assert "could not be removed" in caplog.text
    assert [each for each in PLANTED if each in caplog.text] == []
