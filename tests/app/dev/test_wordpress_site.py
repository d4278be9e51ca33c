"""The local site behaves like WordPress's REST API where publishing depends on it."""

from collections.abc import Iterator

import httpx
import pytest

from app.dev.wordpress_site import Answer, HangUp, Hold, Permalinks, SiteUser, WordPressSite, wordpress_site
from tests.middleware.eventually import eventually

USERS = (
    SiteUser(name="ed", application_password="abcd EFGH", role="editor"),
    SiteUser(name="al", application_password="author pass", role="author"),
    SiteUser(name="co", application_password="contributor pass", role="contributor"),
    SiteUser(name="su", application_password="subscriber pass", role="subscriber"),
)


class Client:
    """Requests to the site's posts."""

    def __init__(self, site: WordPressSite, http: httpx.Client) -> None:
        self.root = f"{site.url}/wp-json/wp/v2"
        self.http = http

    def __call__(
        self, method: str, path: str = "/posts", /, user: SiteUser | None = USERS[0], **given: object
    ) -> httpx.Response:
        """One request, as somebody or nobody."""
        auth = None if user is None else httpx.BasicAuth(user.name, user.application_password)
        query = given if method in ("GET", "DELETE") else {}
        json = None if method in ("GET", "DELETE") else given
        return self.http.request(
            method, f"{self.root}{path}", auth=auth, params={k: str(v) for k, v in query.items()}, json=json
        )


@pytest.fixture(scope="module")
def running_site() -> Iterator[WordPressSite]:
    with wordpress_site(users=USERS) as running:
        yield running


@pytest.fixture
def site(running_site: WordPressSite) -> WordPressSite:
    running_site.clear()
    return running_site


@pytest.fixture
def ask(site: WordPressSite) -> Iterator[Client]:
    with httpx.Client(trust_env=False) as http:
        yield Client(site, http)


def refused(reply: httpx.Response) -> tuple[int, str]:
    """Status and code of an error, whose body repeats the status."""
    body = reply.json()
    assert body["data"]["status"] == reply.status_code
    return reply.status_code, body["code"]


def test_a_draft_is_made(site: WordPressSite, ask: Client) -> None:
    """201 with its address, the raw texts, and a link that is not its final one."""
    reply = ask("POST", slug="a-key", title="One & two", content="Text", status="draft")

    body = reply.json()
    assert reply.status_code == 201
    assert reply.headers["Location"] == f"{site.url}/wp-json/wp/v2/posts/{body['id']}"
    assert (body["slug"], body["status"], body["link"]) == ("a-key", "draft", f"{site.url}/?p={body['id']}")
    assert body["title"] == {"raw": "One & two", "rendered": "One &amp; two"}
    assert body["content"]["raw"] == "Text"


def test_a_draft_becomes_public(site: WordPressSite, ask: Client) -> None:
    """By id, as often as one likes; readers then see it at its slug."""
    made = ask("POST", slug="a-key", title="T", content="Text").json()
    for method in ("POST", "PUT", "PATCH"):
        body = ask(method, f"/posts/{made['id']}", status="publish").json()
        assert (body["status"], body["link"]) == ("publish", f"{site.url}/a-key/")

    page = ask.http.get(f"{site.url}/a-key/")
    assert (page.status_code, "<h1>T</h1>Text" in page.text) == (200, True)
    assert ask.http.get(f"{site.url}/another/").status_code == 404


def test_drafts_get_slugs_of_their_own(ask: Client) -> None:
    """As current versions do: the second draft of a slug is its variant -2, and the third -3."""
    slugs = [ask("POST", slug="a-key", title="T", status="draft").json()["slug"] for _ in range(3)]

    assert slugs == ["a-key", "a-key-2", "a-key-3"]


def test_older_versions_make_a_slug_unique_only_when_it_becomes_public() -> None:
    """Two drafts share a slug there; whichever becomes public while the other has it too gets the variant."""
    with wordpress_site(users=USERS, unique_drafts=False) as site, httpx.Client(trust_env=False) as http:
        ask = Client(site, http)
        made = [ask("POST", slug="a-key", title="T", status="draft").json() for _ in range(2)]
        public = [ask("POST", f"/posts/{each['id']}", status="publish").json() for each in made]

    assert [each["slug"] for each in made] == ["a-key", "a-key"]
    assert [each["slug"] for each in public] == ["a-key-2", "a-key"]


def test_a_post_without_a_slug_is_named_after_its_title_when_it_becomes_public(ask: Client) -> None:
    """As long as it is a draft it has none."""
    made = ask("POST", title="Crumbs, & more").json()
    public = ask("POST", f"/posts/{made['id']}", status="publish").json()

    assert (made["slug"], public["slug"]) == ("", "crumbs-more")


def test_the_trash_frees_a_slug_and_gives_it_back(ask: Client) -> None:
    """A post in the trash is listed nowhere unless asked for; published again, it has its slug again."""
    made = ask("POST", slug="a-key", title="T").json()
    path = f"/posts/{made['id']}"

    trashed = ask("DELETE", path).json()
    assert (trashed["status"], trashed["slug"]) == ("trash", "a-key__trashed")
    assert refused(ask("DELETE", path)) == (410, "rest_already_trashed")
    assert ask("GET", status="any").json() == []
    assert len(ask("GET", status="trash").json()) == 1
    assert ask("POST", path, status="publish").json()["slug"] == "a-key"


def test_a_removed_post_is_gone(ask: Client) -> None:
    """With `force` the reply tells what it was, and afterwards there is no such post."""
    made = ask("POST", slug="a-key", title="T").json()
    path = f"/posts/{made['id']}"

    gone = ask("DELETE", path, force="true").json()
    assert (gone["deleted"], gone["previous"]["status"]) == (True, "draft")
    for method in ("GET", "POST", "DELETE"):
        assert refused(ask(method, path)) == (404, "rest_post_invalid_id")


def test_lists_are_paged(site: WordPressSite, ask: Client) -> None:
    """The newest first, with totals and links; a page beyond the end is refused."""
    for number in range(5):
        site.add(slug=f"s-{number}", status="publish")

    page = ask("GET", per_page=2, page=2, user=None)

    assert [each["slug"] for each in page.json()] == ["s-2", "s-1"]
    assert (page.headers["X-WP-Total"], page.headers["X-WP-TotalPages"]) == ("5", "3")
    assert 'rel="prev"' in page.headers["Link"]
    assert 'page=3>; rel="next"' in page.headers["Link"]
    assert [p["slug"] for p in ask("GET", orderby="id", order="asc", per_page=1).json()] == ["s-0"]
    assert refused(ask("GET", per_page=2, page=4)) == (400, "rest_post_invalid_page_number")
    assert ask("GET", slug="nobody", page=4).json() == []


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("per_page", 0, "between 1 (inclusive) and 100 (inclusive)"),
        ("per_page", 101, "between 1 (inclusive) and 100 (inclusive)"),
        ("per_page", "ten", "not of type integer"),
        ("page", 0, "greater than or equal to 1"),
        ("status", "made-up", "not one of"),
        ("context", "made-up", "not one of"),
        ("orderby", "made-up", "not one of"),
    ],
)
def test_bad_parameters_are_named(ask: Client, name: str, value: object, says: str) -> None:
    """400, with the parameter and what is wrong with it."""
    reply = ask("GET", "/posts", USERS[0], **{name: value})

    assert refused(reply) == (400, "rest_invalid_param")
    assert reply.json()["message"] == f"Invalid parameter(s): {name}"
    assert says in reply.json()["data"]["params"][name]


def test_posts_are_found_by_slug_and_status(site: WordPressSite, ask: Client) -> None:
    """Several of each; `any` is everything but the trash; only wanted fields are sent."""
    for status in ("publish", "draft", "pending", "private", "future", "trash"):
        site.add(slug=f"s-{status}", status=status)

    def slugs(**query: str) -> list[str]:
        return sorted(post["slug"] for post in ask("GET", "/posts", USERS[0], **query).json())

    assert slugs() == ["s-publish"]
    assert slugs(status="draft,pending") == ["s-draft", "s-pending"]
    assert slugs(status="any") == ["s-draft", "s-future", "s-pending", "s-private", "s-publish"]
    assert slugs(status="any", slug="s-draft,s-publish,nobody") == ["s-draft", "s-publish"]
    assert ask("GET", _fields="id,slug", context="edit").json() == [{"id": 1, "slug": "s-publish"}]


def test_nobody_sees_only_what_is_public(site: WordPressSite, ask: Client) -> None:
    """Drafts, raw texts and other statuses need somebody who may see them."""
    draft = site.add(slug="a-draft")
    public = site.add(slug="a-post", status="publish")

    assert refused(ask("GET", user=None, context="edit")) == (401, "rest_forbidden_context")
    forbidden = ask("GET", user=None, status="draft")
    assert refused(forbidden) == (400, "rest_invalid_param")
    assert forbidden.json()["data"]["details"]["status"]["code"] == "rest_forbidden_status"
    assert refused(ask("GET", f"/posts/{draft.id}", user=None)) == (401, "rest_forbidden")
    assert refused(ask("GET", f"/posts/{public.id}", user=None, context="edit")) == (
        401,
        "rest_forbidden_context",
    )
    assert "raw" not in ask("GET", f"/posts/{public.id}", user=None).json()["title"]


def test_nobody_changes_anything(site: WordPressSite, ask: Client) -> None:
    """401, and the posts are as they were."""
    before = site.add(slug="a-post", status="publish")

    assert refused(ask("POST", user=None, title="T")) == (401, "rest_cannot_create")
    assert refused(ask("POST", f"/posts/{before.id}", user=None, title="T")) == (401, "rest_cannot_edit")
    assert refused(ask("DELETE", f"/posts/{before.id}", user=None)) == (401, "rest_cannot_delete")
    assert refused(ask("GET", "/users/me", user=None)) == (401, "rest_not_logged_in")
    assert site.posts() == [before]


def test_roles_are_kept_apart(site: WordPressSite, ask: Client) -> None:
    """A contributor may not publish, an author not change others' posts, a subscriber nothing."""
    others = site.add(slug="others")
    author, contributor, subscriber = USERS[1:]

    own = ask("POST", user=contributor, title="T")
    assert own.status_code == 201
    path = f"/posts/{own.json()['id']}"
    assert refused(ask("POST", path, user=contributor, status="publish")) == (403, "rest_cannot_publish")
    assert refused(ask("POST", user=contributor, title="T", status="publish")) == (403, "rest_cannot_publish")
    assert refused(ask("POST", f"/posts/{others.id}", user=author, title="T")) == (403, "rest_cannot_edit")
    assert refused(ask("POST", user=subscriber, title="T")) == (403, "rest_cannot_create")
    assert refused(ask("GET", user=subscriber, context="edit")) == (403, "rest_forbidden_context")
    capabilities = ask("GET", "/users/me", user=contributor, context="edit").json()["capabilities"]
    assert capabilities == dict.fromkeys(["read", "edit_posts", "delete_posts", "contributor"], True)
    hidden = ask("GET", user=subscriber, status="draft", context="edit")
    assert refused(hidden) == (400, "rest_invalid_param")
    assert hidden.json()["data"]["details"]["status"]["data"] == {"status": 403}


def test_whoever_cannot_sign_in_is_nobody(ask: Client) -> None:
    """As WordPress has it, without a word on why; spaces in an application password do not count."""
    assert (
        ask("GET", "/users/me", user=SiteUser(name="ed", application_password="abcdEFGH")).status_code == 200
    )
    for name in ("ed", "who"):
        stranger = SiteUser(name=name, application_password="no")
        assert refused(ask("GET", "/users/me", user=stranger)) == (401, "rest_not_logged_in")
        hidden = ask("GET", user=stranger, status="draft", context="edit")
        assert refused(hidden) == (400, "rest_invalid_param")
        detail = hidden.json()["data"]["details"]["status"]
        assert (detail["code"], detail["data"]) == ("rest_forbidden_status", {"status": 401})


@pytest.mark.parametrize(
    ("permalinks", "root", "answers"),
    [
        ("pretty", "/wp-json/", {"/wp-json/": 200, "/index.php/wp-json/": 200, "/?rest_route=/": 200}),
        ("index", "/index.php/wp-json/", {"/index.php/wp-json/": 200, "/?rest_route=/": 200}),
        ("plain", "/index.php?rest_route=/", {"/?rest_route=/": 200, "/index.php?rest_route=/": 200}),
    ],
)
def test_permalinks_say_where_the_api_is(permalinks: Permalinks, root: str, answers: dict[str, int]) -> None:
    """Its root is linked from the front page; with arguments it is reached everywhere, elsewhere stands a page."""
    with wordpress_site(users=USERS, permalinks=permalinks) as site, httpx.Client(trust_env=False) as http:
        assert f'<{site.url}{root}>; rel="https://api.w.org/"' in http.get(site.url).headers["Link"]
        for path in ("/wp-json/", "/index.php/wp-json/", "/?rest_route=/", "/index.php?rest_route=/"):
            reply = http.get(site.url + path)
            is_api = reply.headers["Content-Type"] == "application/json"
            assert (reply.status_code == 200, is_api) == (True, path in answers or "rest_route" in path)
        listed = http.get(f"{site.url}/?rest_route=/wp/v2/posts&per_page=1")
        assert (listed.json(), listed.headers["X-WP-Total"]) == ([], "0")
        moved = http.get(f"{site.url}/wp-json/wp/v2/posts?a=b")
        assert moved.status_code == (301 if permalinks == "plain" else 200)


def test_a_site_in_maintenance_answers_nothing_else(site: WordPressSite, ask: Client) -> None:
    """503 and ten minutes, for every request; then it is as it was."""
    site.maintain()
    for path in ("", "/wp-json/wp/v2/posts", "/any/"):
        reply = ask.http.get(site.url + path)
        assert (reply.status_code, reply.headers["Retry-After"]) == (503, "600")

    site.maintain(begins=False)

    assert ask("GET").json() == []


def test_what_cannot_be_read_is_refused(site: WordPressSite, ask: Client) -> None:
    """Bad JSON, empty posts, texts that are none, statuses that are none, routes that are none."""
    auth = httpx.BasicAuth(USERS[0].name, USERS[0].application_password)
    assert refused(ask.http.post(f"{ask.root}/posts", content=b"{", auth=auth)) == (400, "rest_invalid_json")
    assert refused(ask("POST")) == (400, "empty_content")
    assert refused(ask("POST", title=7)) == (400, "rest_invalid_param")
    assert refused(ask("POST", title="T", status="made-up")) == (400, "rest_invalid_param")
    assert refused(ask("GET", "/posts/none")) == (404, "rest_no_route")
    assert refused(ask("PUT", "/posts")) == (404, "rest_no_route")
    assert site.posts() == []


def test_faults_come_in_order_and_go(site: WordPressSite, ask: Client) -> None:
    """Each for one request of its kind; others are not touched."""
    site.fail(
        "create",
        Answer(status=429, headers={"Retry-After": "7"}),
        HangUp(handled=False),
        HangUp(handled=True),
    )

    busy = ask("POST", title="T")
    assert (busy.status_code, busy.headers["Retry-After"]) == (429, "7")
    assert ask("GET").json() == []
    with pytest.raises(httpx.TransportError):
        ask("POST", title="T")
    assert site.posts() == []
    with pytest.raises(httpx.TransportError):
        ask("POST", title="T")
    assert len(site.posts()) == 1
    assert ask("POST", title="T").status_code == 201
    assert site.operations == ["create", "list", "create", "create", "create"]


def test_a_held_request_is_handled_later(site: WordPressSite, ask: Client) -> None:
    """Also when its caller has gone by then."""
    site.fail("create", Hold())
    with pytest.raises(httpx.ReadTimeout):
        ask.http.post(
            f"{ask.root}/posts",
            json={"title": "T"},
            auth=("ed", "abcdEFGH"),
            timeout=httpx.Timeout(5, read=0.2),
        )
    site.wait_until_holding()
    assert site.posts() == []

    site.release()

    assert eventually(lambda: len(site.posts()) == 1)


def test_other_processes_can_look_at_it(site: WordPressSite, ask: Client) -> None:
    """Posts and counts over HTTP; looking is not counted."""
    post = site.add(slug="a-post", status="publish")
    ask("GET")

    state = ask.http.get(f"{site.url}/_site/state").json()

    assert state["posts"] == [post.as_record()]
    assert (state["requests"], state["operations"], state["most_in_flight"]) == (1, ["list"], 1)
