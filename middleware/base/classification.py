"""What an exception means to the guards, read from plain attributes so that nobody has to import anybody.

An exception may carry `category` (a short word), `retryable` (a bool) and `retry_after_s` (seconds).
"""

import hashlib
import traceback
from pathlib import PurePath

from dramatiq.errors import ActorNotFound, DecodeError
from dramatiq.middleware import TimeLimitExceeded
from dramatiq.middleware.shutdown import Shutdown
from pydantic import ValidationError

#: Categories of well-known exceptions that carry none.
_CATEGORIES: tuple[tuple[type[BaseException], str], ...] = (
    (TimeLimitExceeded, "timeout"),
    (TimeoutError, "timeout"),
    (ConnectionError, "network"),
    (ValidationError, "validation"),
    (DecodeError, "validation"),
    (ActorNotFound, "version"),
)


def category_of(exception: BaseException) -> str:
    """The exception's own category, or that of its well-known class, or `unknown`.

    Example:
        >>> category_of(TimeoutError())
        'timeout'
    """
    own = getattr(exception, "category", None)
    if isinstance(own, str):
        return own
    return next((category for kind, category in _CATEGORIES if isinstance(exception, kind)), "unknown")


def is_retryable(exception: BaseException) -> bool:
    """True if another attempt may help, as it may unless the exception says otherwise."""
    own = getattr(exception, "retryable", True)
    return own if isinstance(own, bool) else True


def retry_after_s(exception: BaseException) -> float | None:
    """How long a remote service asked to be left alone, in seconds; None when it did not."""
    own = getattr(exception, "retry_after_s", None)
    return float(own) if isinstance(own, int | float) and own >= 0 else None


def is_shutdown(exception: BaseException) -> bool:
    """True if the worker is stopping and the job did nothing wrong."""
    return isinstance(exception, Shutdown)


def class_name(exception: BaseException) -> str:
    """The exception's class with its module, which is safe to store and show."""
    kind = type(exception)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def fingerprint(exception: BaseException) -> str:
    """The same twelve characters for faults of one kind: class and the place it was raised, without any value.

    Line numbers are left out, so that an edit above does not make a new kind of fault.
    """
    frames = traceback.extract_tb(exception.__traceback__)
    place = f"{PurePath(frames[-1].filename).name}:{frames[-1].name}" if frames else ""
    return hashlib.sha256(f"{class_name(exception)}|{place}".encode()).hexdigest()[:12]
