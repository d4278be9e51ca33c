"""What the site answers: posts and errors in WordPress's own form."""

from collections.abc import Mapping
from html import escape

from starlette.responses import JSONResponse

from .store import SitePost, SiteUser


class Refusal(Exception):
    """A request that ends in an error body.

    Parameters:
        status: of the reply.
        code: what it is called.
        message: what it says.
        data: what stands beside the status.
    """

    def __init__(self, status: int, code: str, message: str, **data: object) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": code, "message": message, "data": {"status": status, **data}}

    def reply(self) -> JSONResponse:
        """The error as it is sent."""
        return JSONResponse(self.body, self.status)


def forbidden(user: SiteUser | None, code: str, message: str) -> Refusal:
    """Something this user may not do: 401 for nobody, 403 for somebody."""
    return Refusal(401 if user is None else 403, code, message)


def invalid_param(
    name: str, message: str, *, code: str = "rest_invalid_param", data: object = None
) -> Refusal:
    """A parameter that does not fit."""
    return Refusal(
        400,
        "rest_invalid_param",
        f"Invalid parameter(s): {name}",
        params={name: message},
        details={name: {"code": code, "message": message, "data": data}},
    )


def no_route() -> Refusal:
    """Nothing is there."""
    return Refusal(404, "rest_no_route", "No route was found matching the URL and request method.")


def invalid_id() -> Refusal:
    """No such post."""
    return Refusal(404, "rest_post_invalid_id", "Invalid post ID.")


def post_body(post: SitePost, base_url: str, *, edit: bool, fields: frozenset[str]) -> dict[str, object]:
    """A post as the API shows it.

    Parameters:
        post: which.
        base_url: the site's address.
        edit: whether the raw texts are shown as well.
        fields: the only ones wanted; empty for all.
    """
    title: dict[str, object] = {"rendered": escape(post.title)}
    content: dict[str, object] = {"rendered": post.content, "protected": False}
    if edit:
        title = {"raw": post.title, **title}
        content = {"raw": post.content, **content, "block_version": 0}
    date = post.date.strftime("%Y-%m-%dT%H:%M:%S")
    body: Mapping[str, object] = {
        "id": post.id,
        "date": date,
        "date_gmt": date,
        "guid": {"rendered": f"{base_url}/?p={post.id}"},
        "modified": date,
        "modified_gmt": date,
        "slug": post.slug,
        "status": post.status,
        "type": "post",
        "link": link(post, base_url),
        "title": title,
        "content": content,
        "excerpt": {"raw": post.excerpt, "rendered": escape(post.excerpt), "protected": False},
        "author": 1,
        "categories": list(post.categories),
        "tags": list(post.tags),
        "featured_media": post.featured_media,
        "comment_status": "open",
        "format": "standard",
    }
    return {
        name: _part(value, name, fields)
        for name, value in body.items()
        if not fields or any(each.partition(".")[0] == name for each in fields)
    }


def _part(value: object, name: str, fields: frozenset[str]) -> object:
    """What is wanted of a field: all of it, or what is named behind a dot."""
    wanted = {each.partition(".")[2] for each in fields if each.partition(".")[0] == name}
    if not wanted or "" in wanted or not isinstance(value, dict):
        return value
    return {key: part for key, part in value.items() if key in wanted}


def link(post: SitePost, base_url: str) -> str:
    """Where readers find a post; a draft has no address of its own yet."""
    public = post.status in ("publish", "private")
    return f"{base_url}/{post.slug}/" if public else f"{base_url}/?p={post.id}"
