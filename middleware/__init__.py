"""Guards for Dramatiq: one cross-cutting concern a file, each usable alone on any broker."""

from .breaker_state import BreakerRule
from .callbacks import Callbacks
from .cancel_requests import Cancellations
from .cancellation import Cancellation, checkpoint
from .circuit_breakers import CircuitBreakers
from .contracts import Contracts, UnknownVersion, json_schemas
from .cron import Cron
from .cron_schedule import cron
from .dead_letter_entry import DeadLetter
from .dead_letter_replay import Criteria, Replays
from .dead_letters import DeadLetters, DeadLettersUnavailable
from .deadlines import Deadlines, Expired, InHand, remaining
from .draining import Draining
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
from .history import AttemptRecord, History, HistoryStore
from .idempotency import Idempotency
from .interrupts import Cancelled, DeadlineExceeded
from .log_context import LogContext
from .log_format import configure_logging, log_formatter
from .metrics import Metrics
from .observer import Observer
from .org_limits import OrgLimits
from .pause_requests import Pause, PauseSwitch
from .pauses import Pauses
from .progress import Progress, ProgressLine, ProgressReader, progress
from .queue_sampler import QueueState
from .rate import Rate
from .region_concurrency import RegionConcurrency, in_region
from .results import record_result
from .retries import Retries, ends_with
from .tracing import Tracing

__version__ = "0.1.0"

__all__ = [
    "AttemptRecord",
    "BreakerRule",
    "Callbacks",
    "Cancellation",
    "Cancellations",
    "Cancelled",
    "CircuitBreakers",
    "Contracts",
    "Criteria",
    "Cron",
    "DeadLetter",
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
    "InHand",
    "InvalidPayload",
    "LogContext",
    "Metrics",
    "MisplacedGuard",
    "Observer",
    "OrgLimits",
    "Outcome",
    "Parked",
    "Pause",
    "PauseSwitch",
    "Pauses",
    "Progress",
    "ProgressLine",
    "ProgressReader",
    "QueueState",
    "Rate",
    "RateLimited",
    "RegionConcurrency",
    "Replays",
    "Retries",
    "Skipped",
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
    "ends_with",
    "in_region",
    "json_schemas",
    "log_formatter",
    "progress",
    "record_result",
    "remaining",
    "remove_metric_handler",
]
