"""What tests of guards do with brokers."""

from typing import Any
from uuid import uuid4

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware

from broker import FairRedisBroker
from broker.keys import split_record


def replace_stack(broker: dramatiq.Broker, *middleware: Middleware) -> None:
    """Give the broker exactly this middleware, outermost first; before any actor is declared."""
    broker.middleware.clear()
    broker.actor_options.clear()
    for each in middleware:
        broker.add_middleware(each)
    broker.emit_after("process_boot")


def close(broker: dramatiq.Broker) -> None:
    """Close it with its connections, which Dramatiq's own broker leaves to chance."""
    broker.close()
    if isinstance(broker, RedisBroker | FairRedisBroker):
        broker.client.connection_pool.disconnect()


def stored(broker: dramatiq.Broker, queue: str) -> list[dramatiq.Message[object]]:
    """What the queue holds, as a worker would decode it."""
    if isinstance(broker, StubBroker):
        return [dramatiq.Message.decode(data) for data in list(broker.queues[queue].queue)]
    if isinstance(broker, FairRedisBroker):
        records = broker.client.hvals(f"{broker.base}:m")
        held = [split_record(record) for record in records if isinstance(record, bytes)]
        return [dramatiq.Message.decode(body) for name, _, _, body in held if name == queue]
    assert isinstance(broker, RedisBroker)
    messages = broker.client.hgetall(f"{broker.namespace}:{queue}.msgs")
    return [dramatiq.Message.decode(bytes(data)) for data in messages.values() if isinstance(data, bytes)]


def dead(broker: dramatiq.Broker, queue: str) -> list[bytes]:
    """What the queue's messages were that were rejected, as they were stored."""
    if isinstance(broker, StubBroker):
        return [each._message.encode() for each in broker.dead_letters if each.queue_name == queue]
    if isinstance(broker, FairRedisBroker):
        records: Any = broker.client.hvals(f"{broker.base}:xm:{queue}")
        return [split_record(each)[3] for each in records]
    assert isinstance(broker, RedisBroker)
    kept: Any = broker.client.hvals(f"{broker.namespace}:{queue}.XQ.msgs")
    return list(kept)


def redis_prefix(broker: dramatiq.Broker) -> str | None:
    """What a store's keys may begin with that is on the broker's own server; None where it has none."""
    if isinstance(broker, FairRedisBroker):
        return broker.base
    return f"t{uuid4().hex}" if isinstance(broker, RedisBroker) else None


def work(broker: dramatiq.Broker, queue: str, *, threads: int = 1) -> None:
    """Let one worker empty the queue, delayed messages included."""
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=threads)
    worker.start()
    try:
        drain(broker, queue)
        worker.join()
    finally:
        worker.stop()


def drain(broker: dramatiq.Broker, queue: str) -> None:
    """Wait for the queue to be empty, delayed messages included."""
    if isinstance(broker, StubBroker):
        broker.join(queue, timeout=10_000, fail_fast=False)
    else:
        broker.join(queue, timeout=10_000)
