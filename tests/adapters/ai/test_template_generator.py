"""The offline generator: never at a loss, never repeating itself."""

import random
import secrets
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from adapters.ai.search_standing import Standing, standing
from adapters.ai.template_generator import TemplateIdeaGenerator
from adapters.ai.template_titles import STANDING_ANGLES
from domain.contract import Label
from domain.idea_providers import IdeaRequest, KeywordAverages
from domain.ideas import ContentType, IdeaDraft, Tone

from .idea_requests import idea_request

CONTENT_TYPES: tuple[ContentType, ...] = get_args(ContentType)
TONES: tuple[Tone, ...] = get_args(Tone)


def generate(request: IdeaRequest, seed: int = 7) -> list[IdeaDraft]:
    generator = TemplateIdeaGenerator(random.Random(seed))
    return generator.generate(request, timeout_s=None, on_usage=_costs_nothing)


def _costs_nothing(usage: object) -> None:
    raise AssertionError("templates cost no tokens")


@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize("content_type", CONTENT_TYPES)
@pytest.mark.parametrize("audience", ["general", "first-time bakers"])
def test_one_keyword_gives_five_hundred_titles(content_type: ContentType, tone: Tone, audience: str) -> None:
    """Ten calls of fifty for one keyword, each told what came before, bring 500 distinct titles."""
    titles: list[str] = []
    generator = TemplateIdeaGenerator(secrets.SystemRandom())
    for _ in range(10):
        request = idea_request(
            keywords=("sourdough",),
            content_type=content_type,
            tone=tone,
            target_audience=audience,
            count=50,
            known_titles=tuple(titles),
        )
        drafts = generator.generate(request, timeout_s=None, on_usage=_costs_nothing)
        titles += [draft.title for draft in drafts]
    assert len({title.casefold() for title in titles}) == 500


def test_titles_known_in_another_case_are_not_repeated() -> None:
    """A known title stays known in capitals."""
    first = generate(idea_request(count=50))
    known = tuple(draft.title.upper() for draft in first)
    again = generate(idea_request(count=50, known_titles=known))
    assert not {draft.title for draft in first} & {draft.title for draft in again}


def test_the_same_seed_gives_the_same_ideas() -> None:
    """A seeded source repeats a run exactly, and another seed does not."""
    request = idea_request(count=20)
    assert generate(request, seed=1) == generate(request, seed=1)
    assert generate(request, seed=1) != generate(request, seed=2)


def test_keywords_with_one_spelling_give_one_title_each() -> None:
    """Keywords that differ only in case do not bring a title twice."""
    drafts = generate(idea_request(keywords=("SEO", "seo"), count=500))
    assert len({draft.title.casefold() for draft in drafts}) == 500


@pytest.mark.parametrize(
    ("averages", "expected"),
    [
        (None, "unknown"),
        (KeywordAverages(keyword="rye", clicks=20.0, position=1.0), "defend"),
        (KeywordAverages(keyword="rye", clicks=19.9, position=10.0), "snippet"),
        (KeywordAverages(keyword="rye", clicks=900.0, position=10.1), "push"),
        (KeywordAverages(keyword="rye", clicks=0.0, position=20.0), "push"),
        (KeywordAverages(keyword="rye", clicks=0.0, position=20.1), "build"),
    ],
)
def test_where_a_keyword_stands(averages: KeywordAverages | None, expected: Standing) -> None:
    """Position says which page a keyword is on, and clicks whether its place is worth defending."""
    assert standing(averages) == expected


@pytest.mark.parametrize(
    ("clicks", "position", "said"),
    [
        (35.0, 4.1, ["position 4.1", "35 clicks a day", "worth defending"]),
        (1.2, 4.1, ["position 4.1", "1 click a day", "carry the answer"]),
        (3.0, 14.2, ["position 14.2", "push to page one"]),
        (0.0, 47.0, ["position 47.0", "ground up"]),
    ],
)
def test_the_figures_shape_the_ideas(clicks: float, position: float, said: list[str]) -> None:
    """Every idea says what the keyword's figures call for, with the figures."""
    averages = (KeywordAverages(keyword="rye", clicks=clicks, position=position),)
    drafts = generate(idea_request(keywords=("rye",), averages=averages, count=10))
    for draft in drafts:
        assert all(words in draft.description for words in said)
        assert "rye" in draft.competitive_analysis


def test_page_two_has_angles_of_its_own() -> None:
    """A third of the titles for a keyword on page two are about reaching page one."""
    averages = (KeywordAverages(keyword="rye", clicks=3.0, position=14.2),)
    drafts = generate(idea_request(keywords=("rye",), averages=averages, count=9))
    assert sum(draft.title.endswith(STANDING_ANGLES["push"]) for draft in drafts) == 3


def test_the_audience_is_spoken_to() -> None:
    """An audience of one's own is named in every description, and `general` in none."""
    named = generate(idea_request(target_audience="first-time bakers", count=50))
    assert all("for first-time bakers" in draft.description for draft in named)
    assert any("for first-time bakers" in draft.title for draft in named)
    assert all("general" not in draft.description for draft in generate(idea_request(count=50)))


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_only_articles_have_a_length(content_type: ContentType) -> None:
    """Words are counted for articles alone."""
    drafts = generate(idea_request(content_type=content_type, count=20))
    assert all((draft.word_count is not None) == (content_type == "article") for draft in drafts)


def test_capitals_of_ones_own_stay() -> None:
    """A title begins with a capital, and a name keeps its spelling."""
    titles = [draft.title for draft in generate(idea_request(keywords=("iPhone repair", "rye"), count=200))]
    assert not any("IPhone" in title or title.startswith("rye") for title in titles)


labels: st.SearchStrategy[str] = st.text(min_size=1, max_size=200).filter(
    lambda text: _is_label(text)
) | st.sampled_from(["{topic}", "%s", "x" * 200, "ß" * 200, "\x1f", "ﬁ" * 200, "a\nb", "{0.__class__}"])


def _is_label(text: str) -> bool:
    try:
        TypeAdapter(Label).validate_python(text)
    except ValidationError:
        return False
    return text == text.strip()


@given(
    keywords=st.lists(labels, min_size=1, max_size=5, unique=True),
    audience=labels,
    content_type=st.sampled_from(CONTENT_TYPES),
    tone=st.sampled_from(TONES),
    clicks=st.floats(min_value=0, max_value=1e9),
    position=st.floats(min_value=0, max_value=1e4),
    count=st.integers(min_value=1, max_value=10),
)
def test_it_never_fails(
    keywords: list[str],
    audience: str,
    content_type: ContentType,
    tone: Tone,
    clicks: float,
    position: float,
    count: int,
) -> None:
    """Whatever the contract lets in, as many distinct ideas come out as were asked for."""
    averages = (KeywordAverages(keyword=keywords[0], clicks=clicks, position=position),)
    drafts = generate(
        idea_request(
            keywords=tuple(keywords),
            averages=averages,
            content_type=content_type,
            target_audience=audience,
            tone=tone,
            count=count,
        )
    )
    assert len({draft.title.casefold() for draft in drafts}) == count
    assert all(draft.keywords[0] in keywords for draft in drafts)
