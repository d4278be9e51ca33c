"""Every line logged during an attempt says whose it is, and none says what was in the message."""

import logging
from collections.abc import Callable, Collection
from typing import Any

from dramatiq import Broker, Worker
from dramatiq.broker import MessageProxy

from ..base.attempts import trace_id_of
from ..base.messages import org_of
from ..base.observer import Attempt, Observer, Position
from .redaction import DEFAULT_LOGGERS, LogRedaction

logger = logging.getLogger(__name__)


class LogContext(Observer):
    """Binds message_id, actor, queue, attempt, org and trace_id to every line logged during an attempt.

    Without it the lines of eight threads run into each other, and Dramatiq writes a message's arguments and the
    text of its errors into the log whenever one is skipped or fails. With it, those lines name the message by actor
    and id, and the error by class, category, fingerprint and the places it passed through.

    What is bound goes through structlog's context variables: `structlog` loggers see it by themselves, lines of the
    standard library when `configure_logging` or a handler with `log_formatter` writes them. What a job binds itself
    is unbound after the attempt. The redaction needs neither; it holds for every handler, from the worker's boot to
    its shutdown. It takes the exception off the record, so an error reporter that hangs on log records sees none
    for these lines.

    Costs no round trip.

    Parameters:
      configure: Called once in each worker process as it starts, before its first line about a message;
        `configure_logging` is meant for it. Default None: logging stays as the process has it.
      log_attempts: Write one line at INFO for each attempt, with its outcome and duration. Default True.
      redact: Loggers, with all below them, whose tracebacks lose the text of exceptions; `""` means every logger.
        Default: Dramatiq's, periodiq's, asyncio's, concurrent.futures' and this library's.

    Raises:
      ImportError: structlog is missing; install `pressroom[logs]`.

    Example:
      >>> broker.add_middleware(LogContext(configure=configure_logging))
    """

    position = Position.LOG

    def __init__(
        self,
        *,
        configure: Callable[[], None] | None = None,
        log_attempts: bool = True,
        redact: Collection[str] = DEFAULT_LOGGERS,
    ) -> None:
        super().__init__()
        try:
            from structlog import contextvars
        except ImportError as error:
            raise ImportError("LogContext needs structlog; install pressroom[logs]") from error
        self._contextvars = contextvars
        self._configure = configure
        self._log_attempts = log_attempts
        self._redaction = LogRedaction(redact)

    def after_process_boot(self, broker: Broker) -> None:
        if self._configure is not None:
            self._configure()

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        super().before_worker_boot(broker, worker)
        self._redaction.hold()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self._redaction.release()

    def began(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        bound: dict[str, Any] = {
            "message_id": message.message_id,
            "actor": message.actor_name,
            "queue": message.queue_name,
            "attempt": attempt.number,
            "org": org_of(message),
            "trace_id": trace_id_of(message),
        }
        self._contextvars.clear_contextvars()
        self._contextvars.bind_contextvars(
            **{name: value for name, value in bound.items() if value is not None}
        )

    def ended(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        if self._log_attempts:
            known = {
                "outcome": attempt.outcome,
                "duration_ms": round(attempt.duration_ms, 3),
                "cause": attempt.cause,
                "error_class": attempt.error_class,
                "error_category": attempt.error_category,
                "error_fingerprint": attempt.fingerprint,
            }
            logger.info(
                "%s[%s] %s after %.0f ms",
                message.actor_name,
                message.message_id,
                attempt.outcome,
                attempt.duration_ms,
                extra={name: value for name, value in known.items() if value is not None},
            )

    def left(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        self._contextvars.clear_contextvars()
