"""Whether what a payload was made of is what will come out of it again."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from .errors import Fault

#: Faults named in one error.
MAX_FAULTS = 20


def differences(sent: BaseModel, arrived: BaseModel) -> list[Fault]:
    """Where a model differs from the one that its payload stands for: a fault for each field, never its value.

    Times are equal when they are the same moment, whatever their zone, also in an hour that a clock shows twice.

    Parameters:
      sent: What the caller passed.
      arrived: What the function would get.

    Example:
      >>> differences(Job(tags=("a",)), Job(tags=["a"]))
      [Fault(field='tags', reason='would arrive as a list, not as a tuple')]
    """
    found: list[Fault] = []
    _compare(sent, arrived, (), found)
    return found[:MAX_FAULTS]


def _compare(sent: Any, arrived: Any, at: tuple[str, ...], found: list[Fault]) -> None:
    if len(found) >= MAX_FAULTS or sent is arrived:
        return
    if isinstance(sent, datetime) and isinstance(arrived, datetime):
        is_same = _moment(sent) == _moment(arrived)
    elif isinstance(sent, float) and isinstance(arrived, float):
        is_same = sent == arrived or (math.isnan(sent) and math.isnan(arrived))
    elif type(sent) is not type(arrived) and not _is_number(sent, arrived):
        reason = f"would arrive as a {type(arrived).__name__}, not as a {type(sent).__name__}"
        found.append(Fault(".".join(at) or "payload", reason))
        return
    elif isinstance(sent, BaseModel):
        # What a model keeps for itself, like private attributes, is no part of it.
        for name in type(sent).model_fields:
            _compare(getattr(sent, name), getattr(arrived, name), (*at, name), found)
        _compare(sent.model_extra or {}, arrived.model_extra or {}, at, found)
        return
    elif isinstance(sent, Mapping) and sent.keys() == arrived.keys():
        for key, each in sent.items():
            _compare(each, arrived[key], (*at, str(key)), found)
        return
    elif isinstance(sent, list | tuple) and len(sent) == len(arrived):
        for index, pair in enumerate(zip(sent, arrived, strict=True)):
            _compare(*pair, (*at, str(index)), found)
        return
    else:
        is_same = bool(sent == arrived)
    if not is_same:
        found.append(
            Fault(".".join(at) or "payload", "would not arrive as it is: JSON does not give it back")
        )


def _moment(value: datetime) -> datetime:
    return value if value.tzinfo is None else value.astimezone(UTC)


def _is_number(sent: Any, arrived: Any) -> bool:
    return isinstance(sent, int | float) and isinstance(arrived, int | float)
