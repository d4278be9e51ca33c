"""What callers may attach to a job: a small JSON object that the database can keep and people can read."""

import json
import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue, StringConstraints

from .limits import KIB

MAX_KEYS = 50
MAX_KEY_CHARS = 100
#: As JSON without spaces.
MAX_BYTES = 32 * KIB
#: How deep lists and objects may lie within each other; deeper ones break readers that recurse.
MAX_DEPTH = 20


def _storable(metadata: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    if any(len(key) > MAX_KEY_CHARS for key in metadata):
        raise ValueError(f"keys may have at most {MAX_KEY_CHARS} characters")
    _refuse_unstorable(metadata, MAX_DEPTH)
    if len(json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode()) >= MAX_BYTES:
        raise ValueError(f"must be less than {MAX_BYTES} bytes of JSON; store it and send its id")
    return metadata


def _refuse_unstorable(value: object, levels_left: int) -> None:
    """What JSON in Python can hold and JSONB in PostgreSQL cannot, or nobody could read."""
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("must not contain the zero character")
        if not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
            raise ValueError("must not contain halves of surrogate pairs")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("numbers must be finite")
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError("whole numbers must fit 64 bits")
    elif isinstance(value, Mapping | list):
        if not levels_left:
            raise ValueError(f"lists and objects may lie at most {MAX_DEPTH} deep")
        children = [*value.keys(), *value.values()] if isinstance(value, Mapping) else value
        for each in children:
            _refuse_unstorable(each, levels_left - 1)


# Space around a key or text is its owner's business.
_Verbatim = Annotated[str, StringConstraints(strip_whitespace=False)]

#: At most 50 keys of 100 characters, less than 32 KiB as JSON.
Metadata = Annotated[dict[_Verbatim, JsonValue], Field(max_length=MAX_KEYS), AfterValidator(_storable)]
