"""A worker process whose job keeps the interpreter's lock; started with the server's address and a namespace."""

import ctypes
import os
import sys
import threading

import dramatiq
import redis

from broker import FairRedisBroker

#: After so long a silence the others take over, in milliseconds.
TIMEOUT_MS = 2_000


def declare(broker: FairRedisBroker, client: "redis.Redis") -> "dramatiq.Actor[[bool], None]":
    """The job: says which process runs it, and holds the lock, if it is to, until that process may read a byte."""
    base = broker.namespace

    @dramatiq.actor(broker=broker, max_retries=0)
    def run(hold: bool) -> None:
        client.rpush(f"{base}:test:begun", f"{os.getpid()} {hold}")
        if hold:
            # `PyDLL` keeps the lock, as C code that never gives it back does.
            ctypes.PyDLL(None).read(0, ctypes.create_string_buffer(1), 1)
        client.rpush(f"{base}:test:ended", f"{os.getpid()} {hold}")

    return run


def main() -> None:
    url, namespace = sys.argv[1:]
    broker = FairRedisBroker(url=url, namespace=namespace, heartbeat_timeout=TIMEOUT_MS)
    broker.emit_after("process_boot")
    declare(broker, redis.Redis.from_url(url, socket_timeout=None))
    dramatiq.Worker(broker, worker_threads=1, worker_timeout=100).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
