"""What tests of the broker do with workers, and how they look at what is stored."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import BrokerConnectionError

from broker import FairRedisBroker
from broker.keys import base_key, split_record
from broker.leasing.lease import LeasedMessage

#: How long a test waits for a queue to be empty, in milliseconds.
PATIENCE_MS = 20_000


@contextmanager
def started(broker: dramatiq.Broker, *, threads: int = 1) -> Iterator[dramatiq.Worker]:
    """A worker at work."""
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=threads)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def run_all(broker: FairRedisBroker | RedisBroker, queue: str = "default", *, threads: int = 1) -> None:
    """Let one worker empty the queue."""
    with started(broker, threads=threads):
        while True:
            try:
                broker.join(queue, timeout=PATIENCE_MS)
            except (redis.ConnectionError, BrokerConnectionError):
                continue  # the test has cut it
            return


def take(consumer: dramatiq.broker.Consumer) -> LeasedMessage:
    """The next message, which has to be there."""
    message = next(consumer)
    assert isinstance(message, LeasedMessage)
    return message


def all_of(consumer: dramatiq.broker.Consumer) -> list[LeasedMessage]:
    """What it hands out until it says that there is nothing."""
    held = []
    while (message := next(consumer)) is not None:
        assert isinstance(message, LeasedMessage)
        held.append(message)
    return held


def dead(client: "redis.Redis", broker: FairRedisBroker, queue: str = "default") -> int:
    """How many dead letters the queue has."""
    count: int = client.zcard(f"{broker.base}:xq:{queue}")
    return count


def folders(client: "redis.Redis", broker: FairRedisBroker, queue: str = "default") -> dict[str, int]:
    """How many of the queue's messages are where."""
    ready = sum(client.llen(key) for key in client.scan_iter(f"{broker.base}:l:{queue}:*"))
    leased = sum(client.hlen(key) for key in client.scan_iter(f"{broker.base}:lease:*"))
    counts = {
        "ready": ready,
        "delayed": client.zcard(f"{broker.base}:qd:{queue}"),
        "leased": leased,
        "dead": dead(client, broker, queue),
    }
    return {place: int(count) for place, count in counts.items() if count}


def stored(client: "redis.Redis", namespace: str, queue: str = "default") -> list[dict[str, Any]]:
    """The queue's messages that are not dead, as they were encoded, in no order."""
    kept = client.hgetall(f"{base_key(namespace)}:m").values()
    records = [split_record(record) for record in kept if isinstance(record, bytes)]
    return [json.loads(body) for where, _, _, body in records if where == queue]


def left_for_ever(client: "redis.Redis", broker: FairRedisBroker) -> list[bytes]:
    """Keys that nothing would ever remove, but for the number of the schema."""
    number = f"{broker.base}:schema".encode()
    return [key for key in client.scan_iter(f"{broker.base}:*") if client.ttl(key) < 0 and key != number]
