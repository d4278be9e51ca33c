"""What every Python block of README and docs may use without saying so; shown at the top of docs/README.md."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from pressroom import Contracts
from pressroom.broker import FairRedisBroker
from pydantic import BaseModel

url = "redis://localhost:6379/0"
client = redis.Redis.from_url(url)
broker = FairRedisBroker(client=client)
broker.add_middleware(Contracts())
dramatiq.set_broker(broker)

# Of the platform: an org, a domain of it, and what else has an id.
org, domain = UUID("51d48700-4aee-5a5d-a8a5-27a5c1471ac6"), UUID("3b6e1f5e-6c3a-5a53-8d6c-0d6a4d5b7e11")
receiver, experiment, intent = UUID(int=1), UUID(int=2), UUID(int=3)
now = datetime.now(UTC)
yesterday = now - timedelta(days=1)


class Resize(BaseModel):
    image_id: int
    width: int = 640


@dramatiq.actor(broker=broker)
def resize(job: Resize) -> None: ...


class WriteIdeas(BaseModel):
    topic: str


def ask(topic: str) -> list[str]:  # stands for a remote service of yours
    return [topic]


job = Resize(image_id=7)
message = resize.send(job)
