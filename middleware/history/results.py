"""What a job wants kept of what it did: small, plain JSON, without secrets, stored with its attempt."""

import contextvars
import json
import logging
import re
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue
from pydantic_core import PydanticSerializationError, to_jsonable_python

from ..base.emit import emit_counter
from ..base.redaction import PLACEHOLDER

#: The most that is kept of a result, in bytes of JSON.
MAX_RESULT_BYTES = 64 * 1024

#: Names under which secrets are kept, wherever in the name they stand.
_SECRET_NAME = re.compile(
    r"passw|secret|token|credential|authori[sz]ation|cookie|signature|api_?-?key|private_?-?key",
    re.IGNORECASE,
)

logger = logging.getLogger(__name__)


@dataclass
class Recorded:
    """What the attempt in hand recorded so far."""

    result: JsonValue = None


#: Set for the length of an attempt by the guard that keeps results.
recording: contextvars.ContextVar[Recorded | None] = contextvars.ContextVar("recording", default=None)


def record_result(value: object) -> None:
    """Keep what this job did, to be stored with its attempt if that succeeds; a second call replaces the first.

    Pydantic models, dataclasses, dates, ids and enums are fine. Values under names like `password` or `api_key`
    become "***". What is over 64 KiB of JSON, or cannot be JSON, is replaced by a note that says so, and
    counted: a job that did its work is not failed for it. Outside an attempt, or without the guard `History`, it
    does nothing.

    Parameters:
      value: Anything that can be JSON.

    Example:
      >>> record_result({"exported": 120, "url": "https://..."})
    """
    into = recording.get()
    if into is not None:
        into.result = plain_result(value)


def plain_result(value: object) -> JsonValue:
    """The value as it is stored.

    Example:
        >>> plain_result({"rows": 3, "password": "hunter2"})
        {'rows': 3, 'password': '***'}
    """
    try:
        # Through text: what is stored is what is measured, and keys are strings.
        plain = _redacted(json.loads(json.dumps(to_jsonable_python(value), allow_nan=False)))
        size_bytes = len(json.dumps(plain).encode())
    except (PydanticSerializationError, TypeError, ValueError, RecursionError) as error:
        # Without its text, which may quote the value.
        return _left_out("not_json", f"the result is not plain JSON ({type(error).__name__})")
    if size_bytes > MAX_RESULT_BYTES:
        return _left_out(
            "too_large", f"the result is {size_bytes} bytes of JSON, at most {MAX_RESULT_BYTES} are kept"
        )
    return plain


def _left_out(cause: str, note: str) -> JsonValue:
    emit_counter("results_left_out_total", {"cause": cause})
    logger.warning("A job's result was left out: %s", note)
    return {"left_out": note}


def _redacted(value: Any) -> JsonValue:
    if isinstance(value, dict):
        return {
            _storable(name): PLACEHOLDER if _SECRET_NAME.search(name) else _redacted(each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_redacted(each) for each in value]
    return _storable(value) if isinstance(value, str) else value


def _storable(text: str) -> str:
    """Without what JSON can write and databases refuse: the zero character and halves of surrogate pairs."""
    return text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
