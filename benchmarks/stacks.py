"""The stacks that are measured: bare Dramatiq, each guard alone on it, and the platform's whole stack."""

from collections.abc import Callable

import redis
from dramatiq.middleware import CurrentMessage, Middleware, default_middleware

from middleware import (
    Callbacks,
    Cancellation,
    CircuitBreakers,
    Contracts,
    Cron,
    DeadLetters,
    Deadlines,
    History,
    Idempotency,
    LogContext,
    Metrics,
    OrgLimits,
    Progress,
    RegionConcurrency,
    Retries,
    Tracing,
)
from middleware.cancellation.redis import RedisCancellationStore
from middleware.circuit_breakers.redis import RedisCircuitBreakerStore
from middleware.cron.redis import RedisCronStore
from middleware.dead_letters.redis import RedisDeadLetterStore
from middleware.dead_letters.redis_spool import RedisDeadLetterSpool
from middleware.history.redis import RedisHistoryStore
from middleware.idempotency.redis import RedisIdempotencyStore
from middleware.org_limits.redis import RedisOrgLimitsStore
from middleware.progress.redis import RedisProgressStore

BARE = "bare Dramatiq"

Make = Callable[[redis.Redis, str], Middleware]

_GUARDS: dict[str, Make] = {
    "LogContext": lambda _client, _prefix: LogContext(),
    "Tracing": lambda _client, _prefix: Tracing(),
    "Metrics": lambda _client, _prefix: Metrics(),
    "History": lambda client, prefix: History(RedisHistoryStore(client, prefix=prefix)),
    "DeadLetters": lambda client, prefix: DeadLetters(
        RedisDeadLetterStore(client, prefix=prefix), spool=RedisDeadLetterSpool(client, prefix=prefix)
    ),
    "Contracts": lambda _client, _prefix: Contracts(),
    "Cancellation": lambda client, prefix: Cancellation(RedisCancellationStore(client, prefix=prefix)),
    "CircuitBreakers": lambda client, prefix: CircuitBreakers(
        RedisCircuitBreakerStore(client, prefix=prefix)
    ),
    "Idempotency": lambda client, prefix: Idempotency(RedisIdempotencyStore(client, prefix=prefix)),
    "OrgLimits": lambda client, prefix: OrgLimits(RedisOrgLimitsStore(client, prefix=prefix)),
    "RegionConcurrency": lambda _client, _prefix: RegionConcurrency(),
    "Cron": lambda client, prefix: Cron(RedisCronStore(client, prefix=prefix)),
    "Progress": lambda client, prefix: Progress(RedisProgressStore(client, prefix=prefix)),
    "Deadlines": lambda _client, _prefix: Deadlines(),
    "Callbacks": lambda _client, _prefix: Callbacks(),
    "Retries": lambda _client, _prefix: Retries(),
}

#: Dramatiq's own that a guard does the work of.
_REPLACED = {"Retries": "Retries", "Callbacks": "Callbacks"}

WHOLE = "the whole stack"
WHOLE_WITH_KEYS = "the whole stack, with keys"

#: Every stack, in the order of the table.
NAMES = (BARE, *_GUARDS, "Idempotency, with keys", WHOLE, WHOLE_WITH_KEYS)


def stack(name: str, client: redis.Redis, prefix: str) -> list[Middleware]:
    """The middleware of one stack, outermost first.

    Parameters:
        name: one of NAMES.
        client: for the guards' stores.
        prefix: begins the stores' keys.
    """
    plain = [make() for make in default_middleware]
    if name == BARE:
        return plain
    if name in (WHOLE, WHOLE_WITH_KEYS):
        made = {guard: make(client, prefix) for guard, make in _GUARDS.items()}
        last = [made.pop("Callbacks"), made.pop("Retries")]
        return [*made.values(), CurrentMessage(), *last]
    guard = name.partition(",")[0]
    kept = [each for each in plain if type(each).__name__ != _REPLACED.get(guard)]
    return [*kept, _GUARDS[guard](client, prefix)]
