"""The local site has categories, tags, users and media as WordPress has them, where publishing depends on it."""

from collections.abc import Iterator

import httpx
import pytest

from app.dev.wordpress_site import SiteUser, WordPressSite, wordpress_site

from .test_wordpress_site import Client, refused

EDITOR = SiteUser(name="ed", application_password="editor pass", role="editor", display_name="Ed Itor")
AUTHOR = SiteUser(name="al", application_password="author pass", role="author")
CONTRIBUTOR = SiteUser(name="co", application_password="contributor pass", role="contributor")
IMAGE = {"Content-Type": "image/png", "Content-Disposition": 'attachment; filename="a.png"'}


@pytest.fixture(scope="module")
def running_site() -> Iterator[WordPressSite]:
    with wordpress_site(users=[EDITOR, AUTHOR, CONTRIBUTOR]) as running:
        yield running


@pytest.fixture
def ask(running_site: WordPressSite) -> Iterator[Client]:
    running_site.clear()
    with httpx.Client(trust_env=False) as http:
        yield Client(running_site, http)


def upload(ask: Client, user: SiteUser = AUTHOR, **changed: str) -> httpx.Response:
    """Upload a picture."""
    return ask.http.post(
        f"{ask.root}/media?slug=mark&title=A%20title",
        content=b"picture",
        headers={**IMAGE, **{name.replace("_", "-"): value for name, value in changed.items()}},
        auth=(user.name, user.application_password),
    )


def test_a_name_is_there_once(running_site: WordPressSite, ask: Client) -> None:
    """However it is written; who makes it again is told which it is."""
    made = ask("POST", "/tags", EDITOR, name="A & B").json()
    again = ask("POST", "/tags", AUTHOR, name="a & b")

    assert (made["name"], made["slug"]) == ("A &amp; B", "a-b")
    assert refused(again) == (400, "term_exists")
    assert again.json()["data"]["term_id"] == made["id"]
    assert [term.name for term in running_site.terms("tags")] == ["A & B"]


def test_names_are_searched_as_they_are_kept(ask: Client) -> None:
    """That is, as HTML; each taxonomy has its own."""
    ask("POST", "/tags", EDITOR, name="A & B")

    assert [each["name"] for each in ask("GET", "/tags", search="a &amp; b").json()] == ["A &amp; B"]
    assert ask("GET", "/tags", search="a & b").json() == []
    assert ask("GET", "/categories", search="a").json()[0]["name"] == "Uncategorized"


def test_roles_make_what_they_may(ask: Client) -> None:
    """Authors tags, Editors categories too."""
    assert ask("POST", "/tags", AUTHOR, name="T").status_code == 201
    assert refused(ask("POST", "/categories", AUTHOR, name="C")) == (403, "rest_cannot_create")
    assert ask("POST", "/categories", EDITOR, name="C").status_code == 201
    assert refused(ask("POST", "/tags", None, name="T")) == (401, "rest_cannot_create")
    assert refused(upload(ask, CONTRIBUTOR)) == (403, "rest_cannot_create")


def test_an_upload_has_its_slug_at_once(running_site: WordPressSite, ask: Client) -> None:
    """A second one gets a variant; both are found by it."""
    slugs = [upload(ask).json()["slug"] for _ in range(2)]

    assert slugs == ["mark", "mark-2"]
    assert [each.content for each in running_site.media] == [b"picture"] * 2
    assert len(ask("GET", "/media", slug="mark,mark-2").json()) == 2
    assert ask("DELETE", f"/media/{running_site.media[0].id}", AUTHOR, force="true").status_code == 200
    assert [each.slug for each in running_site.media] == ["mark-2"]


def test_a_file_that_is_not_taken_is_an_error_of_the_server(ask: Client) -> None:
    """With a name that says that it is none."""
    assert refused(upload(ask, Content_Type="application/x-php")) == (500, "rest_upload_sideload_error")


def test_a_post_has_what_is_said_of_it(running_site: WordPressSite, ask: Client) -> None:
    """Authors keep to their own name; who is nobody's is refused."""
    said = {"excerpt": "Short", "tags": [7], "categories": [1, 8], "featured_media": 9}
    made = ask("POST", "/posts", EDITOR, title="T", date_gmt="2020-01-02T03:04:05", author=2, **said)

    body = made.json()
    assert (body["date_gmt"], body["tags"], body["categories"]) == ("2020-01-02T03:04:05", [7], [1, 8])
    assert (body["excerpt"]["raw"], body["featured_media"]) == ("Short", 9)
    assert running_site.posts()[0].author == "al"
    assert refused(ask("POST", "/posts", AUTHOR, title="T", author=1)) == (403, "rest_cannot_edit_others")
    assert refused(ask("POST", "/posts", EDITOR, title="T", author=99)) == (400, "rest_invalid_author")


def test_users_are_found_by_what_readers_see(ask: Client) -> None:
    """Or by the name in their address; who writes is not for everybody."""
    found = ask("GET", "/users", EDITOR, search="itor", who="authors").json()
    assert found == [{"id": 1, "name": "Ed Itor", "slug": "ed"}]
    assert refused(ask("GET", "/users", None, search="e", who="authors")) == (401, "rest_forbidden_who")


def test_authors_write_no_scripts(running_site: WordPressSite, ask: Client) -> None:
    """They are taken out without a word, and what stands in them stays; an Editor's are kept."""
    text = "<p onclick='x()'>a</p><script>x()</script>"
    for user in (AUTHOR, EDITOR):
        ask("POST", "/posts", user, title="T", content=text)
    assert [post.content for post in running_site.posts()] == ["<p>a</p>x()", text]
