"""The calls of WordPress's REST API for what a post refers to: categories, tags, users and media.

https://developer.wordpress.org/rest-api/reference/
"""

import html
from collections.abc import Sequence
from typing import Literal

from adapters.net.replies import HttpReply
from domain.errors import InvalidReply, ProviderUnavailable

from .wordpress_api import WordPressApi
from .wordpress_connection import Body
from .wordpress_replies import Refusal, RestMedia, RestMediaFiles, RestNamed, RestNames, read

Taxonomy = Literal["categories", "tags"]

_NAMED = "id,name,slug"
_MEDIA = "id,slug"
#: What WordPress answers 500 with is often a file that it does not take, for good.
_UPLOAD_REFUSED = "rest_upload_"


class WordPressLibrary:
    """What a site has besides posts. Methods take `timeout_s` and raise as those of `WordPressApi`; none is repeated.

    Parameters:
        api: the site.
    """

    def __init__(self, api: WordPressApi) -> None:
        self._api = api

    @property
    def host(self) -> str:
        """The site's name, for messages."""
        return self._api.host

    def term(self, taxonomy: Taxonomy, name: str, *, timeout_s: float) -> int | None:
        """The oldest category or tag of this name; None when there is none."""
        # Names are kept as HTML, and searched as they are kept.
        kept = html.escape(" ".join(name.split()), quote=False)
        query = {"search": kept, "_fields": _NAMED, "orderby": "id", "order": "asc"}
        reply = self._api.page(taxonomy, query, 1, timeout_s=timeout_s)
        self._api.raise_for_refusal(reply)
        return _first([each for each in self._api.parsed(RestNames, reply).root if each.is_called(name)])

    def create_term(self, taxonomy: Taxonomy, name: str, *, timeout_s: float) -> int | None:
        """A new category or tag, or the one that another has made meanwhile; None where the user may not make any."""
        reply = self._api.ask("POST", taxonomy, {"_fields": _NAMED}, timeout_s=timeout_s, body={"name": name})
        refusal = _refusal(reply)
        if refusal.code == "term_exists" and refusal.number("term_id"):
            return refusal.number("term_id")
        if reply.status == 403 and refusal.code == "rest_cannot_create":
            return None
        self._api.raise_for_refusal(reply)
        return self._api.parsed(RestNamed, reply).id

    def author(self, name: str, *, timeout_s: float) -> int | None:
        """The one user who is called so, by their name or the one in their address; None when there is none."""
        query = {"search": name, "_fields": _NAMED, "who": "authors"}
        reply = self._api.page("users", query, 1, timeout_s=timeout_s)
        if reply.status in (400, 403):  # not every version knows who writes, or tells it to everybody
            del query["who"]
            reply = self._api.page("users", query, 1, timeout_s=timeout_s)
        self._api.raise_for_refusal(reply)
        found = self._api.parsed(RestNames, reply).root
        by_slug = [each for each in found if each.slug.casefold() == name.casefold()]
        by_name = [each for each in found if each.is_called(name)]
        return _first(by_slug or (by_name if len(by_name) == 1 else []))

    def media(self, slugs: Sequence[str], *, timeout_s: float) -> list[int]:
        """Media files that have one of these slugs, the oldest first."""
        query = {"slug": ",".join(slugs), "_fields": _MEDIA, "orderby": "id", "order": "asc"}
        reply = self._api.page("media", query, 1, timeout_s=timeout_s)
        self._api.raise_for_refusal(reply)
        return sorted(each.id for each in self._api.parsed(RestMediaFiles, reply).root)

    def upload(
        self, slug: str, title: str, filename: str, media_type: str, content: bytes, *, timeout_s: float
    ) -> int:
        """A new media file, under a slug from the moment at which it is there."""
        headers = {
            "Content-Type": media_type,
            "Content-Disposition": f'attachment; filename="{filename}"',
        }
        reply = self._api.ask(
            "POST",
            "media",
            {"slug": slug, "title": title, "_fields": _MEDIA},
            timeout_s=timeout_s,
            body=Body(content=content, headers=headers),
            taken=(500,),
        )
        if reply.status == 500:
            if _refusal(reply).code.startswith(_UPLOAD_REFUSED):
                raise InvalidReply(
                    f"{self.host} does not take the featured image; look whether it allows files of its type, and has "
                    "room"
                )
            raise ProviderUnavailable(f"{self.host} answered 500; try again later, or look at its error log")
        if reply.status == 413:
            raise InvalidReply(
                f"{self.host} answered 413: the featured image is too large for it; use a smaller one, or raise the "
                "limits of its web server and PHP"
            )
        self._api.raise_for_refusal(reply)
        return self._api.parsed(RestMedia, reply).id

    def remove_media(self, media_id: int, *, timeout_s: float) -> None:
        """Remove a media file for good."""
        query = {"force": "true", "_fields": "deleted"}
        reply = self._api.ask("DELETE", f"media/{media_id}", query, timeout_s=timeout_s)
        if reply.status not in (404, 410):
            self._api.raise_for_refusal(reply)


def _first(found: Sequence[RestNamed]) -> int | None:
    return min((each.id for each in found), default=None)


def _refusal(reply: HttpReply) -> Refusal:
    return Refusal() if reply.is_success else read(Refusal, reply) or Refusal()
