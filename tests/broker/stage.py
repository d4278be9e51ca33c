"""What tests of the broker do with workers, and how they look at what is stored."""

from collections.abc import Iterator
from contextlib import contextmanager

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import BrokerConnectionError

from broker import FairRedisBroker
from broker.leases import LeasedMessage

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


def dead(client: "redis.Redis", broker: FairRedisBroker, queue: str = "default") -> int:
    """How many dead letters the queue has."""
    count: int = client.zcard(f"{broker.base}:xq:{queue}")
    return count


def places(client: "redis.Redis", broker: FairRedisBroker, queue: str = "default") -> dict[str, int]:
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


def left_for_ever(client: "redis.Redis", broker: FairRedisBroker) -> list[bytes]:
    """Keys that nothing would ever remove."""
    return [key for key in client.scan_iter(f"{broker.base}:*") if client.ttl(key) < 0]
