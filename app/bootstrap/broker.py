"""The broker with its middleware."""

from dramatiq import Broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import (
    AgeLimit,
    Callbacks,
    CurrentMessage,
    Middleware,
    Pipelines,
    Retries,
    ShutdownNotifications,
    TimeLimit,
)

from app.settings import Settings
from middleware import Contracts

from .readiness import Readiness
from .redis import NAMESPACE, redis_client


def build_broker(settings: Settings) -> Broker:
    """The broker with its middleware, outermost first. Opens no connection.

    Parameters:
        settings: says where Redis is. Without it, the first use of the broker raises `redis.ConnectionError`
            with what to do.
    """
    middleware: list[Middleware] = [
        Contracts(),  # first: nothing below ever sees a payload that does not fit
        AgeLimit(),
        TimeLimit(),
        ShutdownNotifications(),
        CurrentMessage(),
        Callbacks(),
        Pipelines(),
        Retries(),  # last: its after-hook runs first, so the others see a message that failed for good
    ]
    if settings.ready_dir is not None:
        middleware.append(Readiness(settings.ready_dir))
    client = redis_client(settings)
    return RedisBroker(client=client, namespace=NAMESPACE, middleware=middleware)  # type: ignore[no-untyped-call]
