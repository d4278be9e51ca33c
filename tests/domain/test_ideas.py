"""The rules that make an idea out of a draft."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.ideas import (
    DEFAULT_ARTICLE_WORDS,
    MAX_TARGET_KEYWORDS,
    WORDS_PER_MINUTE,
    ContentType,
    Idea,
    IdeaDraft,
    idea_from_draft,
    read_time_minutes,
)

ID = UUID(int=7)
words = st.text("abAB ", max_size=4)
keywords = words.map(str.strip).filter(bool)


def make(
    draft_keywords: tuple[str, ...] = (),
    content_type: ContentType = "article",
    job_keywords: tuple[str, ...] = ("rye",),
    word_count: int | None = None,
) -> Idea:
    draft = IdeaDraft(title="T", description="D", keywords=draft_keywords, word_count=word_count)
    return idea_from_draft(draft, content_type, job_keywords, ID)


@given(drafted=st.lists(words, max_size=50), job=st.lists(keywords, min_size=1, max_size=50))
def test_at_most_five_keywords_the_primary_first(drafted: list[str], job: list[str]) -> None:
    """Whatever a provider targets, the primary keyword leads and none comes twice."""
    targets = make(tuple(drafted), job_keywords=tuple(job)).target_keywords
    assert targets[0] == job[0]
    assert len(targets) <= MAX_TARGET_KEYWORDS
    assert len({target.casefold() for target in targets}) == len(targets)
    assert all(target.strip() == target != "" for target in targets)


def test_the_providers_order_is_kept() -> None:
    """After the primary keyword the draft's own come in their order, repeats and blanks left out."""
    targets = make(("a", "Rye", " b ", "", "a", "c", "d", "e")).target_keywords
    assert targets == ("rye", "a", "b", "c", "d")


@pytest.mark.parametrize("content_type", ["video", "social", "email"])
def test_only_articles_have_a_read_time(content_type: ContentType) -> None:
    """Nothing but an article is read, even when a draft says how long it is."""
    assert make(content_type=content_type, word_count=1_200).read_time_minutes is None
    assert make(content_type="article", word_count=1_200).read_time_minutes == 6


@pytest.mark.parametrize(
    ("word_count", "minutes"),
    [(1, 1), (WORDS_PER_MINUTE, 1), (WORDS_PER_MINUTE + 1, 2), (10 * WORDS_PER_MINUTE, 10)],
)
def test_read_time_is_rounded_up(word_count: int, minutes: int) -> None:
    """A started minute counts."""
    assert read_time_minutes(word_count) == minutes


def test_an_article_of_unknown_length_has_a_usual_one() -> None:
    """A draft that names no length is taken for an ordinary article."""
    assert read_time_minutes(None) == read_time_minutes(DEFAULT_ARTICLE_WORDS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"title": "  "},
        {"title": "x" * 301},
        {"title": "a\x00b"},
        {"title": None},
        {"description": ""},
        {"description": "x" * 4_001},
        {"description": "a\x00b"},
        {"keywords": ["x" * 201]},
        {"keywords": ["a\x00b"]},
        {"keywords": ["a"] * 51},
        {"keywords": "rye"},
        {"outline": [""]},
        {"outline": ["x" * 301]},
        {"outline": ["a\x00b"]},
        {"outline": ["a"] * 21},
        {"competitive_analysis": "x" * 4_001},
        {"competitive_analysis": "a\x00b"},
        {"word_count": 0},
        {"word_count": 100_001},
        {"word_count": "800"},
        {"rating": 5},
    ],
    ids=lambda wrong: f"{next(iter(wrong))}={str(next(iter(wrong.values())))[:8]!r}",
)
def test_a_draft_outside_its_bounds_is_refused(wrong: dict[str, object]) -> None:
    """No provider can hand over what could not be stored or shown."""
    draft: dict[str, object] = {"title": "T", "description": "D"}
    with pytest.raises(ValidationError):
        IdeaDraft.model_validate(draft | wrong)


@pytest.mark.parametrize(
    "edge",
    [
        {"title": "x" * 300},
        {"description": "x" * 4_000},
        {"description": "two\nlines"},
        {"keywords": ["x" * 200] * 50},
        {"outline": ["x" * 300] * 20},
        {"competitive_analysis": ""},
        {"word_count": 100_000},
        {"word_count": None},
    ],
    ids=lambda edge: next(iter(edge)),
)
def test_a_draft_at_its_bounds_is_fine(edge: dict[str, object]) -> None:
    """The limits themselves are inside."""
    IdeaDraft.model_validate({"title": "T", "description": "D"} | edge)
