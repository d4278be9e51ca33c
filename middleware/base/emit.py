"""HookedBroker metrics: one call for the code that has a number, any number of handlers for the systems that want it.

Handlers cannot break each other or the caller: what one raises is logged once per handler and swallowed.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Literal, Protocol

from dramatiq import Message
from dramatiq.broker import MessageProxy

logger = logging.getLogger(__name__)

Kind = Literal["counter", "gauge", "timer"]


class MetricHandler(Protocol):
    """Takes what is emitted; must be quick and safe to call from any thread."""

    def __call__(self, kind: Kind, name: str, value: float, labels: Mapping[str, str]) -> None:
        """Record one value.

        Parameters:
            kind: counter (add), gauge (replace) or timer (seconds).
            name: like `region_worker_processed_total`.
            value: the number.
            labels: few names, few values each; never an org or an id by default.
        """


_handlers: tuple[MetricHandler, ...] = ()
_complained: set[int] = set()
_lock = threading.Lock()


def add_metric_handler(handler: MetricHandler) -> None:
    """Hand every later metric to `handler` too."""
    global _handlers
    with _lock:
        _handlers = (*_handlers, handler)


def remove_metric_handler(handler: MetricHandler) -> None:
    """Stop handing metrics to `handler`; fine when it never was added."""
    global _handlers
    with _lock:
        _handlers = tuple(each for each in _handlers if each is not handler)
        _complained.discard(id(handler))


def emit_metric(kind: Kind, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
    """Hand one value to every handler.

    Example:
        >>> emit_metric("gauge", "queue_depth", 12, {"queue": "exports"})
    """
    for handler in _handlers:
        try:
            handler(kind, name, value, labels or {})
        except Exception:  # noqa: BLE001  # a metric may never fail the work it measures
            _complain(handler)


def emit_counter(name: str, labels: Mapping[str, str] | None = None, *, by: float = 1) -> None:
    """Add to a counter."""
    emit_metric("counter", name, by, labels)


def emit_gauge(name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
    """Replace a gauge."""
    emit_metric("gauge", name, value, labels)


@contextmanager
def emit_timer(name: str, labels: Mapping[str, str] | None = None) -> Iterator[None]:
    """Time a block, in seconds, also when it raises.

    Example:
        >>> with emit_timer("export_seconds", {"format": "csv"}):
        ...     export()
    """
    begun = perf_counter()
    try:
        yield
    finally:
        emit_metric("timer", name, perf_counter() - begun, labels)


def labels_of(message: "Message[Any] | MessageProxy", **more: str) -> dict[str, str]:
    """Return the labels that what is counted of a message has: its actor and queue.

    Parameters:
      more: Other labels, of few values each.

    Example:
        >>> emit_counter("messages_paused_total", labels_of(message, what="queue"))
    """
    return {"actor": message.actor_name, "queue": message.queue_name, **more}


def _complain(handler: MetricHandler) -> None:
    if id(handler) not in _complained:
        _complained.add(id(handler))
        logger.exception("Metric handler %r failed; further failures of it are not logged.", handler)
