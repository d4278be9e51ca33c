"""A WordPress site is found wherever it has its API, past redirects and caches, and never on another host."""

from collections.abc import Mapping

import httpx
import pytest
from pydantic import SecretStr

from adapters.credentials import WordPressCredentials
from adapters.publishing.wordpress_root import KnownRoots, default_root, is_same_host, linked_root
from app.dev.wordpress_site import Permalinks, WordPressSite, wordpress_site
from domain.errors import InvalidInput, InvalidReply
from domain.publishing import Post
from tests.cases.http_servers import Reply, Request, http_server

from .conftest import USERS, Way
from .journals import MemoryJournal

POST = Post(key="buns-36b1b0bafdaf", title="Buns", body="A text")
EDITOR = WordPressCredentials(
    username=USERS[0].name, application_password=SecretStr(USERS[0].application_password)
)
LISTED = Reply(body=b"[]", headers={"Content-Type": "application/json", "X-WP-Total": "0"})


def public(site: WordPressSite) -> list[tuple[str, str]]:
    """Slugs and statuses of all posts."""
    return [(post.slug, post.status) for post in site.posts()]


@pytest.mark.parametrize("permalinks", ["pretty", "index", "plain"])
@pytest.mark.parametrize("ending", ["", "/", "/wp-json", "/index.php/wp-json/"])
def test_a_site_is_published_to_whatever_its_permalinks(
    way: Way, permalinks: Permalinks, ending: str
) -> None:
    """By its own address, or its API's."""
    with wordpress_site(users=USERS, permalinks=permalinks) as running:
        target = way.target(running.url + ending, EDITOR)
        assert way.publishers.check(target, timeout_s=10).is_ready
        assert way.wordpress(running.url + ending).publish(POST, MemoryJournal()).is_public
        assert public(running) == [(POST.key, "publish")]


@pytest.mark.parametrize("permalinks", ["index", "plain"])
def test_a_remembered_draft_is_published_by_a_process_that_knows_nothing(
    way: Way, hasty: Way, permalinks: Permalinks
) -> None:
    """Its first call is the one that changes the post, and what answers it elsewhere is a page."""
    with wordpress_site(users=USERS, permalinks=permalinks) as running:
        draft = running.add(slug=POST.key, title=POST.title, content=POST.body)
        found = way.wordpress(running).publish(POST, MemoryJournal(draft_id=str(draft.id)))
        assert (found.external_id, public(running)) == (str(draft.id), [(POST.key, "publish")])


@pytest.mark.parametrize("stumble", [500, 502, 403, 400])
def test_a_web_server_may_stumble_over_a_form_that_it_does_not_know(way: Way, stumble: int) -> None:
    """As over a path behind a file's name; the next one is tried."""

    def answer(asked: Request) -> Reply:
        if "rest_route" in asked.path:
            return LISTED
        return Reply(stumble if "/index.php/" in asked.path else 404, b"No input file specified.")

    with http_server(answer) as address:
        assert way.wordpress(address).find(POST, MemoryJournal()) is None


def test_where_the_api_is_is_found_out_once(way: Way) -> None:
    """Later posts cost no request more than on any other site."""
    with wordpress_site(users=USERS, permalinks="plain") as running:
        way.wordpress(running).publish(POST, MemoryJournal())
        before = running.requests
        way.wordpress(running).publish(Post(key="rye-36b1b0bafdaf", title="Rye", body=""), MemoryJournal())
        assert running.operations[before:] == ["list", "create", "update"]


def test_a_site_that_changes_its_permalinks_is_found_again(way: Way) -> None:
    """Without a restart."""
    with wordpress_site(users=USERS) as running:
        publisher = way.wordpress(running)
        publisher.publish(POST, MemoryJournal())
        running.set_permalinks("plain")
        publisher.publish(Post(key="rye-36b1b0bafdaf", title="Rye", body=""), MemoryJournal())
        assert [status for _, status in public(running)] == ["publish"] * 2


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_look_up_follows_redirects_on_its_host(way: Way, status: int) -> None:
    """With the credentials, which go nowhere else; what changes something is not sent elsewhere."""
    seen: list[Request] = []

    def answer(asked: Request) -> Reply:
        seen.append(asked)
        if asked.path.startswith("/moved/"):
            return LISTED
        return Reply(status, headers={"Location": "/moved" + asked.path})

    with http_server(answer) as address:
        publisher = way.wordpress(address)
        assert publisher.find(POST, MemoryJournal()) is None
        with pytest.raises(InvalidReply, match="another path of the same host"):
            publisher.publish(POST, MemoryJournal(draft_id="7"))
    assert all("Authorization" in each.headers for each in seen if "/wp-json/" in each.path)
    assert [each.path for each in seen if each.method == "POST" and "/moved" in each.path] == []


def test_a_look_up_follows_no_redirect_to_another_port(way: Way) -> None:
    """Something else listens there."""
    reached: list[Request] = []

    def elsewhere(asked: Request) -> Reply:
        reached.append(asked)
        return LISTED

    with http_server(elsewhere) as other:
        moved = Reply(301, headers={"Location": f"{other}/wp-json/wp/v2/posts"})
        with http_server(lambda asked: moved) as address, pytest.raises(InvalidReply, match="redirect to"):
            way.wordpress(address).find(POST, MemoryJournal())
    assert reached == []


def test_redirects_in_circles_end(way: Way) -> None:
    """After a few."""
    seen: list[str] = []

    def answer(asked: Request) -> Reply:
        seen.append(asked.path)
        return Reply(302, headers={"Location": asked.path})

    with http_server(answer) as address, pytest.raises(InvalidReply, match="circles"):
        way.wordpress(address).find(POST, MemoryJournal())
    assert len(seen) < 20


def test_no_cache_answers_a_look_up(way: Way) -> None:
    """Whether it goes by addresses or by headers: each look-up has an address of its own and asks for none."""
    seen: list[Request] = []

    def answer(asked: Request) -> Reply:
        seen.append(asked)
        return LISTED

    with http_server(answer) as address:
        for _ in range(3):
            way.wordpress(address).find(POST, MemoryJournal())
    assert len({each.path for each in seen}) == len(seen) == 3
    assert all("no-cache" in each.headers["Cache-Control"] for each in seen)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('<https://a.example/wp-json/>; rel="https://api.w.org/"', "https://a.example/wp-json/"),
        ("</blog/wp-json>; rel=https://api.w.org/", "https://a.example/blog/wp-json/"),
        (
            '<https://a.example/?p=1>; rel=shortlink, <https://a.example/api/>; title="JSON"; rel="https://api.w.org/"',
            "https://a.example/api/",
        ),
        (
            '<https://a.example/index.php?rest_route=/>; rel="https://api.w.org/"',
            "https://a.example/index.php?rest_route=%2F",
        ),
        ('<https://b.example/wp-json/>; rel="https://api.w.org/"', "https://b.example/wp-json/"),
        ('<https://a.example/feed/>; rel="alternate"', None),
        ('<javascript:alert(1)>; rel="https://api.w.org/"', None),
        (None, None),
    ],
)
def test_a_front_page_links_its_api(header: str | None, expected: str | None) -> None:
    """Among other links, absolute or not."""
    found = linked_root(header, httpx.URL("https://a.example/page"))
    assert (found and str(found.url)) == expected


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        ("http://a.example/b", True),
        ("https://a.example/", True),
        ("https://a.example:443/", True),
        ("http://a.example:8080/", False),
        ("https://a.example:8443/", False),
        ("http://b.example/", False),
        ("http://a.example.b.example/", False),
    ],
)
def test_credentials_stay_on_their_host(other: str, *, is_same: bool) -> None:
    """The only change that is let pass is the one from http to https."""
    assert is_same_host(httpx.URL("http://a.example/"), httpx.URL(other)) is is_same
    assert not is_same_host(httpx.URL("https://a.example/"), httpx.URL("http://a.example/"))


def test_what_is_known_of_sites_has_a_bound() -> None:
    """It begins anew when it is full."""
    known = KnownRoots(most=2)
    for name in ("a", "b", "c"):
        known.keep(f"https://{name}.example", default_root(f"https://{name}.example"))
    assert (known.get("https://a.example"), known.get("https://c.example")) == (
        None,
        default_root("https://c.example"),
    )


PAGES: Mapping[str, str] = {
    "": "",
    "/": "/",
    "/wp-json": "",
    "/wp-json/": "",
    "/a-post/": "",
    "/index.php": "",
}


@pytest.mark.parametrize("permalinks", ["pretty", "index", "plain"])
@pytest.mark.parametrize("given", PAGES)
def test_a_sites_address_is_found_from_any_of_its_own(way: Way, permalinks: Permalinks, given: str) -> None:
    """Its root, a post, or its API; nobody signs in for that."""
    with wordpress_site(users=USERS, permalinks=permalinks) as running:
        running.add(slug="a-post", status="publish")
        found = way.publishers.site_address(running.url + given, timeout_s=10)
        assert found == running.url + PAGES[given]


def test_an_address_that_leads_to_no_site_is_kept(way: Way) -> None:
    """What is there may come later."""
    with http_server(lambda asked: Reply(404)) as address:
        assert way.publishers.site_address(address, timeout_s=10) is None


def test_a_site_with_its_api_on_another_host_is_refused(way: Way) -> None:
    """The address to give is named; nothing is asked there."""
    link = {"Link": '<https://cms.example/wp-json/>; rel="https://api.w.org/"'}

    def answer(asked: Request) -> Reply:
        return Reply(200 if asked.path == "/" else 404, b"<!doctype html>", link)

    with http_server(answer) as address, pytest.raises(InvalidInput, match=r"https://cms\.example"):
        way.publishers.site_address(address, timeout_s=10)
