"""What `content_idea_generation` accepts, and what every contract has in common."""

import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.content_idea_generation import ContentIdeaGeneration, IdeaBatch
from domain.contract import Instant, Model
from domain.ideas import Idea

ORG, DOMAIN = UUID(int=1), UUID(int=2)
GOOD: dict[str, object] = {
    "org_id": str(ORG),
    "domain_id": str(DOMAIN),
    "keywords": ["sourdough"],
    "content_type": "article",
}
SECRET = "not-for-the-log"

text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=64)
label = text.filter(lambda value: value.strip() == value)


def parsed(**changed: object) -> ContentIdeaGeneration:
    return ContentIdeaGeneration.model_validate_json(json.dumps(GOOD | changed))


def without(field: str) -> ContentIdeaGeneration:
    return ContentIdeaGeneration.model_validate_json(
        json.dumps({name: value for name, value in GOOD.items() if name != field})
    )


def test_only_four_fields_are_needed() -> None:
    """The rest has the documented defaults."""
    job = parsed()
    assert (job.org_id, job.domain_id, job.keywords) == (ORG, DOMAIN, ("sourdough",))
    assert (job.target_audience, job.tone, job.max_ideas) == ("general", "professional", 10)
    assert job.idempotency_key is None


@pytest.mark.parametrize("field", list(GOOD))
def test_the_four_are_required(field: str) -> None:
    """None of them has a default."""
    with pytest.raises(ValidationError, match=field):
        without(field)


@pytest.mark.parametrize(
    "wrong",
    [
        {"org_id": "acme"},
        {"org_id": None},
        {"domain_id": 7},
        {"keywords": []},
        {"keywords": [f"word {number}" for number in range(51)]},
        {"keywords": [""]},
        {"keywords": [" \t"]},
        {"keywords": ["x" * 201]},
        {"keywords": ["a\x00b"]},
        {"keywords": [7]},
        {"keywords": "sourdough"},
        {"content_type": "podcast"},
        {"content_type": "Article"},
        {"target_audience": ""},
        {"target_audience": "x" * 201},
        {"target_audience": "a\x00b"},
        {"tone": "grumpy"},
        {"max_ideas": 0},
        {"max_ideas": 501},
        {"max_ideas": -1},
        {"max_ideas": "10"},
        {"max_ideas": 10.5},
        {"max_ideas": True},
        {"idempotency_key": ""},
        {"idempotency_key": "   "},
        {"idempotency_key": "x" * 65},
        {"idempotency_key": "a\x00b"},
        {"idempotency_key": 7},
        {"keyword": "a typo"},
    ],
    ids=lambda wrong: f"{next(iter(wrong))}={str(next(iter(wrong.values())))[:10]!r}",
)
def test_what_does_not_fit_is_refused(wrong: dict[str, object]) -> None:
    """Bounds, types and unknown fields are refused, and the error names the field."""
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        parsed(**wrong)


@pytest.mark.parametrize(
    "edge",
    [
        {"keywords": ["x"]},
        {"keywords": ["x" * 200]},
        {"keywords": [f"word {number}" for number in range(50)]},
        {"keywords": [f" {'x' * 200} "]},
        {"target_audience": "x" * 200},
        {"max_ideas": 1},
        {"max_ideas": 500},
        {"idempotency_key": "x" * 64},
        {"idempotency_key": None},
    ],
    ids=lambda edge: f"{next(iter(edge))}={str(next(iter(edge.values())))[:10]!r}",
)
def test_the_bounds_themselves_fit(edge: dict[str, object]) -> None:
    """Each limit is the last value allowed, counted without surrounding space."""
    parsed(**edge)


def test_strings_are_stripped() -> None:
    """Space around a value never makes it another value."""
    job = parsed(keywords=[" rye ", "\trye\n"], target_audience=" bakers ", idempotency_key=" monday ")
    assert (job.keywords, job.target_audience, job.idempotency_key) == (("rye",), "bakers", "monday")


@given(st.lists(label, min_size=1, max_size=50))
def test_repeated_keywords_are_dropped_in_order(keywords: list[str]) -> None:
    """Each keyword stays at the place where it came first, so the primary one stays first."""
    assert parsed(keywords=keywords).keywords == tuple(dict.fromkeys(keywords))


@given(
    st.builds(
        ContentIdeaGeneration,
        org_id=st.uuids(),
        domain_id=st.uuids(),
        keywords=st.lists(label, min_size=1, max_size=50).map(tuple),
        content_type=st.sampled_from(["article", "video", "social", "email"]),
        target_audience=label,
        tone=st.sampled_from(["professional", "casual", "educational", "entertaining"]),
        max_ideas=st.integers(min_value=1, max_value=500),
        idempotency_key=st.none() | label,
    )
)
def test_a_job_survives_the_wire(job: ContentIdeaGeneration) -> None:
    """What a worker reads is what was sent."""
    assert ContentIdeaGeneration.model_validate_json(job.model_dump_json()) == job


def test_a_result_survives_the_wire() -> None:
    """A stored result reads back as it was."""
    idea = Idea(
        id=uuid4(),
        title="T",
        description="D",
        target_keywords=("rye",),
        content_type="article",
        read_time_minutes=6,
        outline=("Flour",),
        competitive_analysis="",
    )
    batch = IdeaBatch(status="completed", batch_id=uuid4(), ideas=(idea,))
    assert IdeaBatch.model_validate_json(batch.model_dump_json()) == batch


@pytest.mark.parametrize(
    "wrong",
    [
        {"org_id": SECRET},
        {"keywords": [SECRET * 20]},
        {"keywords": [f"{SECRET}\x00"]},
        {"content_type": SECRET},
        {"max_ideas": SECRET},
        {"idempotency_key": SECRET * 20},
        {"surprise": SECRET},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_errors_never_quote_what_came_in(wrong: dict[str, object]) -> None:
    """A refused payload may hold anything, so its values stay out of messages."""
    with pytest.raises(ValidationError) as caught:
        parsed(**wrong)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)


def test_a_contract_cannot_be_changed() -> None:
    """Nobody alters a job on its way."""
    with pytest.raises(ValidationError, match="frozen"):
        setattr(parsed(), "max_ideas", 500)  # noqa: B010  # the plain form does not even type-check


class _Event(Model):
    at: Instant


@pytest.mark.parametrize("at", ["2026-03-01T12:00:00", "2026-03-01", "noon"])
def test_a_time_without_a_zone_is_refused(at: str) -> None:
    """Nobody has to guess which noon was meant."""
    with pytest.raises(ValidationError, match="at"):
        _Event.model_validate_json(json.dumps({"at": at}))


def test_a_time_with_its_zone_is_kept() -> None:
    """An offset is part of the value."""
    event = _Event.model_validate_json('{"at": "2026-03-01T13:00:00+01:00"}')
    assert event.at == datetime(2026, 3, 1, 12, tzinfo=UTC)
