"""Three guards on a plain RedisBroker, for an app that has nothing else of Pressroom. REDIS_URL says where Redis is."""

import os
from uuid import uuid4

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from pressroom import Contracts, Idempotency, InvalidPayload, OrgLimits, Rate, actor
from pressroom.redis import RedisIdempotencyStore, RedisOrgLimitsStore
from pydantic import BaseModel

client = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
broker = RedisBroker(client=client)
broker.add_middleware(Contracts())
broker.add_middleware(Idempotency(RedisIdempotencyStore(client)))
broker.add_middleware(OrgLimits(RedisOrgLimitsStore(client), max_active=2))


class Invoice(BaseModel):
    org_id: str
    number: int
    idempotency_key: str


@actor(broker=broker, rate=Rate(20, per="1s"))
def send_invoice(invoice: Invoice) -> None:
    print(f"invoice {invoice.number} of {invoice.org_id} is sent")


if __name__ == "__main__":
    key = uuid4().hex
    for _ in range(3):  # an impatient user clicks three times: one invoice is sent
        send_invoice.send(Invoice(org_id="acme", number=7, idempotency_key=key))
    try:
        send_invoice.send({"org_id": "acme", "number": "seven", "idempotency_key": key})
    except InvalidPayload as error:
        print(error)
    worker = dramatiq.Worker(broker, worker_timeout=100)
    worker.start()
    broker.join(send_invoice.queue_name)
    worker.stop()
