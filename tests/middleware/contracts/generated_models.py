"""Models as people write them, at random, with values for them."""

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    SecretStr,
    computed_field,
    create_model,
)
from pydantic.alias_generators import to_camel, to_pascal


class Color(Enum):
    """A choice."""

    RED = "red"
    BLUE = 2


class Cat(BaseModel):
    """One of two, told apart by a field with an alias."""

    kind: Literal["cat"] = Field(default="cat", alias="petKind")
    lives: int = Field(default=9, alias="livesLeft")


class Dog(BaseModel):
    """The other."""

    kind: Literal["dog"] = Field(default="dog", alias="petKind")
    name: str = "Rex"

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way
    @property
    def loud(self) -> str:
        """Never sent: it is made of the rest."""
        return self.name.upper()


_TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
_ZONES = st.integers(-720, 720).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_PETS = st.one_of(
    st.integers(0, 9).map(lambda lives: Cat(petKind="cat", livesLeft=lives)),
    _TEXT.map(lambda name: Dog(petKind="dog", name=name)),
)

#: Types, and values for them.
_TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers(-(2**70), 2**70)),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (bool, st.booleans()),
    (str, _TEXT),
    (str | None, st.none() | _TEXT),
    (UUID, st.uuids()),
    (datetime, st.datetimes(timezones=st.none() | _ZONES)),
    (date, st.dates()),
    (time, st.times()),
    (timedelta, st.timedeltas(timedelta(days=-1000), timedelta(days=1000))),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=3)),
    (Color, st.sampled_from(Color)),
    (bytes, _TEXT.map(str.encode)),
    (SecretStr, _TEXT.map(SecretStr)),
    (tuple[int, str], st.tuples(st.integers(), _TEXT)),
    (tuple[SecretStr, ...], st.lists(_TEXT.map(SecretStr), max_size=2).map(tuple)),
    (frozenset[int], st.frozensets(st.integers())),
    (dict[int, list[str]], st.dictionaries(st.integers(), st.lists(_TEXT, max_size=2), max_size=2)),
    (Json[list[int]], st.lists(st.integers(), max_size=3)),
    (Cat | Dog, _PETS),
    (Annotated[Cat | Dog, Field(discriminator="kind")], _PETS),
    (list[Dog], st.lists(_TEXT.map(lambda name: Dog(petKind="dog", name=name)), max_size=2)),
    (Any, st.none() | st.integers() | _TEXT | st.lists(st.integers(), max_size=2)),
]

_CONFIGS = st.sampled_from(
    [
        ConfigDict(),
        ConfigDict(extra="forbid"),
        ConfigDict(extra="allow"),
        ConfigDict(alias_generator=to_camel),
        ConfigDict(alias_generator=to_pascal, extra="forbid", frozen=True),
        ConfigDict(alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True),
        ConfigDict(strict=True),
    ]
)


@st.composite
def instances(draw: st.DrawFn, depth: int = 2) -> BaseModel:
    """A model of its own, and an instance of it that is valid."""
    fields: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for number in range(draw(st.integers(1, 4))):
        name = f"some_field{number}"
        if depth and draw(st.integers(0, 4)) == 0:
            inner = draw(instances(depth - 1))
            fields[name], values[name] = (type(inner), draw(_field(name))), inner
            continue
        kind, strategy = draw(st.sampled_from(_TYPES))
        fields[name], values[name] = (kind, draw(_field(name))), draw(strategy)
    model = create_model("Generated", __config__=draw(_CONFIGS), **fields)
    return model.model_construct(**values)


def _field(name: str) -> st.SearchStrategy[Any]:
    return st.sampled_from(
        [
            ...,
            Field(alias=f"{name}Alias"),
            Field(validation_alias=AliasChoices(f"{name}A", f"{name}B")),
            Field(validation_alias=AliasPath(f"{name}P", "deep", 0)),
            Field(serialization_alias=f"{name}Out"),
            Field(validation_alias=f"{name}In", serialization_alias=f"{name}Out"),
        ]
    )
