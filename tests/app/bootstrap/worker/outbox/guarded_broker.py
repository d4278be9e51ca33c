"""A real broker with the guards that make a message which is sent twice run once, and an actor to send to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware
from sqlalchemy import Engine

from adapters.database.unit_of_work import UnitOfWork
from app.bootstrap.worker.outbox import build_outbox
from middleware import Contracts, Retries
from middleware.idempotency.guard import Idempotency
from middleware.idempotency.redis import RedisIdempotencyStore
from middleware.org_limits.guard import OrgLimits
from middleware.org_limits.redis import RedisOrgLimitsStore
from tests.adapters.outbox.letters import Letter
from tests.tenants import Tenant


@contextmanager
def guarded_broker(
    redis_url: str, namespace: str, deliver: Callable[[Letter], None], *more: Middleware
) -> Iterator[RedisBroker]:
    """A broker whose actor `deliver` does what it is given.

    Parameters:
        redis_url: of the server.
        namespace: begins every key.
        deliver: what the actor does.
        more: middleware that stands behind the guards.
    """
    client: Any = redis.Redis.from_url(redis_url)
    broker = RedisBroker(  # type: ignore[no-untyped-call]
        client=client,
        namespace=namespace,
        middleware=[
            Contracts(),
            Idempotency(RedisIdempotencyStore(client, prefix=namespace), park_ms=50),
            OrgLimits(RedisOrgLimitsStore(client, prefix=namespace)),
            *more,
            Retries(max_retries=0),
        ],
    )
    broker.emit_after("process_boot")

    def deliver_letter(letter: Letter) -> None:
        deliver(letter)

    dramatiq.actor(broker=broker, actor_name="deliver")(deliver_letter)
    try:
        yield broker
    finally:
        broker.close()
        client.close()


def commit_letters(engine: Engine, broker: dramatiq.Broker, tenant: Tenant, count: int) -> list[UUID]:
    """Letters 0 to `count - 1` in one transaction; their ids."""
    outbox = build_outbox(lambda: broker)
    with UnitOfWork(engine, tenant.org_id) as unit:
        return [
            outbox.send(unit, "deliver", Letter(org_id=tenant.org_id, number=number))
            for number in range(count)
        ]
