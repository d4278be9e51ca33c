"""Turns what is said of a post into what a WordPress site knows: ids of its categories, tags, users and media.

Whatever has to be made there first is looked for before it is made, also after a fault or in the next attempt:
categories and tags by their names, the featured image by a slug that belongs to the intent.
"""

import hashlib
import logging
import mimetypes
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC

from adapters.net.http import HttpExchange
from domain.errors import InvalidInput, JobError, NotFound, ProviderUnavailable
from domain.ports import T
from domain.post_details import MAX_IMAGE_BYTES, FeaturedMedia, MediaFiles
from domain.publishing import Journal, Post

from .wordpress_api import UnreadableReply
from .wordpress_library import Taxonomy, WordPressLibrary

#: How far the variants of an image's slug go, as for posts.
MAX_VARIANT = 5
#: Seconds for removing an image that came twice.
CLEAN_UP_S = 10.0

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Prepared:
    """Fields of a post for the API, and what could not be done as it was asked."""

    fields: dict[str, object] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class WordPressDetails:
    """Prepares posts for one site.

    Parameters:
        library: the site's categories, tags, users and media.
        exchange: whose retry policy holds for looking up and making together.
        files: reads the org's media; None where there are none.
        monotonic: seconds on a clock that never goes back.
    """

    def __init__(
        self,
        library: WordPressLibrary,
        exchange: HttpExchange,
        files: MediaFiles | None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._library = library
        self._exchange = exchange
        self._files = files
        self._monotonic = monotonic

    def __call__(self, post: Post, journal: Journal) -> Prepared:
        """Find or make everything that the post refers to.

        Raises:
            LeaseLost: see `Journal.hold`, which is asked before each part.
            InvalidInput: the image is nowhere, or too large.
            StorageUnavailable: it cannot be read now.
            ProviderUnavailable, AuthFailed, InvalidReply: see `WordPressLibrary`.
        """
        details, prepared = post.details, Prepared()
        if details.excerpt:
            prepared.fields["excerpt"] = details.excerpt
        if details.dated is not None:
            prepared.fields["date_gmt"] = details.dated.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self._add_terms("categories", details.categories, prepared, journal)
        self._add_terms("tags", details.tags, prepared, journal)
        if details.author:
            self._add_author(details.author, prepared, journal)
        if details.featured is not None:
            prepared.fields["featured_media"] = self._image(post, details.featured, journal)
        return prepared

    def without_author(self, prepared: Prepared) -> None:
        """Leave the author to the site, whose user may not name another."""
        prepared.fields.pop("author", None)
        prepared.warnings.append(
            f"the post is by the user who signed in: {self._library.host} does not let them publish in another's name; "
            "make them an Editor there"
        )

    def _add_terms(
        self, taxonomy: Taxonomy, names: tuple[str, ...], prepared: Prepared, journal: Journal
    ) -> None:
        ids: list[int] = []
        missing: list[str] = []
        for name in names:
            term_id = self._repeated(journal, lambda left_s, name=name: self._term(taxonomy, name, left_s))  # type: ignore[misc]
            if term_id is None:
                missing.append(name)
            else:
                ids.append(term_id)
        if ids:
            prepared.fields[taxonomy] = list(dict.fromkeys(ids))
        if missing:
            prepared.warnings.append(
                f"{self._library.host} has no {taxonomy} named {', '.join(missing)}, and its user may not make any; "
                "make them there, or the user an Editor"
            )

    def _term(self, taxonomy: Taxonomy, name: str, left_s: Callable[[], float]) -> int | None:
        found = self._library.term(taxonomy, name, timeout_s=left_s())
        return found or self._library.create_term(taxonomy, name, timeout_s=left_s())

    def _add_author(self, name: str, prepared: Prepared, journal: Journal) -> None:
        author_id = self._repeated(journal, lambda left_s: self._library.author(name, timeout_s=left_s()))
        if author_id is not None:
            prepared.fields["author"] = author_id
            return
        prepared.warnings.append(
            f"the post is by the user who signed in: {self._library.host} shows them no author, or several, of the "
            f"name {name}"
        )

    def _image(self, post: Post, media: FeaturedMedia, journal: Journal) -> int:
        mark = image_slug(post.key, media)
        slugs = [mark, *(f"{mark}-{number}" for number in range(2, MAX_VARIANT + 1))]
        content: list[bytes] = []

        def step(left_s: Callable[[], float]) -> int:
            there = self._library.media(slugs, timeout_s=left_s())
            for twin in there[1:]:
                self._remove(twin)
            if there:
                return there[0]
            if not content:
                content.append(self._read(media))
            extension = mimetypes.guess_extension(media.media_type) or ""
            return self._library.upload(
                mark, post.title, f"{mark}{extension}", media.media_type, content[0], timeout_s=left_s()
            )

        return self._repeated(journal, step)

    def _read(self, media: FeaturedMedia) -> bytes:
        if self._files is None or media.size_bytes > MAX_IMAGE_BYTES:
            raise InvalidInput(
                f"media {media.media_id} cannot be sent along: more than {MAX_IMAGE_BYTES} bytes, or no storage"
            )
        try:
            return self._files(media)
        except NotFound:
            raise InvalidInput(
                f"the file of media {media.media_id} is nowhere in our storage; put it back, or take it off the content"
            ) from None

    def _remove(self, media_id: int) -> None:
        """Remove an image that came twice, as after an answer that was lost."""
        try:
            self._library.remove_media(media_id, timeout_s=CLEAN_UP_S)
        except JobError as error:
            _log.warning("an image on %s that came twice could not be removed: %s", self._library.host, error)

    def _repeated(self, journal: Journal, step: Callable[[Callable[[], float]], T]) -> T:
        """What a step returns that looks before it makes; asked again where a request would be."""
        end = self._monotonic() + journal.hold()

        def once() -> T:
            try:
                return step(lambda: end - self._monotonic())
            except UnreadableReply as error:
                # It may have been made: looked up before it is tried again.
                raise ProviderUnavailable(str(error)) from None

        return self._exchange.repeat(once, timeout_s=end - self._monotonic())


def image_slug(key: str, media: FeaturedMedia) -> str:
    """The name under which a site has an intent's image: found again, and no other image's.

    Example:
        >>> image_slug("rye-36b1b0bafdaf", media)
        'rye-36b1b0bafdaf-media-1b4f0e98'
    """
    return f"{key}-media-{hashlib.sha256(str(media.media_id).encode()).hexdigest()[:8]}"
