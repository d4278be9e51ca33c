"""Keeps payloads, and the text of errors that may quote them, out of log lines before any handler sees them.

Dramatiq writes a message's arguments down whenever it skips or fails one, and a traceback ends with the text of its
exception, which quotes whatever the code was given: a row, a URL with its token, a refused input.
"""

import logging
import threading
import traceback
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePath
from typing import Any

import dramatiq
from dramatiq import Message
from dramatiq.broker import MessageProxy
from dramatiq.errors import BrokerConnectionError

from ..base.attempts import word
from ..base.classification import category_of, class_name, fingerprint

#: Loggers whose tracebacks are rewritten, besides every line that Dramatiq's own source writes.
DEFAULT_LOGGERS = ("dramatiq", "periodiq", "asyncio", "concurrent.futures", __name__.partition(".")[0])

#: How much of a traceback is kept: frames of one exception, and exceptions that led to it.
MAX_FRAMES = 30
MAX_CAUSES = 5

#: Name of the attribute under which a rewritten record keeps what it knows of its exception.
ERROR_ATTRIBUTE = "_pressroom_error"

_DRAMATIQ_FOLDER = str(PurePath(dramatiq.__file__).parent)

#: Lines of Dramatiq's that print values which are no messages, and what is written instead.
_REWRITTEN = {
    "Received args=%r kwargs=%r.": ("Received its arguments.", 0),
    "Invalid eta value for message %r: %r. Setting eta to current_millis().": (
        "Invalid eta value for message %r. Setting eta to current_millis().",
        1,
    ),
}


class LogRedaction:
    """Rewrites log records as they are made, for as long as somebody holds it.

    - A Dramatiq message among a line's arguments becomes its actor and id, on every logger.
    - On the loggers named, and in every line of Dramatiq's own, an exception becomes its class, category,
      fingerprint and the places it passed through. Its text is kept only where the class carries a `category`,
      which says that somebody saw to it, or when it is Dramatiq's word for a lost connection.

    It works on records, so it holds for every handler and formatter, also those that the `dramatiq` command sets up.

    Parameters:
      loggers: Names, with all below them; `""` means every logger. Default `DEFAULT_LOGGERS`.

    Example:
      >>> redaction = LogRedaction()
      >>> redaction.hold()
      >>> redaction.release()
    """

    def __init__(self, loggers: Collection[str] = DEFAULT_LOGGERS) -> None:
        self._loggers = tuple(loggers)
        self._everywhere = "" in self._loggers
        self._below = tuple(f"{name}." for name in self._loggers)
        self._holders = 0
        self._lock = threading.Lock()
        self._inner: Any = None

    def hold(self) -> None:
        """Begin, unless it has begun."""
        with self._lock:
            self._holders += 1
            if self._inner is None:
                self._inner = logging.getLogRecordFactory()
                logging.setLogRecordFactory(self)

    def release(self) -> None:
        """End, when everybody who held it has released it."""
        with self._lock:
            self._holders = max(0, self._holders - 1)
            if self._holders == 0 and logging.getLogRecordFactory() is self:
                logging.setLogRecordFactory(self._inner)
                self._inner = None

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._inner(*args, **kwargs)
        if self._holders:
            try:
                self._redact(record)
            except Exception:  # noqa: BLE001  # a log line may never fail the work, nor get out unchecked
                record.msg, record.args, record.exc_info = "A line that could not be redacted.", (), None
        return record

    def _redact(self, record: logging.LogRecord) -> None:
        ours = self._covers(record)
        if record.args:
            record.args = _redacted_args(record.args, hide_errors=ours)
        if not ours:
            return
        if isinstance(record.msg, str) and record.msg in _REWRITTEN:
            record.msg, kept = _REWRITTEN[record.msg]
            record.args = tuple(record.args or ())[:kept]
        exception = record.exc_info[1] if record.exc_info else None
        if exception is not None:
            setattr(record, ERROR_ATTRIBUTE, facts(exception))
            record.exc_text = "\n".join([*trace(exception), summary(exception)])
            record.exc_info = None

    def _covers(self, record: logging.LogRecord) -> bool:
        name = str(record.name)
        if self._everywhere or name in self._loggers or name.startswith(self._below):
            return True
        # Actors log under the name of the module they stand in.
        return record.pathname.startswith(_DRAMATIQ_FOLDER)


def label(message: "Message[Any] | MessageProxy") -> str:
    """A message as it may be written down.

    Example:
        >>> label(resize.message(7))
        'resize[0f1c7ed2-1c5e-4f0a-8d6b-0f3f5f5e8a55]'
    """
    return f"{message.actor_name}[{message.message_id}]"


def text_of(exception: BaseException) -> str | None:
    """What the exception says, if that may be written down."""
    if isinstance(getattr(exception, "category", None), str) or isinstance(exception, BrokerConnectionError):
        return str(exception)
    return None


def summary(exception: BaseException) -> str:
    """The exception in a line.

    Example:
        >>> summary(ValueError("hunter2"))
        'ValueError [unknown d2a5ff5ff5c4]'
    """
    text = text_of(exception)
    summary_text = f"{class_name(exception)} [{word(category_of(exception))} {fingerprint(exception)}]"
    return summary_text if text is None else f"{summary_text}: {text}"


def facts(exception: BaseException) -> dict[str, object]:
    """The exception as fields of a line."""
    text = text_of(exception)
    return {
        "error_class": class_name(exception),
        "error_category": word(category_of(exception)),
        "error_fingerprint": fingerprint(exception),
        **({} if text is None else {"error_text": text}),
        "traceback": list(trace(exception)),
    }


def trace(exception: BaseException) -> Iterator[str]:
    """The places the exception passed through, outermost call first, then those of what led to it."""
    current: BaseException | None = exception
    seen: set[int] = set()
    while current is not None and id(current) not in seen and len(seen) <= MAX_CAUSES:
        if seen:
            yield f"because of {summary(current)}"
        seen.add(id(current))
        frames = list(traceback.walk_tb(current.__traceback__))[-MAX_FRAMES:]
        for frame, row in frames:
            yield f"{frame.f_code.co_filename}:{row} in {frame.f_code.co_qualname}"
        if isinstance(current, BaseExceptionGroup):
            yield from (f"with {summary(each)}" for each in current.exceptions[:MAX_CAUSES])
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _redacted_args(args: Any, *, hide_errors: bool) -> Any:
    def shown(value: object) -> object:
        if isinstance(value, Message | MessageProxy):
            return label(value)
        if hide_errors and isinstance(value, BaseException):
            return summary(value)
        return value

    if isinstance(args, Mapping):
        return {name: shown(value) for name, value in args.items()}
    return tuple(shown(value) for value in args)
