"""The calls of WordPress's REST API that publishing needs, and what its replies mean.

https://developer.wordpress.org/rest-api/reference/posts/
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from adapters.credentials import WordPressCredentials
from adapters.net.http import HttpExchange, HttpReply, raise_for_refusal
from domain.errors import AuthFailed, InvalidReply

#: Posts on one page of a list; the most that WordPress gives.
PAGE = 100
#: Pages of one list that are read. More means that something else makes posts under our keys.
MAX_PAGES = 10

#: What is asked of each post; bodies are not sent back and forth.
_FIELDS = "id,slug,status,link"
#: Everything but the trash, and what is not yet a post.
_STATUSES = "publish,future,draft,pending,private"

#: What refusals with a known name mean; the remote service's own words are not quoted.
_HINTS: Mapping[str, str] = {
    "incorrect_password": "the application password is wrong or was revoked; make a new one in the user's profile",
    "invalid_username": "it has no such user; check the user name",
    "invalid_email": "it has no such user; check the user name",
    "rest_not_logged_in": "it ignored the credentials; application passwords need https and must not be switched off",
    "rest_cannot_create": "the user may not create posts, or was not recognised; make them an Author or Editor",
    "rest_cannot_publish": "the user may not publish; make them an Author or Editor",
    "rest_cannot_edit": "the user may not change this post; make them an Editor",
    "rest_cannot_delete": "the user may not remove this draft; make them an Editor",
    "rest_forbidden_context": "the user may not see drafts; make them an Author or Editor",
    "rest_forbidden_status": "the user may not see drafts; make them an Author or Editor",
}


class RestPost(BaseModel):
    """What a reply says of a post."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    id: int = Field(ge=1)
    slug: str = Field(max_length=400)
    status: str = Field(max_length=40)
    link: str | None = Field(default=None)


class RestUser(BaseModel):
    """What a reply says of the user who signed in."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    capabilities: dict[str, bool] = {}


class _Posts(RootModel[list[RestPost]]):
    """A page of them."""


class _Refusal(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    code: str = ""


class UnreadableReply(InvalidReply):
    """The remote service said yes, and the rest of it cannot be read: what was asked for may well have happened."""


ModelT = TypeVar("ModelT", bound=BaseModel)


class WordPressApi:
    """A WordPress site, reached as one of its users.

    Parameters:
        exchange: sends requests.
        address: the site's, like `https://blog.example` or `https://example.com/blog`.
        credentials: the user and one of their application passwords.

    Every method takes `timeout_s`, the seconds that it may last, and raises ProviderUnavailable, AuthFailed or
    InvalidReply. None but `publish` is repeated by itself, and that only when asked to.
    """

    def __init__(self, exchange: HttpExchange, address: str, credentials: WordPressCredentials) -> None:
        self._exchange = exchange
        self._root = httpx.URL(f"{address.rstrip('/')}/wp-json/wp/v2/")
        password = credentials.application_password.get_secret_value()
        pair = base64.b64encode(f"{credentials.username}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}", "Accept": "application/json"}

    @property
    def host(self) -> str:
        """The site's name, for messages."""
        return self._root.host

    def posts(self, slugs: Sequence[str], *, timeout_s: float) -> list[RestPost]:
        """Posts that have one of these slugs, whatever their status but trash, the oldest first."""
        found: list[RestPost] = []
        for page in range(1, MAX_PAGES + 1):
            reply = self._ask(
                "GET",
                "posts",
                {
                    "slug": ",".join(slugs),
                    "status": _STATUSES,
                    "context": "edit",
                    "orderby": "id",
                    "order": "asc",
                    "per_page": str(PAGE),
                    "page": str(page),
                },
                timeout_s=timeout_s,
            )
            if page > 1 and reply.status == 400:
                break  # posts went away between two pages
            self._raise_for_refusal(reply)
            found.extend(self._parsed(_Posts, reply).root)
            if not _has_more(reply, page):
                break
        return found

    def create_draft(self, slug: str, title: str, content: str, *, timeout_s: float) -> RestPost:
        """A new draft."""
        body = {"slug": slug, "title": title, "content": content, "status": "draft"}
        reply = self._ask("POST", "posts", {}, timeout_s=timeout_s, body=body)
        self._raise_for_refusal(reply)
        return self._parsed(RestPost, reply)

    def publish(self, post_id: str, *, timeout_s: float) -> RestPost | None:
        """The post, public by now; None when there is no such post."""
        reply = self._ask(
            "POST", f"posts/{post_id}", {}, timeout_s=timeout_s, body={"status": "publish"}, repeatable=True
        )
        if self._is_gone(reply):
            return None
        self._raise_for_refusal(reply)
        return self._parsed(RestPost, reply)

    def post(self, post_id: str, *, timeout_s: float) -> RestPost | None:
        """The post as it is; None when there is no such post."""
        reply = self._ask(
            "GET", f"posts/{post_id}", {"context": "edit"}, timeout_s=timeout_s, repeatable=True
        )
        if self._is_gone(reply):
            return None
        self._raise_for_refusal(reply)
        return self._parsed(RestPost, reply)

    def remove(self, post_id: str, *, timeout_s: float) -> None:
        """Remove a post for good; nothing happens when it is not there."""
        reply = self._ask("DELETE", f"posts/{post_id}", {"force": "true"}, timeout_s=timeout_s)
        if not self._is_gone(reply):
            self._raise_for_refusal(reply)

    def user(self, *, timeout_s: float) -> RestUser:
        """Whoever the credentials are of."""
        reply = self._exchange.send(
            self._request("GET", "users/me", {"context": "edit", "_fields": "capabilities"}, None),
            timeout_s=timeout_s,
            repeatable=True,
        )
        self._raise_for_refusal(reply)
        return self._parsed(RestUser, reply)

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        timeout_s: float,
        body: Mapping[str, str] | None = None,
        repeatable: bool = False,
    ) -> HttpReply:
        request = self._request(method, path, {**query, "_fields": _FIELDS}, body)
        return self._exchange.send(request, timeout_s=timeout_s, repeatable=repeatable)

    def _request(
        self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, str] | None
    ) -> httpx.Request:
        url = self._root.join(path).copy_merge_params(query)
        if body is None:
            return httpx.Request(method, url, headers=self._headers)
        headers = {**self._headers, "Content-Type": "application/json"}
        return httpx.Request(method, url, headers=headers, content=json.dumps(body).encode())

    def _is_gone(self, reply: HttpReply) -> bool:
        # A 404 of another name means that the API is not where we think it is.
        return reply.status == 404 and _code(reply) == "rest_post_invalid_id"

    def _raise_for_refusal(self, reply: HttpReply) -> None:
        code = _code(reply) if reply.status >= 400 else ""
        if reply.status == 404:
            raise InvalidReply(
                f"{self.host} answered 404; check that the address is the site's own and that its REST API is "
                "switched on and not hidden by plain permalinks"
            )
        if code in _HINTS:
            kind = AuthFailed if reply.status in (401, 403) else InvalidReply
            raise kind(f"{self.host} answered {reply.status} ({code}): {_HINTS[code]}")
        raise_for_refusal(reply, self.host)

    def _parsed(self, model: type[ModelT], reply: HttpReply) -> ModelT:
        try:
            return model.model_validate_json(reply.body)
        except ValidationError:
            # Its text would quote the reply.
            raise UnreadableReply(
                f"{self.host} answered {reply.status} with something that is not the JSON of a WordPress post; "
                "check that the address is a WordPress site's and that nothing prints warnings into its replies"
            ) from None


def _code(reply: HttpReply) -> str:
    try:
        return _Refusal.model_validate_json(reply.body).code
    except ValidationError:
        return ""


def _has_more(reply: HttpReply, page: int) -> bool:
    pages = reply.headers.get("X-WP-TotalPages", "1")
    return pages.isascii() and pages.isdecimal() and len(pages) < 10 and int(pages) > page
