"""Dead letters, and what becomes one, for tests."""

from typing import Any
from uuid import uuid4

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker

from broker import FairRedisBroker
from middleware.dead_letters.letter import DeadLetter


def a_letter(**over: Any) -> DeadLetter:
    """A letter like many, of an org and with an id of its own."""
    plain: dict[str, Any] = {
        "id": str(uuid4()),
        "org": str(uuid4()),
        "message_id": str(uuid4()),
        "actor": "resize",
        "queue": "images",
        "region": "eu",
        "category": "network",
        "error_class": "builtins.ConnectionError",
        "message": "the site is away",
        "trace": "images/resize.py:12 in resize",
        "fingerprint": "0123456789ab",
        "attempts": 4,
        "contract_version": 2,
        "payload": {"args": [{"image_id": 7, "note": "süß"}], "kwargs": {}},
        "options": {"priority": 5, "region": "eu"},
        "redacted": ("args.0.token",),
        "first_at_ms": 1_750_000_000_001,
        "died_at_ms": 1_750_000_060_123,
    }
    return DeadLetter(**{**plain, **over})


def put_raw(broker: dramatiq.Broker, queue: str, raw: bytes) -> None:
    """Write to the queue what no broker would."""
    if isinstance(broker, StubBroker):
        broker.queues[queue].put(raw)
        return
    if isinstance(broker, FairRedisBroker):

        class Raw(dramatiq.Message[Any]):
            def encode(self) -> bytes:
                return raw

        broker.enqueue(Raw(queue_name=queue, actor_name="raw", args=(), kwargs={}, options={}))
        return
    assert isinstance(broker, RedisBroker)
    redis_id = uuid4().hex
    broker.client.hset(f"{broker.namespace}:{queue}.msgs", redis_id, raw)
    broker.client.rpush(f"{broker.namespace}:{queue}", redis_id)
