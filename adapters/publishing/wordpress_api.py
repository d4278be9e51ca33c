"""The calls of WordPress's REST API that publishing needs.

https://developer.wordpress.org/rest-api/reference/posts/
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel

from adapters.net.replies import HttpReply
from domain.errors import AuthFailed, InvalidReply

from .wordpress_connection import Body, WordPressConnection
from .wordpress_refusals import raise_for_refused
from .wordpress_replies import Refusal, RestPost, RestPosts, RestUser, read

#: Items on one page of a list: the most that WordPress gives, and what is asked where a plugin gives fewer.
PAGES = (100, 50, 20, 10, 5, 1)
#: Pages of one list that are read. More means that something else makes posts under our keys.
MAX_PAGES = 10

#: What is asked of each post; bodies are not sent back and forth.
_FIELDS = "id,slug,status,link"
#: Everything but the trash, and what is not yet a post.
_STATUSES = "publish,future,draft,pending,private"


class UnreadableReply(InvalidReply):
    """The remote service said yes, and the rest of it cannot be read: what was asked for may well have happened."""


class AnothersName(AuthFailed):
    """The user is known, and may only make posts of their own."""


ModelT = TypeVar("ModelT", bound=BaseModel)


class WordPressApi:
    """A WordPress site, reached as one of its users.

    Parameters:
        connection: the way there.

    Every method takes `timeout_s`, the seconds that it may last, and raises ProviderUnavailable, AuthFailed or
    InvalidReply. None but `publish` is repeated by itself, and that only when asked to.
    """

    def __init__(self, connection: WordPressConnection) -> None:
        self._connection = connection
        self._page_size = PAGES[0]

    @property
    def host(self) -> str:
        """The site's name, for messages."""
        return self._connection.host

    def posts(self, slugs: Sequence[str], *, timeout_s: float) -> list[RestPost]:
        """Posts that have one of these slugs, whatever their status but trash, the oldest first."""
        query = {
            "slug": ",".join(slugs),
            "status": _STATUSES,
            "context": "edit",
            "orderby": "id",
            "order": "asc",
            "_fields": _FIELDS,
        }
        found: list[RestPost] = []
        for page in range(1, MAX_PAGES + 1):
            reply = self.page("posts", query, page, timeout_s=timeout_s)
            if page > 1 and reply.status == 400:
                break  # posts went away between two pages
            self.raise_for_refusal(reply)
            found.extend(self.parsed(RestPosts, reply).root)
            if not _has_more(reply, page):
                break
        return found

    def create_draft(
        self,
        slug: str,
        title: str,
        content: str,
        more: Mapping[str, object] | None = None,
        *,
        timeout_s: float,
    ) -> RestPost:
        """A new draft, with more fields of the API's.

        Raises:
            AnothersName: the user may not make posts whose author is somebody else.
        """
        body = {"slug": slug, "title": title, "content": content, "status": "draft", **(more or {})}
        reply = self.ask("POST", "posts", timeout_s=timeout_s, body=body)
        if reply.status == 403 and _code(reply) == "rest_cannot_edit_others":
            raise AnothersName(f"{self.host} answered 403: the user may not publish in another's name")
        self.raise_for_refusal(reply)
        return self.parsed(RestPost, reply)

    def publish(self, post_id: str, *, timeout_s: float) -> RestPost | None:
        """The post, public by now; None when there is no such post."""
        reply = self.ask(
            "POST", f"posts/{post_id}", timeout_s=timeout_s, body={"status": "publish"}, repeatable=True
        )
        if _is_gone(reply):
            return None
        self.raise_for_refusal(reply)
        return self.parsed(RestPost, reply)

    def post(self, post_id: str, *, timeout_s: float, with_text: bool = False) -> RestPost | None:
        """The post as it is, with its text only where that is wanted; None when there is no such post."""
        query = {"context": "edit", "_fields": f"{_FIELDS},content.raw" if with_text else _FIELDS}
        reply = self.ask("GET", f"posts/{post_id}", query, timeout_s=timeout_s, repeatable=True)
        if _is_gone(reply):
            return None
        self.raise_for_refusal(reply)
        return self.parsed(RestPost, reply)

    def remove(self, post_id: str, *, timeout_s: float) -> None:
        """Remove a post for good; nothing happens when it is not there."""
        reply = self.ask("DELETE", f"posts/{post_id}", {"force": "true"}, timeout_s=timeout_s)
        if not _is_gone(reply):
            self.raise_for_refusal(reply)

    def user(self, *, timeout_s: float) -> RestUser:
        """Whoever the credentials are of."""
        query = {"context": "edit", "_fields": "capabilities,roles"}
        reply = self.ask("GET", "users/me", query, timeout_s=timeout_s, repeatable=True)
        self.raise_for_refusal(reply)
        return self.parsed(RestUser, reply)

    def page(self, path: str, query: Mapping[str, str], page: int, *, timeout_s: float) -> HttpReply:
        """A page of a list, as large as the site gives them."""
        while True:
            paging = {"per_page": str(self._page_size), "page": str(page)}
            reply = self.ask("GET", path, {**query, **paging}, timeout_s=timeout_s)
            smaller = [size for size in PAGES if size < self._page_size]
            if page > 1 or not smaller or not _is_too_many(reply):
                return reply
            self._page_size = smaller[0]

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        timeout_s: float,
        body: Mapping[str, object] | Body | None = None,
        repeatable: bool = False,
        taken: Collection[int] = (),
    ) -> HttpReply:
        """The reply to one request below `wp/v2/`, whatever its status."""
        return self._connection.ask(
            method,
            f"wp/v2/{path}",
            {"_fields": _FIELDS, **(query or {})},
            timeout_s=timeout_s,
            body=body if body is None or isinstance(body, Body) else Body.of(body),
            repeatable=repeatable,
            taken=taken,
        )

    def raise_for_refusal(self, reply: HttpReply) -> None:
        """Turn every status but 2xx into the error that it stands for."""
        raise_for_refused(reply, self._connection.site)

    def parsed(self, model: type[ModelT], reply: HttpReply) -> ModelT:
        """The reply as a model.

        Raises:
            UnreadableReply: it is nothing of the kind.
        """
        found = read(model, reply)
        if found is None:
            # What there is instead is not quoted.
            raise UnreadableReply(
                f"{self.host} answered {reply.status} with something that is not the JSON of a WordPress post; "
                "check that the address is a WordPress site's and that nothing prints warnings into its replies"
            )
        return found


def _code(reply: HttpReply) -> str:
    refusal = read(Refusal, reply)
    return "" if refusal is None else refusal.code


def _is_gone(reply: HttpReply) -> bool:
    # A 404 of another name means that the API is not where we think it is.
    return reply.status == 404 and _code(reply) == "rest_post_invalid_id"


def _is_too_many(reply: HttpReply) -> bool:
    if reply.status != 400:
        return False
    refusal = read(Refusal, reply)
    return refusal is not None and "per_page" in refusal.params


def _has_more(reply: HttpReply, page: int) -> bool:
    pages = reply.headers.get("X-WP-TotalPages", "1")
    return pages.isascii() and pages.isdecimal() and len(pages) < 10 and int(pages) > page
