"""The guard stack of the platform. Each guard says itself where it stands, and why: `middleware/base/stack.py`."""

from collections.abc import Callable
from functools import partial

import redis
from dramatiq.middleware import CurrentMessage, Middleware, Pipelines

from app.settings import Settings, variable
from broker.keys import base_key
from middleware import (
    Callbacks,
    Cancellation,
    CircuitBreakers,
    Contracts,
    Cron,
    DeadLetters,
    Deadlines,
    Draining,
    History,
    Idempotency,
    LogContext,
    Metrics,
    OrgLimits,
    Pauses,
    Progress,
    RegionConcurrency,
    Retries,
    Tracing,
    configure_logging,
    in_order,
)
from middleware.cancellation.redis import RedisCancellationStore
from middleware.cron.redis import RedisCronStore
from middleware.dead_letters.redis_spool import RedisDeadLetterSpool
from middleware.idempotency.redis import RedisIdempotencyStore
from middleware.org_limits.redis import RedisOrgLimitsStore
from middleware.pauses.redis import RedisPauseStore
from middleware.progress.redis import RedisProgressStore

from .redis import NAMESPACE
from .stores import Stores
from .worker.heartbeat import Heartbeat
from .worker.lifecycle import Lifecycle
from .worker.org_shares import tell_shares
from .worker.outbox import relay_outbox
from .worker.periodic_tasks import BackgroundTasks
from .worker.schedules import fire_schedules

#: What each guard may take to write what it has left when a worker stops; all of them fit into `FLUSH_S`.
_LAST_WORDS_S = 1.5


def build_stack(settings: Settings, client: redis.Redis, breakers: CircuitBreakers) -> list[Middleware]:
    """Make every guard of the platform with its store, and put them in order.

    Parameters:
        settings: limits, region and where the stores are.
        client: of the Redis that the guards' stores share.
        breakers: the process's own, which jobs use too.
    """
    stores = Stores(settings)
    draining = Draining(drain_s=settings.drain_s)
    deadlines = Deadlines(
        grace_ms=settings.stuck_grace_s * 1_000, frozen_after_ms=settings.frozen_after_s * 1_000
    )
    stack: list[Middleware] = [
        Lifecycle(  # its after-hook is the last: it decides the exit code
            draining,
            missing=[
                variable(each) for each in ("database_url", "redis_url") if getattr(settings, each) is None
            ],
        ),
        Heartbeat(settings.ready_folder, deadlines=deadlines, draining=draining),  # until all have stopped
        stores,  # closes its connections when those below have written their last
        LogContext(configure=_logging(settings)),
        Tracing(),  # costs nothing until an SDK is configured
        Metrics(),
        History(stores.history, shutdown_timeout_s=_LAST_WORDS_S),
        DeadLetters(  # in Redis first and then in the database
            stores.dead_letters,
            spool=RedisDeadLetterSpool(client, prefix=NAMESPACE),
            shutdown_timeout_s=_LAST_WORDS_S,
        ),
        Contracts(),
        Cancellation(RedisCancellationStore(client, prefix=NAMESPACE)),
        Pauses(RedisPauseStore(client, prefix=NAMESPACE)),
        breakers,
        # In the broker's own hash slot, so that a claim ends in the very call that ends its message.
        Idempotency(RedisIdempotencyStore(client, prefix=base_key(NAMESPACE))),
        OrgLimits(
            RedisOrgLimitsStore(client, prefix=NAMESPACE),
            max_active=settings.max_active_jobs_per_org,
            lease_ms=int(settings.slot_lease_s * 1_000),
            wait_ms=int(settings.slot_lease_s * 500),
        ),
        RegionConcurrency(region=settings.region, max_concurrency=settings.worker_threads),
        Cron(RedisCronStore(client, prefix=NAMESPACE)),
        Progress(RedisProgressStore(client, prefix=NAMESPACE), shutdown_timeout_s=_LAST_WORDS_S),
        deadlines,
        draining,
        CurrentMessage(),
        Callbacks(),
        Pipelines(),
        Retries(),
    ]
    if settings.database_url is not None:
        # Beside the jobs, in a thread of every worker: nothing here sees a message.
        stack.append(
            BackgroundTasks(
                settings,
                {
                    "schedules": fire_schedules,
                    "outbox": relay_outbox,
                    "org_shares": partial(tell_shares, client),
                },
            )
        )
    return in_order(stack)


def _logging(settings: Settings) -> Callable[[], None]:
    return partial(configure_logging, json=settings.log_format == "json", level=settings.log_level)
