"""A client with decode_responses=True works for all that the broker and its views do, or is refused when it is given.

Apps often have one such client and pass it on. What is noticed only when the queue is full, or at 3 a.m. when somebody
asks `why`, is noticed too late.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import dramatiq
import redis

from broker import FairRedisBroker, Inspector, QueueFull
from tests.cases.kit import in_short, outcome, own_server, verdict


def main() -> list[str]:
    """What is wrong."""
    faults = []
    with own_server() as url:
        client = redis.Redis.from_url(url, decode_responses=True)
        try:
            broker = FairRedisBroker(client=client, namespace="case", middleware=[], max_queue_depth=1)
        except (TypeError, ValueError) as error:
            print(f"refused: {error}")
            return []

        @dramatiq.actor(broker=broker)
        def job(number: int) -> None: ...

        message = job.send(1)
        look = Inspector(client, broker.base)

        def full() -> int:
            refused = outcome(lambda: job.send(2))
            if isinstance(refused, QueueFull):
                return refused.depth
            raise refused if isinstance(refused, Exception) else RuntimeError("it was taken")

        for name, call in {
            "a full queue": full,
            "why": lambda: look.why(message.message_id).text,
            "waiting": lambda: list(look.waiting("default")),
            "depth": lambda: look.depth("default"),
            "lanes": lambda: look.lanes("default"),
        }.items():
            answer = outcome(call)
            print(f"{name:14} {in_short(answer)}")
            if isinstance(answer, Exception):
                faults.append(name)
        broker.close()
    return faults


if __name__ == "__main__":
    verdict(main)
