"""A worker process for tests: `python -m tests.broker.crash.worker_host URL NAMESPACE THREADS`."""

import sys
import threading

import dramatiq
import redis

from broker import FairRedisBroker


def declare(broker: FairRedisBroker, client: "redis.Redis") -> "dramatiq.Actor[[int], None]":
    """The job: says that it runs, waits to be let on, and says that it ended."""
    base = broker.namespace

    @dramatiq.actor(broker=broker, max_retries=0)
    def step(n: int) -> None:
        client.rpush(f"{base}:test:begun", n)
        client.blpop([f"{base}:test:gate"], 60)
        client.rpush(f"{base}:test:ended", n)

    return step


def main() -> None:
    url, namespace, threads = sys.argv[1:]
    broker = FairRedisBroker(url=url, namespace=namespace, heartbeat_timeout=2_000, stall_timeout=2_000)
    broker.emit_after("process_boot")
    declare(broker, redis.Redis.from_url(url, socket_timeout=None))
    dramatiq.Worker(broker, worker_threads=int(threads), worker_timeout=100).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
