"""A worker that is killed between a letter and its message's rejection; run by the test of that.

Arguments: a Redis URL, a namespace, and `killed` or `spared`.
"""

import os
import signal
import sys
from typing import Any

import dramatiq
import redis
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware

from middleware import Retries
from middleware.backends.redis.dead_letter_spool import RedisDeadLetterSpool
from middleware.backends.redis.dead_letters import RedisDeadLetterStore
from middleware.dead_letters import DeadLetters


class Killed(Middleware):
    """Ends the process at once when a message is about to be rejected."""

    def before_nack(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def broker_of(redis_url: str, namespace: str, *guards: Middleware) -> RedisBroker:
    """A broker that gives the messages of a dead worker to the next one within a second."""
    client = redis.Redis.from_url(redis_url)
    letters = DeadLetters(
        RedisDeadLetterStore(client, prefix=namespace), spool=RedisDeadLetterSpool(client, prefix=namespace)
    )
    made: Any = RedisBroker(  # type: ignore[no-untyped-call]
        url=redis_url,
        namespace=namespace,
        heartbeat_timeout=1_000,
        maintenance_chance=1_000_000,
        middleware=[letters, *guards, Retries(max_retries=0)],
    )

    @dramatiq.actor(broker=made)
    def fails() -> None:
        raise ValueError("hunter2")

    return made  # type: ignore[no-any-return]


def main() -> None:
    """Work on one message."""
    redis_url, namespace, fate = sys.argv[1:]
    broker = broker_of(redis_url, namespace, *([Killed()] if fate == "killed" else []))
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
    worker.start()
    broker.join("default", timeout=30_000)
    worker.join()
    worker.stop()


if __name__ == "__main__":
    main()
