"""Guards for Dramatiq: one cross-cutting concern a file, each usable alone on any broker."""

from .callbacks import Callbacks
from .contracts import Contracts
from .emit import add_metric_handler, emit_counter, emit_gauge, emit_metric, emit_timer, remove_metric_handler
from .errors import (
    DuplicateMessage,
    GuardError,
    InvalidPayload,
    MisplacedGuard,
    Parked,
    RateLimited,
    Skipped,
    StoreUnavailable,
)
from .guard import Guard, Outcome
from .retries import Retries

__version__ = "0.1.0"

__all__ = [
    "Callbacks",
    "Contracts",
    "DuplicateMessage",
    "Guard",
    "GuardError",
    "InvalidPayload",
    "MisplacedGuard",
    "Outcome",
    "Parked",
    "RateLimited",
    "Retries",
    "Skipped",
    "StoreUnavailable",
    "add_metric_handler",
    "emit_counter",
    "emit_gauge",
    "emit_metric",
    "emit_timer",
    "remove_metric_handler",
]
