"""Guards for Dramatiq: one cross-cutting concern a room, each usable alone on any broker."""

from .actors import ActorDecorator, ActorOptions, ContractActor, JobOptions, MessageOptions, TypedActor, actor
from .base.attempts import Attempt, AttemptOutcome
from .base.delegation import AckOperation
from .base.emit import Kind as MetricKind
from .base.emit import (
    MetricHandler,
    add_metric_handler,
    emit_counter,
    emit_gauge,
    emit_metric,
    emit_timer,
    remove_metric_handler,
)
from .base.errors import (
    DuplicateMessage,
    Fault,
    GuardError,
    InvalidPayload,
    MisplacedGuard,
    Parked,
    RateLimited,
    Skipped,
    StoreUnavailable,
)
from .base.guard import Guard, OnError, Outcome
from .base.interrupts import Cancelled, DeadlineExceeded
from .base.interrupts import Window as InterruptWindow
from .base.observer import Observer
from .base.options import Option
from .base.options import Scope as OptionScope
from .base.poller import Poller
from .base.stack import Position, in_order
from .callbacks import Callbacks
from .cancellation.guard import Cancellation, RunningAttempt, checkpoint
from .cancellation.requests import CancellationClient, CancellationStore, CancelRequest
from .cancellation.requests import Changes as CancellationChanges
from .circuit_breakers.breaker import CircuitBreaker
from .circuit_breakers.breaker import Exclusion as CircuitExclusion
from .circuit_breakers.circuits import Circuits
from .circuit_breakers.circuits import Job as CircuitJob
from .circuit_breakers.errors import CircuitOpen, InvalidDependency
from .circuit_breakers.guard import CircuitBreakers
from .circuit_breakers.state import BreakerRule, BreakerState
from .circuit_breakers.state import State as CircuitState
from .circuit_breakers.state import Verdict as CircuitVerdict
from .circuit_breakers.storage import CircuitStorage
from .circuit_breakers.store import Change as CircuitChange
from .circuit_breakers.store import CircuitBreakerStore
from .circuit_breakers.store import Permit as CircuitPermit
from .circuit_breakers.store import Reading as CircuitReading
from .contracts.guard import Contracts, UnknownVersion, Upcaster, json_schemas
from .cron.fields import CronFields, InvalidSchedule
from .cron.guard import Cron
from .cron.missed_ticks import RunningTick
from .cron.schedule import CronSchedule, OnFold, OnGap, OnMissed, OnOverlap, cron
from .cron.store import Claim as CronClaim
from .cron.store import CronStore
from .cron.store import Look as CronLook
from .dead_letters.guard import (
    DeadLetterBox,
    DeadLetters,
    DeadLetterSpool,
    DeadLetterStore,
    DeadLettersUnavailable,
)
from .dead_letters.letter import DeadLetter
from .dead_letters.letter import Stats as DeadLetterStats
from .dead_letters.replay import (
    AlreadyReplayed,
    DeadLetterFilter,
    DeadLetterReplayer,
    LetterNotFound,
    NeedsEdit,
    NotReplayable,
    ReplayError,
    ReplayReport,
    ReplayUncertain,
)
from .deadlines.guard import Deadlines, Expired, RunningJob, TimedAttempt, remaining
from .draining import Draining
from .history.guard import AttemptRecord, History, HistoryStore
from .history.results import record_result
from .idempotency.guard import Claim as IdempotencyClaim
from .idempotency.guard import ClaimedKey, Idempotency, IdempotencyStore, OnDuplicate
from .logs.format import configure_logging, log_formatter
from .logs.guard import LogContext
from .metrics.emf import EmfHandler
from .metrics.guard import Metrics
from .metrics.prometheus import PrometheusHandler
from .metrics.queue_sampler import QueueProbe, QueueState
from .metrics.statsd import StatsdHandler
from .org_limits.guard import OnLimit, OrgLimits
from .org_limits.rate import Rate
from .org_limits.slots import Answer as SlotAnswer
from .org_limits.slots import Attempt as SlotRequest
from .org_limits.slots import Concurrency, OrgLimitsStore, Slot
from .org_limits.slots import Wake as SlotWake
from .pauses.guard import Pauses
from .pauses.pauses import InForce as PausesInForce
from .pauses.pauses import Pause, PauseControl, PauseStore, PauseTarget
from .progress.guard import JobProgress, Progress, ProgressReader, ProgressState, ProgressStore, progress
from .region_concurrency.guard import RegionConcurrency, in_region
from .retries import Retries, is_final_attempt
from .standard import StandardParts, standard_guards
from .tracing import Tracing

__version__ = "0.1.0"

__all__ = [
    "AckOperation",
    "ActorDecorator",
    "ActorOptions",
    "AlreadyReplayed",
    "Attempt",
    "AttemptOutcome",
    "AttemptRecord",
    "BreakerRule",
    "BreakerState",
    "Callbacks",
    "CancelRequest",
    "Cancellation",
    "CancellationChanges",
    "CancellationClient",
    "CancellationStore",
    "Cancelled",
    "CircuitBreaker",
    "CircuitBreakerStore",
    "CircuitBreakers",
    "CircuitChange",
    "CircuitExclusion",
    "CircuitJob",
    "CircuitOpen",
    "CircuitPermit",
    "CircuitReading",
    "CircuitState",
    "CircuitStorage",
    "CircuitVerdict",
    "Circuits",
    "ClaimedKey",
    "Concurrency",
    "ContractActor",
    "Contracts",
    "Cron",
    "CronClaim",
    "CronFields",
    "CronLook",
    "CronSchedule",
    "CronStore",
    "DeadLetter",
    "DeadLetterBox",
    "DeadLetterFilter",
    "DeadLetterReplayer",
    "DeadLetterSpool",
    "DeadLetterStats",
    "DeadLetterStore",
    "DeadLetters",
    "DeadLettersUnavailable",
    "DeadlineExceeded",
    "Deadlines",
    "Draining",
    "DuplicateMessage",
    "EmfHandler",
    "Expired",
    "Fault",
    "Guard",
    "GuardError",
    "History",
    "HistoryStore",
    "Idempotency",
    "IdempotencyClaim",
    "IdempotencyStore",
    "InterruptWindow",
    "InvalidDependency",
    "InvalidPayload",
    "InvalidSchedule",
    "JobOptions",
    "JobProgress",
    "LetterNotFound",
    "LogContext",
    "MessageOptions",
    "MetricHandler",
    "MetricKind",
    "Metrics",
    "MisplacedGuard",
    "NeedsEdit",
    "NotReplayable",
    "Observer",
    "OnDuplicate",
    "OnError",
    "OnFold",
    "OnGap",
    "OnLimit",
    "OnMissed",
    "OnOverlap",
    "Option",
    "OptionScope",
    "OrgLimits",
    "OrgLimitsStore",
    "Outcome",
    "Parked",
    "Pause",
    "PauseControl",
    "PauseStore",
    "PauseTarget",
    "Pauses",
    "PausesInForce",
    "Poller",
    "Position",
    "Progress",
    "ProgressReader",
    "ProgressState",
    "ProgressStore",
    "PrometheusHandler",
    "QueueProbe",
    "QueueState",
    "Rate",
    "RateLimited",
    "RegionConcurrency",
    "ReplayError",
    "ReplayReport",
    "ReplayUncertain",
    "Retries",
    "RunningAttempt",
    "RunningJob",
    "RunningTick",
    "Skipped",
    "Slot",
    "SlotAnswer",
    "SlotRequest",
    "SlotWake",
    "StandardParts",
    "StatsdHandler",
    "StoreUnavailable",
    "TimedAttempt",
    "Tracing",
    "TypedActor",
    "UnknownVersion",
    "Upcaster",
    "actor",
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

# What is public goes by its public name, in tracebacks and stored letters: a module may move without their noticing.
for _name in __all__:
    _value = globals()[_name]
    if isinstance(_value, type) and _value.__module__.startswith(f"{__name__}.") and _value.__name__ == _name:
        _value.__module__ = __name__
del _name, _value
