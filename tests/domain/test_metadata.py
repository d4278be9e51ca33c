"""What callers may attach to a job."""

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from domain.metadata import MAX_BYTES, MAX_DEPTH, MAX_KEY_CHARS, MAX_KEYS, Metadata

accepted = TypeAdapter(Metadata)


def nested(levels: int) -> object:
    """An object with lists in it, so many levels in all."""
    value: object = "x"
    for _ in range(levels - 1):
        value = [value]
    return {"a": value}


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"a": None, "b": [1, 2.5, True, "  with space  "], " c ": {"d": "é"}},
        {f"{number}": number for number in range(MAX_KEYS)},
        {"k" * MAX_KEY_CHARS: "v"},
        {"a": "x" * (MAX_BYTES - len('{"a":""}') - 1)},
        {"a": -(2**63), "b": 2**63 - 1},
        nested(MAX_DEPTH),
    ],
    ids=range(7),
)
def test_what_the_database_can_keep_is_taken_as_it_is(metadata: dict[str, object]) -> None:
    """To the last byte of each bound, with the space around texts."""
    assert accepted.validate_json(json.dumps(metadata)) == metadata


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({f"{number}": number for number in range(MAX_KEYS + 1)}, "at most 50 items"),
        ({"k" * (MAX_KEY_CHARS + 1): "v"}, "at most 100 characters"),
        ({"a": "x" * (MAX_BYTES - len('{"a":""}'))}, "less than 32768 bytes"),
        ({"a": "\x00"}, "zero character"),
        ({"\x00": "a"}, "zero character"),
        ({"a": ["\ud800"]}, "surrogate"),
        ({"a": float("inf")}, "finite"),
        ({"a": 2**63}, "64 bits"),
        (nested(MAX_DEPTH + 1), "at most 20 deep"),
    ],
    ids=range(9),
)
def test_what_it_cannot_keep_is_refused_in_words(metadata: object, reason: str) -> None:
    """Before the job is sent."""
    with pytest.raises(ValidationError, match=reason):
        accepted.validate_python(metadata)
