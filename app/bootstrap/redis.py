"""The platform's Redis client."""

from typing import NoReturn

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from app.settings import Settings
from broker.clients import client_from_url, own_client
from broker.sentinel import is_sentinel_url

#: Begins every key of the platform's.
NAMESPACE = "pressroom"
#: How often a command is repeated after a lost connection, and how long one may take.
RETRIES = 3
TIMEOUT_S = 10.0


def redis_client(settings: Settings) -> redis.Redis:
    """A client that connects when first used; where no Redis is named, that raises with what to do.

    Raises:
        UnsupportedConnection: no connection can be made as the URL says.
    """
    if settings.redis_url is None:
        return redis.Redis(connection_pool=redis.ConnectionPool(connection_class=_NoServer))
    url = settings.redis_url.get_secret_value()
    # Through Sentinel its own ones: another server is promoted long before these are over.
    timeouts_s = (
        {} if is_sentinel_url(url) else {"socket_connect_timeout": TIMEOUT_S, "socket_timeout": TIMEOUT_S}
    )
    # The default waits for up to ten seconds before each of three retries, in the middle of a job.
    retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), RETRIES)
    # Ours, so that no option of the URL changes what answers are.
    return own_client(client_from_url(url, retry=retry, **timeouts_s))


class _NoServer(redis.Connection):
    """Stands where no Redis is named, so that importing works and using says what to do."""

    def connect(self) -> NoReturn:
        raise redis.ConnectionError("no Redis: set REDIS_URL, or start `python -m app up`")
