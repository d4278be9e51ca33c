"""The routes `/wp-json/wp/v2/posts` and `/wp-json/wp/v2/users/me`, after WordPress's posts controller."""

import base64
import binascii
import re
from collections.abc import Sequence
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from .library import Library
from .params import (
    author_of,
    is_edit,
    json_fields,
    more_of,
    names,
    one_of,
    slug_of,
    status_of,
    statuses_of,
    text,
    whole,
)
from .replies import Refusal, forbidden, invalid_id, no_route, post_body
from .store import PostStore, SitePost, SiteUser

#: Where the API begins.
ROOT = "/wp-json/wp/v2"

_ORDERS = {
    "id": lambda post: post.id,
    "date": lambda post: (post.date, post.id),
    "slug": lambda post: post.slug,
}
_SECRET_PARTS = re.compile(r"[^a-zA-Z0-9]")


class Api:
    """The site's application.

    Parameters:
        store: the posts.
        users: who may sign in.
        base_url: the site's address, which links begin with.
        most_per_page: the most that a page of a list may have; plugins set it lower.
    """

    def __init__(
        self, store: PostStore, users: Sequence[SiteUser], base_url: str, *, most_per_page: int = 100
    ) -> None:
        self._store = store
        self._most_per_page = most_per_page
        self._users = {user.name: user for user in users}
        self._base_url = base_url
        #: Its categories, tags and media.
        self.library = Library(users, self._user)

    def application(self) -> Starlette:
        """What a server serves."""
        one = f"{ROOT}/posts/{{post_id:int}}"
        return Starlette(
            routes=[
                Route("/wp-json/", self._index, methods=["GET"]),
                Route(f"{ROOT}/posts", self._list, methods=["GET"]),
                Route(f"{ROOT}/posts", self._create, methods=["POST"]),
                Route(one, self._read, methods=["GET"]),
                Route(one, self._update, methods=["POST", "PUT", "PATCH"]),
                Route(one, self._delete, methods=["DELETE"]),
                Route(f"{ROOT}/users/me", self._me, methods=["GET"]),
                *self.library.routes(ROOT),
                Route("/{slug}/", self._page, methods=["GET"]),
            ],
            exception_handlers={
                Refusal: _refused,
                404: _nothing,
                405: _nothing,
            },
        )

    async def _index(self, request: Request) -> Response:
        return JSONResponse(
            {"namespaces": ["oembed/1.0", "wp/v2"], "authentication": {"application-passwords": {}}}
        )

    async def _list(self, request: Request) -> Response:
        user = self._user(request)
        query = request.query_params
        # Parameters come before permissions, and who may not see a status is told so as one that does not fit.
        edit = is_edit(request)
        statuses = statuses_of(query.getlist("status") + query.getlist("status[]"), user)
        slugs = names(query.getlist("slug") + query.getlist("slug[]"))
        per_page = whole("per_page", query.get("per_page", "10"), 1, self._most_per_page)
        page = whole("page", query.get("page", "1"), 1, None)
        order = one_of("order", query.get("order", "desc"), ("asc", "desc"))
        orderby = one_of("orderby", query.get("orderby", "date"), tuple(_ORDERS))
        if edit and not (user and user.may_edit):
            raise forbidden(
                user, "rest_forbidden_context", "Sorry, you are not allowed to edit posts in this post type."
            )

        fitting = sorted(
            (
                post
                for post in self._store.all()
                if post.status in statuses and (not slugs or post.slug in slugs)
            ),
            key=_ORDERS[orderby],
            reverse=order == "desc",
        )
        pages = -(-len(fitting) // per_page)
        if page > pages and fitting:
            raise Refusal(
                400,
                "rest_post_invalid_page_number",
                "The page number requested is larger than the number of pages available.",
            )
        shown = fitting[(page - 1) * per_page : page * per_page]
        allowed = [post for post in shown if _may_see(user, post, edit=edit)]
        reply = JSONResponse([self._body(request, post, edit=edit) for post in allowed])
        reply.headers["X-WP-Total"] = str(len(fitting))
        reply.headers["X-WP-TotalPages"] = str(pages)
        links = [(page - 1, "prev")] if page > 1 else []
        links += [(page + 1, "next")] if page < pages else []
        if links:
            reply.headers["Link"] = ", ".join(self._page_link(request, *each) for each in links)
        return reply

    async def _create(self, request: Request) -> Response:
        user = self._user(request)
        fields = await json_fields(request)
        if user is None or not user.may_edit:
            raise forbidden(
                user, "rest_cannot_create", "Sorry, you are not allowed to create posts as this user."
            )
        status = status_of(fields, user) or "draft"
        author = author_of(fields, user, self._users.values())
        title, content = text(fields, "title"), text(fields, "content")
        if not title and not content:
            raise Refusal(400, "empty_content", "Content, title, and excerpt are empty.")
        slug = slug_of(fields)
        post = self._store.create(
            author=author,
            title=title or "",
            content=user.kept(content or ""),
            status=status,
            slug=slug or "",
            more=more_of(fields),
        )
        reply = JSONResponse(self._body(request, post, edit=True), 201)
        reply.headers["Location"] = f"{self._base_url}{ROOT}/posts/{post.id}"
        return reply

    async def _read(self, request: Request) -> Response:
        user = self._user(request)
        post = self._post(request)
        edit = is_edit(request)
        if edit and not (user and user.may_change(post)):
            raise forbidden(user, "rest_forbidden_context", "Sorry, you are not allowed to edit this post.")
        if not _may_see(user, post, edit=False):
            raise forbidden(user, "rest_forbidden", "Sorry, you are not allowed to do that.")
        return JSONResponse(self._body(request, post, edit=edit))

    async def _update(self, request: Request) -> Response:
        user = self._user(request)
        post = self._post(request)
        fields = await json_fields(request)
        if user is None or not user.may_change(post):
            raise forbidden(user, "rest_cannot_edit", "Sorry, you are not allowed to edit this post.")
        content = text(fields, "content")
        changed = self._store.update(
            post.id,
            title=text(fields, "title"),
            content=None if content is None else user.kept(content),
            status=status_of(fields, user, before=post.status),
            slug=slug_of(fields),
        )
        if changed is None:
            raise invalid_id()
        return JSONResponse(self._body(request, changed, edit=True))

    async def _delete(self, request: Request) -> Response:
        user = self._user(request)
        post = self._post(request)
        if user is None or not user.may_change(post):
            raise forbidden(user, "rest_cannot_delete", "Sorry, you are not allowed to delete this post.")
        if request.query_params.get("force", "").lower() in ("1", "true"):
            gone = self._store.remove(post.id)
            if gone is None:
                raise invalid_id()
            return JSONResponse({"deleted": True, "previous": self._body(request, gone, edit=True)})
        if post.status == "trash":
            raise Refusal(410, "rest_already_trashed", "The post has already been deleted.")
        trashed = self._store.trash(post.id)
        if trashed is None:
            raise invalid_id()
        return JSONResponse(self._body(request, trashed, edit=True))

    async def _me(self, request: Request) -> Response:
        user = self._user(request)
        if user is None:
            raise Refusal(401, "rest_not_logged_in", "You are not currently logged in.")
        body: dict[str, object] = {"id": 1, "name": user.name, "slug": user.name}
        if is_edit(request):
            body |= {
                "username": user.name,
                "roles": [user.role],
                "capabilities": {**dict.fromkeys(user.capabilities, True), user.role: True},
            }
        fields = names(request.query_params.getlist("_fields"))
        return JSONResponse({name: value for name, value in body.items() if not fields or name in fields})

    async def _page(self, request: Request) -> Response:
        slug = request.path_params["slug"]
        for post in self._store.all():
            if post.slug == slug and post.status == "publish":
                shown = post_body(post, self._base_url, edit=False, fields=frozenset())
                title = shown["title"]
                heading = title["rendered"] if isinstance(title, dict) else ""
                return HTMLResponse(
                    f"<!doctype html><title>{heading}</title><h1>{heading}</h1>{post.content}"
                )
        return HTMLResponse("<!doctype html><title>Page not found</title>", 404)

    def _user(self, request: Request) -> SiteUser | None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        user = self._users.get(name)
        # Whoever cannot sign in is nobody, without a word on why.
        if user is None:
            return None
        if _SECRET_PARTS.sub("", password) != _SECRET_PARTS.sub("", user.application_password):
            return None
        return user

    def _post(self, request: Request) -> SitePost:
        post = self._store.get(request.path_params["post_id"])
        if post is None:
            raise invalid_id()
        return post

    def _body(self, request: Request, post: SitePost, *, edit: bool) -> dict[str, object]:
        fields = frozenset(names(request.query_params.getlist("_fields")))
        return post_body(post, self._base_url, edit=edit, fields=fields)

    def _page_link(self, request: Request, page: int, relation: str) -> str:
        query = urlencode({**request.query_params, "page": page})
        return f'<{self._base_url}{ROOT}/posts?{query}>; rel="{relation}"'


async def _nothing(request: Request, error: Exception) -> Response:
    if request.url.path.startswith("/wp-json"):
        return no_route().reply()
    return HTMLResponse("<!doctype html><title>Page not found</title>", 404)


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    return error.reply()


def _may_see(user: SiteUser | None, post: SitePost, *, edit: bool) -> bool:
    return (post.status == "publish" and not edit) or bool(user and user.may_change(post))
