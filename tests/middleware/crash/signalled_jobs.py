"""Jobs with an event loop beside them, for `python -m dramatiq tests.middleware.crash.signalled_jobs`."""

import asyncio
import os
from typing import Any

import dramatiq
import redis
from dramatiq.middleware import AsyncIO

from broker import FairRedisBroker
from middleware import Draining, Retries

url, namespace = os.environ["SIGNALLED_JOBS"].split()
client: Any = redis.Redis.from_url(url)
broker = FairRedisBroker(
    url=url, namespace=namespace, middleware=[Draining(drain_s=20), Retries(), AsyncIO()]
)
dramatiq.set_broker(broker)


@dramatiq.actor
def gated() -> None:
    """Begins, and ends when the test lets it."""
    client.lpush(f"{namespace}:begun", "gated")
    client.brpop([f"{namespace}:gate"], timeout=60)
    client.lpush(f"{namespace}:done", "gated")


@dramatiq.actor
async def awaited() -> None:
    """The same, on the event loop."""
    client.lpush(f"{namespace}:begun", "awaited")
    while client.rpop(f"{namespace}:gate") is None:
        await asyncio.sleep(0.05)
    client.lpush(f"{namespace}:done", "awaited")
