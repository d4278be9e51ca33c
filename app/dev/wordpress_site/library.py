"""The routes for categories, tags, media and the list of users, after WordPress's terms and attachments controllers."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .params import json_fields, names, text
from .replies import Refusal, forbidden, no_route
from .store import SiteUser, sluggish, variants

#: Types of files that a site takes. WordPress has more.
_ALLOWED = ("image/png", "image/jpeg", "image/gif", "video/mp4", "application/pdf")


@dataclass(frozen=True, kw_only=True)
class SiteTerm:
    """A category or a tag."""

    id: int
    taxonomy: str
    name: str
    slug: str


@dataclass(frozen=True, kw_only=True)
class SiteMedia:
    """A media file."""

    id: int
    slug: str
    title: str
    media_type: str
    content: bytes


class Library:
    """What a site has besides posts; threads may share it.

    Parameters:
        users: who may sign in.
        signed_in: who asks, if anybody.
    """

    def __init__(
        self,
        users: Sequence[SiteUser],
        signed_in: Callable[[Request], SiteUser | None],
    ) -> None:
        self._users = list(users)
        self._signed_in = signed_in
        self._lock = threading.Lock()
        self.terms: list[SiteTerm] = []
        self.media: list[SiteMedia] = []
        self._last_id = 0
        self.clear()

    def clear(self) -> None:
        """Begin anew, with the one category that every site has."""
        with self._lock:
            self.terms = [SiteTerm(id=1, taxonomy="categories", name="Uncategorized", slug="uncategorized")]
            self.media, self._last_id = [], 1_000

    def routes(self, root: str) -> list[Route]:
        """Its routes below the API's root."""
        return [
            *(Route(f"{root}/{each}", self._list_terms, methods=["GET"]) for each in ("categories", "tags")),
            *(
                Route(f"{root}/{each}", self._create_term, methods=["POST"])
                for each in ("categories", "tags")
            ),
            Route(f"{root}/media", self._list_media, methods=["GET"]),
            Route(f"{root}/media", self._upload, methods=["POST"]),
            Route(f"{root}/media/{{media_id:int}}", self._remove_media, methods=["DELETE"]),
            Route(f"{root}/users", self._list_users, methods=["GET"]),
        ]

    def user_id(self, name: str) -> int:
        """A user's number."""
        return next(number for number, user in enumerate(self._users, 1) if user.name == name)

    async def _list_terms(self, request: Request) -> Response:
        wanted = request.query_params.get("search", "").casefold()
        taxonomy = request.url.path.rpartition("/")[2]
        # Names are kept as HTML and searched as they are kept.
        found = [
            {"id": term.id, "name": escape(term.name, quote=False), "slug": term.slug}
            for term in self.terms
            if term.taxonomy == taxonomy and wanted in escape(term.name, quote=False).casefold()
        ]
        return _listed(found)

    async def _create_term(self, request: Request) -> Response:
        user = self._signed_in(request)
        taxonomy = request.url.path.rpartition("/")[2]
        needed = "manage_categories" if taxonomy == "categories" else "edit_posts"
        if user is None or needed not in user.capabilities:
            raise forbidden(
                user, "rest_cannot_create", "Sorry, you are not allowed to create terms in this taxonomy."
            )
        name = (text(await json_fields(request), "name") or "").strip()
        if not name:
            raise Refusal(400, "empty_term_name", "A name is required for this term.")
        with self._lock:
            for term in self.terms:
                if term.taxonomy == taxonomy and term.name.casefold() == name.casefold():
                    raise Refusal(
                        400,
                        "term_exists",
                        "A term with the name provided already exists in this taxonomy.",
                        term_id=term.id,
                    )
            self._last_id += 1
            made = SiteTerm(id=self._last_id, taxonomy=taxonomy, name=name, slug=sluggish(name))
            self.terms.append(made)
        return JSONResponse({"id": made.id, "name": escape(name, quote=False), "slug": made.slug}, 201)

    async def _list_users(self, request: Request) -> Response:
        user = self._signed_in(request)
        if "who" in request.query_params and not (user and user.may_edit):
            raise forbidden(
                user, "rest_forbidden_who", "Sorry, you are not allowed to query users by this parameter."
            )
        wanted = request.query_params.get("search", "").casefold()
        found = [
            {"id": number, "name": each.shown_name, "slug": each.name}
            for number, each in enumerate(self._users, 1)
            if wanted in each.shown_name.casefold() or wanted in each.name.casefold()
        ]
        return _listed(found)

    async def _list_media(self, request: Request) -> Response:
        slugs = names(request.query_params.getlist("slug"))
        return _listed(
            [{"id": each.id, "slug": each.slug} for each in self.media if not slugs or each.slug in slugs]
        )

    async def _upload(self, request: Request) -> Response:
        user = self._signed_in(request)
        if user is None or "upload_files" not in user.capabilities:
            raise forbidden(
                user, "rest_cannot_create", "Sorry, you are not allowed to upload media on this site."
            )
        content = await request.body()
        media_type = request.headers.get("Content-Type", "")
        if not content:
            raise Refusal(400, "rest_upload_no_data", "No data supplied.")
        if "filename=" not in request.headers.get("Content-Disposition", ""):
            raise Refusal(400, "rest_upload_no_content_disposition", "No Content-Disposition supplied.")
        if media_type not in _ALLOWED:
            raise Refusal(
                500, "rest_upload_sideload_error", "Sorry, you are not allowed to upload this file type."
            )
        query = request.query_params
        with self._lock:
            self._last_id += 1
            taken = {each.slug for each in self.media}
            wanted = query.get("slug") or sluggish(query.get("title", ""))
            made = SiteMedia(
                id=self._last_id,
                slug=next(each for each in variants(wanted) if each not in taken),
                title=query.get("title", ""),
                media_type=media_type,
                content=content,
            )
            self.media.append(made)
        return JSONResponse({"id": made.id, "slug": made.slug, "status": "inherit"}, 201)

    async def _remove_media(self, request: Request) -> Response:
        user = self._signed_in(request)
        if user is None or not user.may_publish:
            raise forbidden(user, "rest_cannot_delete", "Sorry, you are not allowed to delete this post.")
        with self._lock:
            left = [each for each in self.media if each.id != request.path_params["media_id"]]
            if len(left) == len(self.media):
                raise no_route()
            self.media = left
        return JSONResponse({"deleted": True})


def _listed(found: list[dict[str, object]]) -> JSONResponse:
    headers = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": "1"}
    return JSONResponse(found, headers=headers)
