"""The broker with the guard stack."""

from dramatiq import Broker
from dramatiq.brokers.redis import RedisBroker

from app.settings import Settings

from .breakers import circuit_breakers
from .redis import NAMESPACE, redis_client
from .stack import build_stack

#: How long Dramatiq's own dead-letter queue keeps what it rejected, as it came, secrets included. Ours has it,
#: redacted, before that.
DEAD_MESSAGE_TTL_MS = 60 * 60 * 1_000


def build_broker(settings: Settings) -> Broker:
    """The broker with its middleware. Opens no connection.

    Parameters:
        settings: says where Redis is. Without it, the first use of the broker raises `redis.ConnectionError`
            with what to do.
    """
    client = redis_client(settings)
    return RedisBroker(  # type: ignore[no-untyped-call]
        client=client,
        namespace=NAMESPACE,
        middleware=build_stack(settings, client, circuit_breakers(client)),
        dead_message_ttl=DEAD_MESSAGE_TTL_MS,
    )
