"""Requests as the job makes them."""

from domain.idea_providers import IdeaRequest, KeywordAverages
from domain.ideas import ContentType, Tone


def idea_request(
    *,
    keywords: tuple[str, ...] = ("sourdough", "rye bread"),
    averages: tuple[KeywordAverages, ...] = (),
    content_type: ContentType = "article",
    target_audience: str = "general",
    tone: Tone = "professional",
    count: int = 2,
    known_titles: tuple[str, ...] = (),
) -> IdeaRequest:
    """A request with something in every field."""
    return IdeaRequest(
        keywords=keywords,
        averages=averages,
        content_type=content_type,
        target_audience=target_audience,
        tone=tone,
        count=count,
        known_titles=known_titles,
    )
