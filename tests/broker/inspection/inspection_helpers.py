"""What tests of looking into a broker do to it."""

import json
from typing import Any
from uuid import uuid4

import dramatiq
from dramatiq import Message

from broker import FairRedisBroker
from broker.inspection.admin import Operations
from broker.inspection.inspector import Inspector
from broker.leasing.lease import LeasedMessage
from broker.scripts import Script
from tests.broker.workers import take


def inspector(broker: FairRedisBroker) -> Inspector:
    """Of the broker."""
    return Inspector(broker.client, broker.base)


def operations(broker: FairRedisBroker) -> Operations:
    """On the broker."""
    return Operations(broker.client, broker.base)


def send(
    broker: FairRedisBroker,
    *,
    actor: str = "resize",
    queue: str = "images",
    org: str | None = "acme",
    delay: int | None = None,
    **options: object,
) -> Message[Any]:
    """A message, sent as actors send them."""
    owner = {} if org is None else {"org": org}
    message: Message[Any] = Message(
        queue_name=queue, actor_name=actor, args=(), kwargs={}, options={**owner, **options}
    )
    return broker.enqueue(message, delay=delay)


def park(broker: FairRedisBroker, cause: str, key: str | None, *, delay_ms: int = 60_000) -> Message[Any]:
    """A message that was put off by something."""
    message: Message[Any] = Message(
        queue_name="images", actor_name="resize", args=(), kwargs={}, options={"org": "acme"}
    )
    broker.park(message, delay_ms=delay_ms, cause=cause, key=key)
    return message


def fetched(broker: FairRedisBroker, queue: str = "images") -> LeasedMessage:
    """The next message, in the hands of this process, which knows every actor."""
    (message,) = fetch(broker, 1, queue)
    return message


def fetch(broker: FairRedisBroker, count: int, queue: str = "images") -> list[LeasedMessage]:
    """The next messages."""
    if "resize" not in broker.actors:
        for name in ("resize", "crop"):
            dramatiq.actor(broker=broker, actor_name=name, queue_name="images")(_never)
    consumer = broker.consume(queue, prefetch=count, timeout=5_000)
    return [take(consumer) for _ in range(count)]


def serving(
    broker: FairRedisBroker, *queues: str, threads: int = 2, silent: bool = False, **about: object
) -> str:
    """A worker of another process that says what it serves; its id."""
    worker_id = uuid4().hex
    broker.client.zadd(f"{broker.base}:workers", {worker_id: 1 if silent else broker.server_now_ms()})
    said = {"pid": 7, "host": "h", "version": "1", "threads": threads, "queues": queues, **about}
    Script("publish_worker")(broker.client, broker.base, [worker_id, json.dumps(said)])
    return worker_id


def reclaim(broker: FairRedisBroker) -> None:
    """What a beat of another worker does: it looks after one that is dead."""
    Script("finish")(broker.client, broker.base, [uuid4().hex, 14_000, 60_000, 0, 0])


def _never() -> None:
    """Is not run."""
