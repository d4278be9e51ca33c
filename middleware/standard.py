"""All guards at once, with their stores in one Redis: for whoever wants them and has no reason to choose."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, TypedDict, Unpack, cast

import dramatiq.middleware
from dramatiq.middleware import CurrentMessage, Middleware, Pipelines

from .base.stack import in_order
from .callbacks import Callbacks
from .cancellation.guard import Cancellation
from .circuit_breakers.guard import CircuitBreakers
from .contracts.guard import Contracts
from .cron.guard import Cron
from .dead_letters.guard import DeadLetters
from .deadlines.guard import Deadlines
from .draining import Draining
from .history.guard import History
from .idempotency.guard import Idempotency
from .logs.guard import LogContext
from .metrics.guard import Metrics
from .org_limits.guard import OrgLimits
from .pauses.guard import Pauses
from .progress.guard import Progress
from .region_concurrency.guard import RegionConcurrency
from .retries import Retries
from .tracing import Tracing

if TYPE_CHECKING:
    import redis


class StandardParts(TypedDict, total=False):
    """The parts of a standard stack, by name."""

    metrics: Metrics
    history: History
    dead_letters: DeadLetters
    contracts: Contracts
    cancellation: Cancellation
    pauses: Pauses
    circuit_breakers: CircuitBreakers
    idempotency: Idempotency
    org_limits: OrgLimits
    cron: Cron
    progress: Progress
    deadlines: Deadlines
    draining: Draining
    current_message: CurrentMessage
    callbacks: dramatiq.middleware.Callbacks
    pipelines: Pipelines
    retries: dramatiq.middleware.Retries
    #: From here on parts that are only there when they are given: these two need another package,
    log_context: LogContext
    tracing: Tracing
    #: this one has to know how many threads its process has,
    region_concurrency: RegionConcurrency
    #: and these are Dramatiq's, for coroutines and for groups.
    async_io: dramatiq.middleware.AsyncIO
    group_callbacks: dramatiq.middleware.GroupCallbacks


def standard_guards(
    client: "redis.Redis", *, without: Collection[str] = (), **parts: Unpack[StandardParts]
) -> list[Middleware]:
    """Make a whole stack that needs nothing besides one Redis, in the order that works.

    Parameters:
      client: A redis-py client of the Redis that keeps what the guards remember, under `pressroom:`.
      without: Names of parts to leave out. Default none.
      parts: Parts to use instead of those that would be made, or in addition, by name: see `StandardParts`.

    Raises:
      ValueError: There is no part of that name, or one is given and left out.
      ImportError: redis-py is missing; install `pressroom[redis]`.

    Example:
      >>> broker = RedisBroker(middleware=standard_guards(client, retries=Retries(max_retries=5), without=["cron"]))
    """
    given = cast("dict[str, Middleware]", parts)
    known = StandardParts.__annotations__
    unknown = sorted({*without, *given} - set(known))
    if unknown:
        raise ValueError(f"there is no part {', '.join(unknown)}; the parts are {', '.join(known)}")
    both = sorted(set(given) & set(without))
    if both:
        raise ValueError(f"{', '.join(both)} cannot be given and be left out")
    made = {name: make() for name, make in _factories(client).items() if name not in {*without, *given}}
    return in_order([*made.values(), *given.values()])


def _factories(client: "redis.Redis") -> dict[str, Callable[[], Middleware]]:
    # Here and not above: who uses no store in Redis need not have redis-py.
    from .cancellation.redis import RedisCancellationStore
    from .circuit_breakers.redis import RedisCircuitBreakerStore
    from .cron.redis import RedisCronStore
    from .dead_letters.redis import RedisDeadLetterStore
    from .history.redis import RedisHistoryStore
    from .idempotency.redis import RedisIdempotencyStore
    from .org_limits.redis import RedisOrgLimitsStore
    from .pauses.redis import RedisPauseStore
    from .progress.redis import RedisProgressStore

    return {
        "metrics": Metrics,
        "history": lambda: History(RedisHistoryStore(client)),
        "dead_letters": lambda: DeadLetters(RedisDeadLetterStore(client)),
        "contracts": Contracts,
        "cancellation": lambda: Cancellation(RedisCancellationStore(client)),
        "pauses": lambda: Pauses(RedisPauseStore(client)),
        "circuit_breakers": lambda: CircuitBreakers(RedisCircuitBreakerStore(client)),
        "idempotency": lambda: Idempotency(RedisIdempotencyStore(client)),
        "org_limits": lambda: OrgLimits(RedisOrgLimitsStore(client)),
        "cron": lambda: Cron(RedisCronStore(client)),
        "progress": lambda: Progress(RedisProgressStore(client)),
        "deadlines": Deadlines,
        "draining": Draining,
        "current_message": CurrentMessage,
        "callbacks": Callbacks,
        "pipelines": Pipelines,
        "retries": Retries,
    }
