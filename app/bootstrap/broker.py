"""The broker with the guard stack."""

from app.settings import Settings
from broker import FairRedisBroker
from middleware import __version__

from .breakers import circuit_breakers
from .redis import NAMESPACE, redis_client
from .stack import build_stack
from .worker.routing import org_regions, route_to_region

#: How long the broker keeps its own dead letters, as they came, secrets included. Those of `DeadLetters` are there
#: before, redacted.
DEAD_MESSAGE_TTL_MS = 60 * 60 * 1_000


def build_broker(settings: Settings) -> FairRedisBroker:
    """The broker with its middleware. Opens no connection.

    Parameters:
        settings: says where Redis is. Without it, the first use of the broker raises `redis.ConnectionError`
            with what to do.
    """
    client = redis_client(settings)
    broker = FairRedisBroker(
        client=client,
        namespace=NAMESPACE,
        middleware=build_stack(settings, client, circuit_breakers(client)),
        dead_message_ttl=DEAD_MESSAGE_TTL_MS,
        max_org_depth=settings.max_org_depth or None,
        max_queue_depth=settings.max_queue_depth or None,
        max_org_bytes=settings.max_org_bytes or None,
        max_queue_bytes=settings.max_queue_bytes or None,
        route=route_to_region(org_regions(settings, client)),
    )
    region = {} if settings.region is None else {"region": settings.region}
    broker.worker_facts = {"version": __version__, **region}
    return broker
