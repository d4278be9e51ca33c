"""A worker that is killed between a letter and its message's rejection; run by the test of that.

Arguments: a kind of broker, a Redis URL, a namespace, and `killed` or `spared`.
"""

import os
import signal
import sys

import dramatiq
import redis
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware

from middleware import Retries
from middleware.dead_letters.guard import DeadLetters
from middleware.dead_letters.redis import RedisDeadLetterStore
from middleware.dead_letters.redis_spool import RedisDeadLetterSpool
from tests.middleware.crash.crash_broker import crash_broker


class Killed(Middleware):
    """Ends the process at once when a message is about to be rejected."""

    def before_nack(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def broker_of(kind: str, redis_url: str, namespace: str, *guards: Middleware) -> dramatiq.Broker:
    """A broker that gives the messages of a dead worker to the next one within a second."""
    client = redis.Redis.from_url(redis_url)
    letters = DeadLetters(
        RedisDeadLetterStore(client, prefix=namespace), spool=RedisDeadLetterSpool(client, prefix=namespace)
    )
    made = crash_broker(
        kind, redis_url, namespace, letters, *guards, Retries(max_retries=0), heartbeat_ms=1_000
    )

    @dramatiq.actor(broker=made)
    def fails() -> None:
        raise ValueError("hunter2")

    return made


def main() -> None:
    """Work on one message."""
    kind, redis_url, namespace, fate = sys.argv[1:]
    broker = broker_of(kind, redis_url, namespace, *([Killed()] if fate == "killed" else []))
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
    worker.start()
    broker.join("default", timeout=30_000)
    worker.join()
    worker.stop()


if __name__ == "__main__":
    main()
