"""What is kept of a job's result."""

import inspect
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import BaseModel, SecretStr

from middleware.history.results import MAX_RESULT_BYTES, plain_result, record_result, recording


class Login(BaseModel):
    """A model with a secret in it."""

    name: str
    pin: SecretStr


@dataclass
class Export:
    """What a handler may return."""

    id: UUID
    at: datetime
    rows: int


def test_models_dataclasses_dates_and_ids_become_json() -> None:
    """A handler's return value can be recorded as it is."""
    export = Export(UUID(int=1), datetime(2026, 1, 2, tzinfo=UTC), 3)

    assert plain_result({"export": export, "by": Login(name="a", pin=SecretStr("hunter2"))}) == {
        "export": {"id": str(UUID(int=1)), "at": "2026-01-02T00:00:00Z", "rows": 3},
        "by": {"name": "a", "pin": "**********"},
    }


@pytest.mark.parametrize(
    "name", ["password", "DB_PASSWD", "apiKey", "api-key", "accessToken", "Authorization", "client_secret"]
)
def test_values_under_telling_names_are_left_out(name: str) -> None:
    """Wherever they stand."""
    assert plain_result([{"a": {name: ["hunter2"]}}]) == [{"a": {name: "***"}}]


def test_a_result_too_large_is_replaced_by_a_note() -> None:
    """64 KiB are kept to the byte; one more and the note says how much it was."""
    fits = "x" * (MAX_RESULT_BYTES - 2)

    assert plain_result(fits) == fits
    assert plain_result(fits + "x") == {
        "left_out": "the result is 65537 bytes of JSON, at most 65536 are kept"
    }


@pytest.mark.parametrize(
    "value",
    [object(), float("nan"), 10**5_000, {"a": lambda: None}],
    ids=["object", "nan", "huge", "function"],
)
def test_what_is_no_json_is_replaced_by_a_note(value: object) -> None:
    """A job that did its work is not failed for its report, and the note quotes nothing."""
    result = plain_result(value)

    assert isinstance(result, dict)
    assert str(result["left_out"]).startswith("the result is not plain JSON (")


def test_a_value_that_holds_itself_is_replaced_by_a_note() -> None:
    """Whatever is passed, recording returns."""
    circle: list[object] = []
    circle.append(circle)

    assert isinstance(plain_result(circle), dict)


def test_near_the_end_of_the_stack_a_result_is_left_out() -> None:
    """A job that calls itself deeply is not failed for its report either."""
    nested: list[object] = []
    for _ in range(200):
        nested = [nested]

    def at_depth(frames: int) -> object:
        return plain_result(nested) if frames == 0 else at_depth(frames - 1)

    local = len(inspect.stack(0))
    assert plain_result(nested) == nested
    assert at_depth(sys.getrecursionlimit() - local - 100) == {
        "left_out": "the result is not plain JSON (RecursionError)"
    }


def test_whatever_is_kept_databases_take() -> None:
    """The zero character and halves of surrogate pairs are replaced; whole pairs are characters like any other."""
    assert plain_result({"a\x00": ["b\x00\ud83d", "\ud83d\ude00", "grüße"]}) == {
        "a\ufffd": ["b\ufffd\ufffd", "\U0001f600", "grüße"]
    }


def test_outside_an_attempt_recording_does_nothing() -> None:
    """A job's function can be called by a test without anything set up."""
    record_result({"rows": 3})

    assert recording.get() is None
