"""Dramatiq's own Redis broker beside a fair one, on one server."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.brokers.redis import RedisBroker

from app.embedded import Servers
from broker import FairRedisBroker
from broker.drain.dramatiq_queues import DramatiqDrain, MovedCounts
from tests.middleware.brokers import close


@pytest.fixture
def vanilla(servers: Servers) -> Iterator[RedisBroker]:
    """In a namespace of its own, with a queue."""
    made = RedisBroker(url=servers.redis_url, namespace=f"s{uuid4().hex}")  # type: ignore[no-untyped-call]
    made.declare_queue("default")
    yield made
    close(made)


@pytest.fixture
def drain(fair: FairRedisBroker, vanilla: RedisBroker) -> DramatiqDrain:
    """From the one to the other; portions small enough for several."""
    return DramatiqDrain(fair, namespace=vanilla.namespace, batch=7)


def send(
    broker: dramatiq.Broker, *args: object, actor: str = "job", delay: int | None = None, **options: Any
) -> Any:
    """One message, whether or not the broker knows the actor; as it was sent."""
    message: dramatiq.Message[Any] = dramatiq.Message(
        queue_name="default", actor_name=actor, args=args, kwargs={}, options=options
    )
    return broker.enqueue(message, delay=delay)


def drained(drain: DramatiqDrain, queue: str = "default", *, dead: bool = False) -> MovedCounts:
    """All of a queue."""
    return sum(drain.drain(queue, dead=dead), MovedCounts())


def fetched(consumer: dramatiq.broker.Consumer) -> dramatiq.broker.MessageProxy:
    """The next message, which has to be there."""
    message = next(consumer)
    assert message is not None
    return message
