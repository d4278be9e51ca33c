"""What was sent arrives, whatever pydantic makes of it on the way, or it is refused at the door."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import dramatiq
import pytest
from hypothesis import given
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Json,
    PrivateAttr,
    Secret,
    SecretBytes,
    SerializeAsAny,
    computed_field,
    field_serializer,
    model_validator,
)

from middleware import InvalidPayload
from middleware.base.payloads import dumps, normalise, parse

from .generated_models import instances


def sent(model: type[BaseModel], value: object) -> BaseModel:
    """What the function gets of what a caller passed."""
    message: dramatiq.Message[Any] = dramatiq.Message("default", "job", (value,), {}, {})
    stored = normalise(message, model, 1_000_000)
    return parse("job", model, dumps("job", json.loads(json.dumps(stored))))


@given(job=instances())
def test_every_valid_instance_arrives_as_an_equal_one(job: BaseModel) -> None:
    """`load(dump(x)) == x` for aliases of every kind, nested models, unions, secrets, `Json` and the rest."""
    assert sent(type(job), job) == job


@given(job=instances())
def test_what_arrives_can_be_sent_on(job: BaseModel) -> None:
    """As a mapping by field names, and as what arrived: the message says the same."""
    message: dramatiq.Message[Any] = dramatiq.Message("default", "job", (job,), {}, {})
    stored = normalise(message, type(job), 1_000_000)

    assert sent(type(job), stored) == sent(type(job), sent(type(job), job))


class Point(BaseModel):
    """With a name on the wire."""

    model_config = ConfigDict(extra="forbid")
    x_axis: int = Field(alias="xAxis")


class Shape(BaseModel):
    """Something with subclasses."""

    model_config = ConfigDict(extra="ignore")
    name: str = "a"


class Circle(Shape):
    """A subclass that knows more."""

    radius: int = 3


class Drawing(BaseModel):
    """Holds one of them."""

    shape: Shape


class AnyDrawing(BaseModel):
    """Holds one of them, and writes it whole."""

    shape: SerializeAsAny[Shape]


class Hiding(BaseModel):
    """Leaves something out as it is written."""

    name: str
    note: str = Field(default="", exclude=True)


class Rounding(BaseModel):
    """Writes less than it has."""

    ratio: float

    @field_serializer("ratio")
    def short(self, value: float) -> float:
        """Two digits."""
        return round(value, 2)


class Loose(BaseModel):
    """Says little about what it holds."""

    value: Any = None
    many: Sequence[int] = ()


class Numbers(BaseModel):
    """Text that is JSON, and what is made of it."""

    numbers: Json[list[int]]

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way
    @property
    def total(self) -> int:
        """Their sum."""
        return sum(self.numbers)

    model_config = ConfigDict(extra="forbid")


class Keys(BaseModel):
    """Secrets beyond text."""

    pin: Secret[int]
    raw: SecretBytes


class Careful(BaseModel):
    """Looks at what comes in, by the names on the wire."""

    user_id: int = Field(alias="userId")

    @model_validator(mode="before")
    @classmethod
    def look(cls, data: dict[str, object]) -> dict[str, object]:
        """Fails where there is no such name."""
        assert data["userId"] is not None
        return data


class At(BaseModel):
    """A moment."""

    at: datetime


class Remembering(BaseModel):
    """Keeps something for itself."""

    name: str
    _seen: list[str] = PrivateAttr(default_factory=list)


@pytest.mark.parametrize(
    "job",
    [
        Point(xAxis=3),
        Numbers(numbers="[1, 2]"),
        Drawing(shape=Shape(name="b")),
        Keys(pin=Secret(1234), raw=SecretBytes(b"r\xc3\xa9")),
        Careful(userId=7),
        Hiding(name="a"),
        Rounding(ratio=0.25),
        Loose(value={"a": [1, None, "x"]}, many=[1]),
    ],
    ids=repr,
)
def test_what_json_can_say_arrives(job: BaseModel) -> None:
    """Under the model's own names, computed fields aside."""
    assert sent(type(job), job) == job


@pytest.mark.parametrize(
    ("model", "job", "fault"),
    [
        (Shape, Circle(), "payload: would arrive as a Shape, not as a Circle"),
        (Drawing, Drawing(shape=Circle()), "shape: would arrive as a Shape, not as a Circle"),
        (AnyDrawing, AnyDrawing(shape=Circle()), "shape: would arrive as a Shape, not as a Circle"),
        (Hiding, Hiding(name="a", note="lost"), "note: would not arrive as it is"),
        (Hiding, {"name": "a", "note": "lost"}, "note: would not arrive as it is"),
        (Rounding, Rounding(ratio=0.333), "ratio: would not arrive as it is"),
        (
            Loose,
            Loose(value=datetime(2026, 1, 1, tzinfo=UTC)),
            "value: would arrive as a str, not as a datetime",
        ),
        (Loose, Loose(value={"a": (1, 2)}), "value.a: would arrive as a list, not as a tuple"),
        (Loose, Loose(value=float("inf")), "value: would arrive as a NoneType, not as a float"),
        (Loose, Loose(value=b"\xff"), "payload: cannot be written as JSON"),
        (Loose, Loose(value=object()), "payload: cannot be written as JSON"),
        (Keys, Keys(pin=Secret(1), raw=SecretBytes(b"\xff")), "payload: cannot be written as JSON"),
    ],
)
def test_what_json_cannot_say_is_refused_at_the_door(model: type[BaseModel], job: object, fault: str) -> None:
    """With the field and why, and never its value; it would have arrived as something else."""
    with pytest.raises(InvalidPayload) as caught:
        sent(model, job)
    assert fault in str(caught.value)
    assert "lost" not in str(caught.value)


def test_a_mapping_may_use_aliases_or_names() -> None:
    """Whoever writes JSON by hand has the schema's names, and whoever reads Python has the fields'."""
    assert sent(Point, {"xAxis": 3}) == sent(Point, {"x_axis": 3}) == Point(xAxis=3)


def test_a_time_in_an_hour_that_comes_twice_arrives() -> None:
    """Python calls it unequal to the same moment in another zone."""
    twice = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    arrived = sent(At, At(at=twice))

    assert isinstance(arrived, At)
    assert arrived.at.timestamp() == twice.timestamp()


def test_what_a_model_keeps_for_itself_is_not_sent() -> None:
    """Nor is it a reason to refuse it."""
    job = Remembering(name="a")
    job._seen.append("x")

    assert sent(Remembering, job) == Remembering(name="a")
