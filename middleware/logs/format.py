"""One line of JSON for each line of the log, structlog's or the standard library's alike."""

import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, TextIO

from dramatiq import Message
from dramatiq.broker import MessageProxy

from .redaction import ERROR_ATTRIBUTE, facts, label

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger


def log_formatter(*, json: bool = True) -> logging.Formatter:
    """A formatter for handlers of one's own.

    Every line has timestamp (UTC), level, logger and event, and what is bound to the attempt: message_id, actor,
    queue, attempt, org and trace_id. An exception becomes error_class, error_category, error_fingerprint and
    traceback, a list of places; its text is written only where its class carries a `category`.

    Parameters:
      json: False for lines to be read in a terminal. Default True.

    Raises:
      ImportError: structlog is missing.

    Example:
      >>> handler.setFormatter(log_formatter())
    """
    structlog = _structlog()
    renderer: Processor = (
        structlog.processors.JSONRenderer(default=str)
        if json
        else structlog.dev.ConsoleRenderer(colors=False, sort_keys=False)
    )
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    formatter: logging.Formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_chain(), structlog.stdlib.ExtraAdder()],
        processors=[_describe_exception, _label_messages, remove, renderer],
    )
    return formatter


def configure_logging(*, json: bool = True, level: int | str = "INFO", stream: TextIO | None = None) -> None:
    """Write every line of this process to one stream: structlog's, the standard library's and Dramatiq's.

    Replaces the root logger's handlers, so it also undoes what the `dramatiq` command has set up; its worker
    processes read their own standard error, which is the default here. What kills a thread is logged too, instead
    of being printed with its text.

    Parameters:
      json: False for lines to be read in a terminal. Default True.
      level: The least that is written. Default INFO.
      stream: Default `sys.stderr`, as it is at the time of the call.

    Raises:
      ImportError: structlog is missing.

    Example:
      >>> broker.add_middleware(LogContext(configure=configure_logging))
    """
    structlog = _structlog()
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(log_formatter(json=json))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_chain(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    threading.excepthook = _log_death


def _chain() -> "list[Processor]":
    structlog = _structlog()
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _label_messages,
    ]


def _describe_exception(logger: "WrappedLogger", method: str, event: "EventDict") -> "EventDict":
    record: logging.LogRecord = event["_record"]
    known = getattr(record, ERROR_ATTRIBUTE, None)
    raised = event.pop("exc_info", None)
    # `exc_info` is True, an exception or a triple, as in the standard library.
    if isinstance(raised, tuple):
        raised = raised[1]
    elif raised and not isinstance(raised, BaseException):
        raised = sys.exception()
    if known is None and isinstance(raised, BaseException):
        known = facts(raised)
    event.pop(ERROR_ATTRIBUTE, None)
    event.update(known or {})
    return event


def _label_messages(logger: "WrappedLogger", method: str, event: "EventDict") -> "EventDict":
    for name, value in event.items():
        if isinstance(value, Message | MessageProxy):
            event[name] = label(value)
    return event


def _log_death(death: threading.ExceptHookArgs) -> None:
    if death.exc_value is not None and not isinstance(death.exc_value, SystemExit):
        name = death.thread.name if death.thread else "a thread"
        logging.getLogger(__name__).critical("%s died.", name, exc_info=death.exc_value)


def _structlog() -> Any:
    try:
        import structlog
    except ImportError as error:
        raise ImportError("structured logs need structlog; install pressroom[logs]") from error
    return structlog
