"""The words of feedback: events, what they are about, what they add up to, and where else they come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Protocol, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from .contract import NO_NUL, Instant, Label, Model

#: How feedback reached us.
Source = Literal["api", "webhook", "import", "sync"]
#: What it can be about.
EntityType = Literal["content", "user", "system"]
#: What it can say.
Sentiment = Literal["positive", "negative", "neutral"]

#: Ratings go from 1 to 5; from here up they are positive, from there down negative.
POSITIVE_FROM = 4.0
NEGATIVE_UP_TO = 2.0

#: Years that feedback can be from; beyond them neither Python nor PostgreSQL reads what the other has written.
FIRST_YEAR, LAST_YEAR = 1970, 9998


def sentiment_of(rating: float) -> Sentiment:
    """What a rating says.

    Example:
        >>> sentiment_of(4), sentiment_of(2.5), sentiment_of(2)
        ('positive', 'neutral', 'negative')
    """
    if rating >= POSITIVE_FROM:
        return "positive"
    return "negative" if rating <= NEGATIVE_UP_TO else "neutral"


def _of_our_time(at: datetime) -> datetime:
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise ValueError(f"must be between the years {FIRST_YEAR} and {LAST_YEAR}")
    return at


class FeedbackEvent(Model):
    """Something that somebody said."""

    event_id: Label
    """Unique within the org and the source; of two events with one id the first that arrives counts."""
    rating: Annotated[float, Field(ge=1, le=5, allow_inf_nan=False)] | None = None
    """1 to 5; makes the sentiment where none is given."""
    sentiment: Sentiment | None = None
    """What was said; stands as it is, whatever the rating."""
    comment: Annotated[str, StringConstraints(max_length=4_000, pattern=NO_NUL)] | None = None
    """In the words of whoever said it."""
    occurred_at: Annotated[Instant, AfterValidator(_of_our_time)]
    """When. What is still to come is kept, and counted once its time has come."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.rating is None and self.sentiment is None:
            raise ValueError("give a rating, a sentiment or both")
        return self

    @property
    def says(self) -> Sentiment:
        """The sentiment as given, or what the rating says."""
        if self.sentiment is not None:
            return self.sentiment
        return sentiment_of(self.rating) if self.rating is not None else "neutral"


@dataclass(frozen=True, order=True)
class Entity:
    """What feedback is about. Ids are the org's own words: another org's entity of the same id is another one."""

    type: EntityType
    id: str


@dataclass(frozen=True, kw_only=True)
class WindowCounts:
    """What was said about an entity within the last so many days."""

    entity: Entity
    window_days: int
    positive: int
    negative: int
    neutral: int

    @property
    def count(self) -> int:
        """All of it."""
        return self.positive + self.negative + self.neutral


@dataclass(frozen=True, kw_only=True)
class FeedbackQuery:
    """A question to a source of feedback."""

    org_id: UUID
    entity: Entity
    #: Only what occurred from then on.
    since: datetime
    #: Where the page before said the next one begins; None for the first.
    cursor: str | None = None


@dataclass(frozen=True, kw_only=True)
class FeedbackPage:
    """Some of the answer."""

    events: Sequence[FeedbackEvent]
    #: Where the next page begins; None on the last.
    next_cursor: str | None
    #: Why each event that cannot be used was left out; nothing of it is quoted but its id.
    set_aside: Sequence[str] = ()


class FeedbackSource(Protocol):
    """A remote service that keeps feedback."""

    def events(self, query: FeedbackQuery, *, timeout_s: float | None) -> FeedbackPage:
        """Fetch a page of an entity's events.

        Parameters:
            query: whose, and from where on.
            timeout_s: how long it may take, repeated requests included; None without a deadline.

        Raises:
            ProviderUnavailable: it cannot be reached, or reports a fault of its own.
            AuthFailed: it refused our token.
            InvalidReply: its reply is no page of events. An event that cannot be used is set aside instead.
            InvalidInput: no source is configured.
        """
