"""Guards for Dramatiq: one cross-cutting concern a room, each usable alone on any broker."""

from .base.emit import (
    add_metric_handler,
    emit_counter,
    emit_gauge,
    emit_metric,
    emit_timer,
    remove_metric_handler,
)
from .base.errors import (
    DuplicateMessage,
    GuardError,
    InvalidPayload,
    MisplacedGuard,
    Parked,
    RateLimited,
    Skipped,
    StoreUnavailable,
)
from .base.guard import Guard, Outcome
from .base.interrupts import Cancelled, DeadlineExceeded
from .base.observer import Observer
from .base.options import Option
from .base.stack import Position, in_order
from .callbacks import Callbacks
from .cancellation.guard import Cancellation, checkpoint
from .cancellation.requests import CancellationClient
from .circuit_breakers.guard import CircuitBreakers
from .circuit_breakers.state import BreakerRule
from .contracts.guard import Contracts, UnknownVersion, json_schemas
from .cron.guard import Cron
from .cron.schedule import cron
from .dead_letters.guard import DeadLetters, DeadLettersUnavailable
from .dead_letters.letter import DeadLetter
from .dead_letters.replay import DeadLetterFilter, DeadLetterReplayer
from .deadlines.guard import Deadlines, Expired, RunningJob, remaining
from .draining import Draining
from .history.guard import AttemptRecord, History, HistoryStore
from .history.results import record_result
from .idempotency.guard import Idempotency
from .logs.format import configure_logging, log_formatter
from .logs.guard import LogContext
from .metrics.guard import Metrics
from .metrics.queue_sampler import QueueState
from .org_limits.guard import OrgLimits
from .org_limits.rate import Rate
from .pauses.guard import Pauses
from .pauses.pauses import Pause, PauseControl
from .progress.guard import JobProgress, Progress, ProgressReader, progress
from .region_concurrency.guard import RegionConcurrency, in_region
from .retries import Retries, is_final_attempt
from .standard import StandardParts, standard_guards
from .tracing import Tracing

__version__ = "0.1.0"

__all__ = [
    "AttemptRecord",
    "BreakerRule",
    "Callbacks",
    "Cancellation",
    "CancellationClient",
    "Cancelled",
    "CircuitBreakers",
    "Contracts",
    "Cron",
    "DeadLetter",
    "DeadLetterFilter",
    "DeadLetterReplayer",
    "DeadLetters",
    "DeadLettersUnavailable",
    "DeadlineExceeded",
    "Deadlines",
    "Draining",
    "DuplicateMessage",
    "Expired",
    "Guard",
    "GuardError",
    "History",
    "HistoryStore",
    "Idempotency",
    "InvalidPayload",
    "JobProgress",
    "LogContext",
    "Metrics",
    "MisplacedGuard",
    "Observer",
    "Option",
    "OrgLimits",
    "Outcome",
    "Parked",
    "Pause",
    "PauseControl",
    "Pauses",
    "Position",
    "Progress",
    "ProgressReader",
    "QueueState",
    "Rate",
    "RateLimited",
    "RegionConcurrency",
    "Retries",
    "RunningJob",
    "Skipped",
    "StandardParts",
    "StoreUnavailable",
    "Tracing",
    "UnknownVersion",
    "add_metric_handler",
    "checkpoint",
    "configure_logging",
    "cron",
    "emit_counter",
    "emit_gauge",
    "emit_metric",
    "emit_timer",
    "in_order",
    "in_region",
    "is_final_attempt",
    "json_schemas",
    "log_formatter",
    "progress",
    "record_result",
    "remaining",
    "remove_metric_handler",
    "standard_guards",
]
