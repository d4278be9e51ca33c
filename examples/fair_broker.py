"""Two orgs, one queue, one flood: what FairRedisBroker does about it. REDIS_URL says where Redis or Valkey is.

Run a worker in this folder, and this file beside it:

    python -m pressroom.broker worker fair_broker --threads 2
    python fair_broker.py
"""

import os
import time

import dramatiq
import redis
from pressroom import Contracts, Retries, actor
from pressroom.broker import FairRedisBroker, Inspector
from pydantic import BaseModel

client = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
broker = FairRedisBroker(
    client=client,
    namespace="fair_broker",  # of its own, so that nothing else is in the way
    middleware=[Contracts(), Retries(max_retries=3)],
)
dramatiq.set_broker(broker)  # the one that workers of this module work for

#: Who ran, first to last: for this file to look at.
RAN = "fair_broker:ran"


class Page(BaseModel):
    org_id: str  # `Contracts` makes it the message's option `org`, by which the broker shares
    number: int


@actor(queue_name="pages")
def crawl(page: Page) -> None:
    time.sleep(0.01)
    client.rpush(RAN, page.org_id)


def main() -> None:
    client.delete(RAN)
    for number in range(300):  # an org that imports everything it has
        crawl.send(Page(org_id="flood", number=number))
    for number in range(3):  # and one that comes later
        last = crawl.send(Page(org_id="small", number=number))

    look = Inspector(client, broker.base)
    (pages,) = look.depth("pages")
    print(f"waiting: {pages.ready}")
    print(f"why does small's last one wait? {look.why(last.message_id).text}")
    broker.join("pages", timeout=60_000)

    ran = client.lrange(RAN, 0, -1)
    done = 1 + max(at for at, org in enumerate(ran) if org == b"small")
    print(f"small was done after {done} of {len(ran)} jobs")
    crawl.send_with_options(args=(Page(org_id="small", number=4),), delay=3_600_000)  # waits in the server
    (pages,) = look.depth("pages")
    print(f"delayed: {pages.delayed}")


if __name__ == "__main__":
    main()
