"""Every store in memory, for tests and for a single process: what it holds ends with it."""

from .cancellation.memory import MemoryCancellationStore
from .circuit_breakers.memory import MemoryCircuitBreakerStore
from .cron.memory import MemoryCronStore
from .dead_letters.memory import MemoryDeadLetterBox, MemoryDeadLetterStore
from .dead_letters.memory_spool import MemoryDeadLetterSpool
from .history.memory import MemoryHistoryStore
from .idempotency.memory import MemoryIdempotencyStore
from .org_limits.memory import MemoryOrgLimitsStore
from .pauses.memory import MemoryPauseStore
from .progress.memory import MemoryProgressStore

__all__ = [
    "MemoryCancellationStore",
    "MemoryCircuitBreakerStore",
    "MemoryCronStore",
    "MemoryDeadLetterBox",
    "MemoryDeadLetterSpool",
    "MemoryDeadLetterStore",
    "MemoryHistoryStore",
    "MemoryIdempotencyStore",
    "MemoryOrgLimitsStore",
    "MemoryPauseStore",
    "MemoryProgressStore",
]
