"""Publishes to WordPress: a draft whose slug is the key, its id remembered, then public by id.

Creating is the one step that must not be repeated blindly: its answer can be lost after the post was made. So it is
never called before the site was asked for posts under the key, which are made public instead.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from adapters.net.http import HttpExchange
from domain.errors import AuthFailed, InvalidReply, JobError, LeaseLost, ProviderUnavailable
from domain.post_details import MediaFiles
from domain.publishing import Found, Journal, Post

from .reply_urls import usable_url
from .wordpress_api import AnothersName, UnreadableReply, WordPressApi
from .wordpress_details import Prepared, WordPressDetails
from .wordpress_library import WordPressLibrary
from .wordpress_markup import scripted, taken_out
from .wordpress_replies import RestPost

#: How far the variants go under which a site keeps posts that ask for a slug which is taken: `key-2`, `key-3` ...
MAX_VARIANT = 20
#: How often a draft that vanished is made anew.
ROUNDS = 3
#: Seconds for removing a draft that nobody wants, and for looking what became of a text.
CLEAN_UP_S = 10.0

_log = logging.getLogger(__name__)


class WordPressPublisher:
    """`domain.publishing.Publisher` for one site.

    Parameters:
        api: the site's calls.
        exchange: whose retry policy holds for looking up and creating together.
        files: reads the org's media; None where there are none.
        monotonic: seconds on a clock that never goes back.
    """

    def __init__(
        self,
        api: WordPressApi,
        exchange: HttpExchange,
        files: MediaFiles | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._exchange = exchange
        self._monotonic = monotonic
        self._details = WordPressDetails(WordPressLibrary(api), exchange, files, monotonic=monotonic)

    def find(self, post: Post, journal: Journal) -> Found | None:
        """The post that the site has under this key, as `domain.publishing.Publisher.find` says."""
        left_s = self._time_left(journal.hold())
        found = self._exchange.repeat(lambda: self._look_up(post, journal, left_s), timeout_s=left_s())
        return None if found is None else self._with_warnings(post, found)

    def publish(self, post: Post, journal: Journal) -> Found:
        """Make the post public, as `domain.publishing.Publisher.publish` says."""
        draft_id = journal.draft_id
        warnings: tuple[str, ...] = ()
        for _ in range(ROUNDS):
            if draft_id is None:
                there = self._find_or_create(post, journal)
                if there.is_public:
                    return self._with_warnings(post, there)
                self._remember(there.external_id, journal)
                draft_id, warnings = there.external_id, there.warnings
            published = self._make_public(draft_id, journal)
            if published is not None:
                return self._with_warnings(post, replace(published, warnings=warnings))
            draft_id = None
        raise ProviderUnavailable(
            f"drafts on {self._api.host} vanish as soon as they are made; find out what removes them there"
        )

    def _find_or_create(self, post: Post, journal: Journal) -> Found:
        prepared = Prepared()
        if not post.details.is_empty:
            left_s = self._time_left(journal.hold())
            there = self._exchange.repeat(partial(self._look_up, post, journal, left_s), timeout_s=left_s())
            if there is not None:
                return there
            prepared = self._details(post, journal)
        left_s = self._time_left(journal.hold())

        def step() -> Found:
            there = self._look_up(post, journal, left_s)
            return there or self._create(post, prepared, journal, left_s)

        return self._exchange.repeat(step, timeout_s=left_s())

    def _look_up(self, post: Post, journal: Journal, left_s: Callable[[], float]) -> Found | None:
        there = self._api.posts(_variants(post.key), timeout_s=left_s())
        public = [each for each in there if each.status == "publish"]
        kept = next(iter(public), None) or _kept(there, journal.draft_id)
        for each in there:
            if each is not kept and each.status == "draft" and journal.disown(str(each.id)):
                self._api.remove(str(each.id), timeout_s=left_s())
        return None if kept is None else _found(kept)

    def _create(self, post: Post, prepared: Prepared, journal: Journal, left_s: Callable[[], float]) -> Found:
        try:
            made = self._create_draft(post, prepared, left_s)
        except UnreadableReply as error:
            # It may have been made: looked up before it is tried again.
            raise ProviderUnavailable(str(error)) from None
        if re.fullmatch(rf"{re.escape(post.key)}(-[0-9]+)?", made.slug) is None:
            self._discard(str(made.id), journal)
            raise InvalidReply(
                f"{self._api.host} gave the draft another slug than it was asked for, so that it could not be found "
                "again after a fault; switch off the plugin that changes slugs"
            )
        return replace(_found(made), warnings=tuple(prepared.warnings))

    def _create_draft(self, post: Post, prepared: Prepared, left_s: Callable[[], float]) -> RestPost:
        def create() -> RestPost:
            return self._api.create_draft(
                post.key, post.title, post.body, prepared.fields, timeout_s=left_s()
            )

        try:
            return create()
        except AnothersName as error:
            if "author" not in prepared.fields:
                raise AuthFailed(f"{error}; make them an Editor") from None
            self._details.without_author(prepared)
            return create()

    def _remember(self, draft_id: str, journal: Journal) -> None:
        try:
            journal.remember(draft_id)
        except LeaseLost:
            self._discard(draft_id, journal)
            raise

    def _make_public(self, draft_id: str, journal: Journal) -> Found | None:
        left_s = self._time_left(journal.hold())
        post: RestPost | None = None
        for _ in range(2):
            try:
                post = self._api.publish(draft_id, timeout_s=left_s())
                break
            except UnreadableReply:
                # Something there prints into replies, which does not mean that nothing was done.
                post = self._api.post(draft_id, timeout_s=left_s())
                if post is None or post.status == "publish":
                    break
        if post is None:
            return None
        if post.status != "publish":
            raise InvalidReply(
                f"{self._api.host} left the post in another status than published; look whether its clock is behind, "
                "or whether posts of this user wait for a review"
            )
        return _found(post)

    def _with_warnings(self, post: Post, found: Found) -> Found:
        """Add what the site took out of the text; what cannot be found out does not spoil a publish."""
        if not found.is_public or not scripted(post.body):
            return found
        try:
            gone = self._taken_out(post, found.external_id)
        except JobError as error:
            _log.warning("what %s made of a text could not be looked up: %s", self._api.host, error)
            return found
        if not gone:
            return found
        warning = (
            f"{self._api.host} took {', '.join(gone)} out of the text, since its user may not write all HTML; make "
            "them an Editor there, or an administrator of the network"
        )
        return replace(found, warnings=(*found.warnings, warning))

    def _taken_out(self, post: Post, post_id: str) -> Sequence[str]:
        try:
            there = self._api.post(post_id, timeout_s=CLEAN_UP_S, with_text=True)
        except InvalidReply:
            there = None  # the text may be too large to be sent back
        if there is not None and there.text is not None:
            return taken_out(post.body, there.text)
        may = self._api.user(timeout_s=CLEAN_UP_S).capabilities
        return taken_out(post.body, "") if may is not None and "unfiltered_html" not in may else ()

    def _discard(self, draft_id: str, journal: Journal) -> None:
        """Remove a draft unless somebody uses it; what fails here does not hide why."""
        try:
            if journal.disown(draft_id):
                self._api.remove(draft_id, timeout_s=CLEAN_UP_S)
        except JobError as error:
            _log.warning("a draft on %s could not be removed: %s", self._api.host, error)

    def _time_left(self, timeout_s: float) -> Callable[[], float]:
        end = self._monotonic() + timeout_s
        return lambda: end - self._monotonic()


def _variants(key: str) -> Sequence[str]:
    return [key, *(f"{key}-{number}" for number in range(2, MAX_VARIANT + 1))]


def _kept(there: Sequence[RestPost], draft_id: str | None) -> RestPost | None:
    remembered = (each for each in there if str(each.id) == draft_id)
    return next(remembered, None) or next(iter(there), None)


def _found(post: RestPost) -> Found:
    return Found(external_id=str(post.id), url=usable_url(post.link), is_public=post.status == "publish")
