"""The guard stack of the platform: one annotated list, outermost first."""

from collections.abc import Callable
from functools import partial

import redis
from dramatiq.middleware import CurrentMessage, Middleware, Pipelines

from app.settings import Settings
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
    configure_logging,
)
from middleware.backends.redis.cancellation import RedisCancellationStore
from middleware.backends.redis.cron import RedisCronStore
from middleware.backends.redis.dead_letter_spool import RedisDeadLetterSpool
from middleware.backends.redis.idempotency import RedisIdempotencyStore
from middleware.backends.redis.org_limits import RedisOrgLimitsStore
from middleware.backends.redis.progress import RedisProgressStore

from .readiness import Readiness
from .redis import NAMESPACE
from .stores import dead_letter_store, history_store


def build_stack(settings: Settings, client: redis.Redis, breakers: CircuitBreakers) -> list[Middleware]:
    """Every guard, each with its reason to stand where it stands; workers check the order when they boot.

    Parameters:
        settings: limits, region and where the stores are.
        client: of the Redis that the guards' stores share.
        breakers: the process's own, which jobs use too.
    """
    stack: list[Middleware] = [
        LogContext(
            configure=_logging(settings)
        ),  # every line below carries the message's ids, none a payload
        Tracing(),  # the span covers all that follows; costs nothing until an SDK is configured
        Metrics(),  # counts what really happened, skips and parks included
        History(history_store(settings)),  # one row an attempt, written off the job's path
        DeadLetters(  # keeps whatever is rejected below, in Redis first and then in the database
            dead_letter_store(settings), spool=RedisDeadLetterSpool(client, prefix=NAMESPACE)
        ),
        Contracts(),  # nothing below ever sees a payload that does not fit
        Cancellation(RedisCancellationStore(client, prefix=NAMESPACE)),  # costs no claim, slot or trial
        breakers,  # what cannot run now should not take a claim
        Idempotency(RedisIdempotencyStore(client, prefix=NAMESPACE)),  # a duplicate should not take a slot
        OrgLimits(  # slots are the scarcest, so they are taken last
            RedisOrgLimitsStore(client, prefix=NAMESPACE), max_active=settings.max_active_jobs_per_org
        ),
        RegionConcurrency(region=settings.region, max_concurrency=settings.worker_threads),
        Cron(RedisCronStore(client, prefix=NAMESPACE)),  # each tick once
        Progress(RedisProgressStore(client, prefix=NAMESPACE)),  # says `running` when everything has agreed
        Deadlines(),  # the clock starts last; does the work of TimeLimit, AgeLimit and ShutdownNotifications
        CurrentMessage(),
        Callbacks(),  # before Retries: it sees whether the message failed for good
        Pipelines(),
        Retries(),  # last: its after-hook runs first
    ]
    if settings.ready_dir is not None:
        stack.append(Readiness(settings.ready_dir))
    return stack


def _logging(settings: Settings) -> Callable[[], None]:
    return partial(configure_logging, json=settings.log_format == "json", level=settings.log_level)
