"""Publishing one intent, once: the job's contract, its result and its rules."""

import hashlib
import re
import unicodedata
from collections.abc import Collection
from typing import Literal
from uuid import UUID

from pydantic import Field

from .contract import Model, TenantJob
from .publishing import RetryOptions

#: Characters of a post's title that its key begins with.
KEY_TITLE_CHARS = 60
#: Hexadecimal digits of the intent's hash that its key ends with.
KEY_HASH_CHARS = 12

IntentStatus = Literal["pending", "publishing", "published", "failed", "cancelled"]


class PublishExecution(TenantJob):
    """Ask for an intent to be published. However often it is sent, run or killed, there is one post in the end.

    The post has the content's title and text and, where the content has them, its excerpt, categories, tags, author,
    date and featured media; each category, tag and image is there once as well.

    Example:
        >>> PublishExecution(org_id=org, intent_id=intent, retry=RetryOptions(retries=1))
    """

    intent_id: UUID
    """The publish intent; it names the content and the target."""
    retry: RetryOptions | None = None
    """How calls of the remote service are repeated within an attempt. Default: 3 times, 1 s before the first."""


class PublishOutcome(Model):
    """What came of it."""

    status: Literal["published", "already_published"]
    """Whether this job made the post public, or found that it had been done."""
    external_id: str | None
    """The post's id at the remote service; None only for an intent that was marked as published by hand."""
    external_url: str | None
    """Where readers find it, as far as the remote service said so."""
    # Builds that know no warnings read what has none.
    warnings: tuple[str, ...] = Field(default=(), exclude_if=lambda warnings: not warnings)
    """What the remote service made otherwise than it was asked, like scripts that it took out of the text."""


def post_key(title: str, intent_id: UUID) -> str:
    """The name under which the remote service knows an intent's post: readable, and no other intent's.

    Example:
        >>> post_key("Crème brûlée, at home", UUID(int=1))
        'creme-brulee-at-home-7ac1b8d7010b'
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:KEY_TITLE_CHARS].strip("-") or "post"
    return f"{words}-{hashlib.sha256(str(intent_id).encode()).hexdigest()[:KEY_HASH_CHARS]}"


def content_outcome(intents: Collection[IntentStatus]) -> Literal["published", "failed"] | None:
    """What content is, given the last word on each of its targets; None: as before, there is more to come.

    Example:
        >>> content_outcome(["published", "cancelled"])
        'published'
    """
    if not {"pending", "publishing"}.isdisjoint(intents):
        return None
    if "failed" in intents:
        return "failed"
    return "published" if "published" in intents else None
