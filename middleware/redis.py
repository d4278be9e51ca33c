"""Every store on Redis or Valkey."""

try:
    from .cancellation.redis import RedisCancellationStore
    from .circuit_breakers.redis import RedisCircuitBreakerStore
    from .cron.redis import RedisCronStore
    from .dead_letters.redis import RedisDeadLetterBox, RedisDeadLetterStore
    from .dead_letters.redis_spool import RedisDeadLetterSpool
    from .history.redis import RedisHistoryStore
    from .idempotency.redis import RedisIdempotencyStore
    from .org_limits.redis import RedisOrgLimitsStore
    from .pauses.redis import RedisPauseStore
    from .progress.redis import RedisProgressStore
except ModuleNotFoundError as error:
    if error.name != "redis":
        raise
    raise ImportError("the stores on Redis need the package redis: pip install 'pressroom[redis]'") from error

__all__ = [
    "RedisCancellationStore",
    "RedisCircuitBreakerStore",
    "RedisCronStore",
    "RedisDeadLetterBox",
    "RedisDeadLetterSpool",
    "RedisDeadLetterStore",
    "RedisHistoryStore",
    "RedisIdempotencyStore",
    "RedisOrgLimitsStore",
    "RedisPauseStore",
    "RedisProgressStore",
]
