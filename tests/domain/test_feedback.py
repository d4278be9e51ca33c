"""What feedback may look like, and what it says."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.feedback import FeedbackEvent, Sentiment, sentiment_of
from domain.feedback_ingest import EntityFeedback, FeedbackIngest

ORG = UUID(int=1)
SECRET = "not-for-the-log"
EVENT: dict[str, object] = {"event_id": "e1", "rating": 5, "occurred_at": "2026-03-01T12:00:00Z"}
ENTITY: dict[str, object] = {"id": "post-1", "type": "content", "data": [EVENT]}
GOOD: dict[str, object] = {
    "org_id": str(ORG),
    "source": "api",
    "entities": [ENTITY],
    "timestamp": "2026-03-01T12:00:00Z",
}


def event(**changed: object) -> FeedbackEvent:
    fields = EVENT | changed
    return FeedbackEvent.model_validate_json(
        json.dumps({name: value for name, value in fields.items() if value != "left out"})
    )


def entity(**changed: object) -> EntityFeedback:
    return EntityFeedback.model_validate_json(json.dumps(ENTITY | changed))


def job(**changed: object) -> FeedbackIngest:
    return FeedbackIngest.model_validate_json(json.dumps(GOOD | changed))


@pytest.mark.parametrize(
    ("rating", "sentiment"),
    [
        (1, "negative"),
        (2, "negative"),
        (2.01, "neutral"),
        (3, "neutral"),
        (3.99, "neutral"),
        (4, "positive"),
        (5, "positive"),
    ],
)
def test_a_rating_says_something(rating: float, sentiment: Sentiment) -> None:
    """From 4 up it is positive, up to 2 negative, between them neutral."""
    assert sentiment_of(rating) == sentiment
    assert event(rating=rating).says == sentiment


def test_a_sentiment_stands_as_it_is() -> None:
    """Alone, and beside a rating that would say something else; the rating is kept."""
    assert event(rating="left out", sentiment="negative").says == "negative"
    both = event(rating=5, sentiment="negative")
    assert (both.says, both.rating) == ("negative", 5.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"event_id": ""},
        {"event_id": " "},
        {"event_id": "x" * 201},
        {"event_id": "a\x00b"},
        {"event_id": 7},
        {"rating": 0.99},
        {"rating": 5.01},
        {"rating": True},
        {"rating": "5"},
        {"rating": 10**400},
        {"sentiment": "angry"},
        {"sentiment": "Positive"},
        {"comment": "x" * 4_001},
        {"comment": "a\x00b"},
        {"comment": 7},
        {"occurred_at": "2026-03-01T12:00:00"},
        {"occurred_at": "yesterday"},
        {"occurred_at": "1969-12-31T23:59:59Z"},
        {"occurred_at": "9999-12-31T23:59:59Z"},
        {"occurred_at": None},
        {"stars": 5},
    ],
    ids=lambda wrong: str(wrong)[:30],
)
def test_an_event_that_does_not_fit_is_refused(wrong: dict[str, object]) -> None:
    """Bounds, types and unknown fields; the error names the field."""
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        event(**wrong)


@pytest.mark.parametrize("rating", ["NaN", "Infinity", "1e999"])
def test_a_rating_is_a_number(rating: str) -> None:
    """And not whatever JSON in the wild calls one."""
    text = json.dumps(EVENT).replace('"rating": 5', f'"rating": {rating}')
    with pytest.raises(ValidationError, match="rating"):
        FeedbackEvent.model_validate_json(text)


def test_an_event_says_something() -> None:
    """A rating, a sentiment or both; a comment alone says nothing that can be counted."""
    with pytest.raises(ValidationError, match="rating, a sentiment or both"):
        event(rating="left out", comment="hm")


@pytest.mark.parametrize(
    "edge",
    [
        {"event_id": "x" * 200},
        {"event_id": "\U0001f600" * 200},
        {"comment": "x" * 4_000},
        {"comment": "\U0001f600" * 4_000},
        {"comment": ""},
        {"comment": "'; DROP TABLE feedback_events; -- %s %(a)s {}"},
        {"rating": 1},
        {"rating": 5.0},
        {"occurred_at": "1970-01-01T00:00:00+14:00"},
        {"occurred_at": "9998-12-31T23:59:59-12:00"},
    ],
    ids=lambda edge: str(edge)[:30],
)
def test_the_bounds_themselves_fit(edge: dict[str, object]) -> None:
    """Each limit is the last value allowed, in characters, not in bytes."""
    event(**edge)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": "x" * 201},
        {"id": "a\x00b"},
        {"id": 7},
        {"type": "page"},
        {"data": [EVENT] * 101},
        {"data": EVENT},
        {"data": [{}]},
        {"name": "a"},
    ],
    ids=lambda wrong: str(wrong)[:30],
)
def test_an_entity_that_does_not_fit_is_refused(wrong: dict[str, object]) -> None:
    """Bounds, types and unknown fields; the error names the field."""
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        entity(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"org_id": "acme"},
        {"source": "fax"},
        {"entities": []},
        {"entities": [ENTITY] * 101},
        {"entities": {}},
        {"timestamp": "2026-03-01T12:00:00"},
        {"timestamp": None},
        {"window": 7},
    ],
    ids=lambda wrong: str(wrong)[:30],
)
def test_a_job_that_does_not_fit_is_refused(wrong: dict[str, object]) -> None:
    """Bounds, types and unknown fields; the error names the field."""
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        job(**wrong)


def test_a_hundred_entities_with_a_hundred_events_fit() -> None:
    """The most that one job may carry."""
    assert len(job(entities=[ENTITY] * 100).entities) == 100
    assert len(entity(data=[EVENT] * 100).data) == 100


@pytest.mark.parametrize("source", ["api", "webhook", "import"])
def test_what_comes_with_the_job_has_events(source: str) -> None:
    """An entity without any is a mistake, wherever it stands."""
    job(source=source)
    with pytest.raises(ValidationError, match="at least one event each"):
        job(source=source, entities=[ENTITY, {"id": "post-2", "type": "content"}])


def test_what_is_asked_for_has_none() -> None:
    """The source would not be asked for events that are there."""
    job(source="sync", entities=[{"id": "post-1", "type": "content"}])
    with pytest.raises(ValidationError, match="without data"):
        job(source="sync", entities=[{"id": "post-1", "type": "content"}, ENTITY])


words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=30).filter(
    lambda value: value.strip() == value
)
events = st.builds(
    FeedbackEvent,
    event_id=words,
    rating=st.floats(1, 5),
    sentiment=st.none() | st.sampled_from(["positive", "negative", "neutral"]),
    comment=st.none() | words,
    occurred_at=st.datetimes(datetime(1971, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # hypothesis adds the zone
)


@given(
    st.lists(st.builds(EntityFeedback, id=words, type=st.just("user"), data=st.tuples(events)), min_size=1)
)
def test_a_job_survives_the_wire(entities: list[EntityFeedback]) -> None:
    """What a worker reads is what was sent."""
    sent = FeedbackIngest(
        org_id=ORG, source="import", entities=tuple(entities), timestamp=datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert FeedbackIngest.model_validate_json(sent.model_dump_json()) == sent


@pytest.mark.parametrize(
    "wrong",
    [
        {"entities": [ENTITY | {"id": SECRET * 20}]},
        {"entities": [ENTITY | {"data": [EVENT | {"comment": f"{SECRET}\x00"}]}]},
        {"entities": [ENTITY | {"data": [{**EVENT, "rating": SECRET}]}]},
        {"source": SECRET},
        {"timestamp": SECRET},
    ],
    ids=["id", "comment", "rating", "source", "timestamp"],
)
def test_errors_never_quote_what_came_in(wrong: dict[str, object]) -> None:
    """What people write about each other stays out of messages."""
    with pytest.raises(ValidationError) as caught:
        job(**wrong)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
