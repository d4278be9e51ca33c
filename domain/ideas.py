"""What a content idea is, and the rules that make one out of what a provider drafts."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from .contract import NO_NUL, Model

ContentType = Literal["article", "video", "social", "email"]
Tone = Literal["professional", "casual", "educational", "entertaining"]

#: Keywords an idea may target, the primary one included.
MAX_TARGET_KEYWORDS = 5
#: Silent reading speed of adults for non-fiction (Brysbaert 2019, a meta-analysis of 190 studies).
WORDS_PER_MINUTE = 238
#: Words assumed for an article whose draft does not say.
DEFAULT_ARTICLE_WORDS = 1_200

#: Bounds of what a provider hands over.
MAX_TITLE_CHARS = 300
MAX_TEXT_CHARS = 4_000
MAX_KEYWORD_CHARS = 200
MAX_DRAFT_KEYWORDS = 50
MAX_DRAFT_HEADINGS = 20
MAX_ARTICLE_WORDS = 100_000

Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT_CHARS, pattern=NO_NUL)]
OptionalText = Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARS, pattern=NO_NUL)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TITLE_CHARS, pattern=NO_NUL)]
Keyword = Annotated[str, StringConstraints(max_length=MAX_KEYWORD_CHARS, pattern=NO_NUL)]


class IdeaDraft(Model):
    """An idea as a provider hands it over, before the rules of the house."""

    title: Title
    description: Text
    keywords: tuple[Keyword, ...] = Field(default=(), strict=False, max_length=MAX_DRAFT_KEYWORDS)
    outline: tuple[Title, ...] = Field(default=(), strict=False, max_length=MAX_DRAFT_HEADINGS)
    competitive_analysis: OptionalText = ""
    word_count: int | None = Field(default=None, ge=1, le=MAX_ARTICLE_WORDS)


class Idea(Model):
    """An idea, ready to be stored."""

    id: UUID
    title: Title
    description: Text
    target_keywords: tuple[str, ...] = Field(min_length=1, max_length=MAX_TARGET_KEYWORDS)
    """The primary keyword first; no repeats, whatever their case."""
    content_type: ContentType
    read_time_minutes: int | None
    """Articles only."""
    outline: tuple[Title, ...]
    competitive_analysis: str


def idea_from_draft(
    draft: IdeaDraft, content_type: ContentType, keywords: Sequence[str], idea_id: UUID
) -> Idea:
    """Apply the rules: at most five target keywords with the primary first, read time for articles alone.

    Parameters:
        draft: what the provider wrote.
        content_type: what the ideas are for.
        keywords: the job's keywords, the primary one first; at least one.
        idea_id: the new idea's identifier.
    """
    targets: dict[str, str] = {}
    for keyword in (keywords[0], *draft.keywords):
        if keyword:
            targets.setdefault(keyword.casefold(), keyword)
    return Idea(
        id=idea_id,
        title=draft.title,
        description=draft.description,
        target_keywords=tuple(targets.values())[:MAX_TARGET_KEYWORDS],
        content_type=content_type,
        read_time_minutes=read_time_minutes(draft.word_count) if content_type == "article" else None,
        outline=draft.outline,
        competitive_analysis=draft.competitive_analysis,
    )


def read_time_minutes(word_count: int | None) -> int:
    """Whole minutes an adult needs to read so many words, at least one.

    Example:
        >>> read_time_minutes(1_200)
        6
    """
    return max(1, math.ceil((word_count or DEFAULT_ARTICLE_WORDS) / WORDS_PER_MINUTE))
