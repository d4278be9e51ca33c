"""Jobs that end their process when the test opens a gate, and others beside them.

Under the supervisor as a module; without one `python -m tests.broker.crash.poison_jobs THREADS`.
"""

import ctypes
import os
import signal
import sys
import threading

import dramatiq
import redis

from broker import FairRedisBroker
from middleware import DeadLetters
from middleware.dead_letters.redis import RedisDeadLetterStore

SPACE = os.environ["SUPERVISED_SPACE"]
client = redis.Redis.from_url(os.environ["SUPERVISED_URL"], socket_timeout=None)

broker = FairRedisBroker(
    url=os.environ["SUPERVISED_URL"],
    namespace=SPACE,
    middleware=[DeadLetters(RedisDeadLetterStore(client, prefix=SPACE))],
    heartbeat_timeout=int(os.environ["SUPERVISED_TIMEOUT_MS"]),
)
dramatiq.set_broker(broker)

_running: list[str] = []


@dramatiq.actor(broker=broker)
def step(name: str, how: str) -> None:
    """Say who runs beside it, wait for the gate, and end: the job, or its process."""
    _running.append(name)
    client.rpush(f"{SPACE}:began", f"{name} {os.getpid()} {'+'.join(sorted(_running))}")
    client.blpop([f"{SPACE}:gate:{name}"])
    if how == "SIGKILL":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "SIGSEGV":
        ctypes.string_at(0)
    elif how != "well":
        os._exit(int(how))
    _running.remove(name)
    client.rpush(f"{SPACE}:ended", name)


@dramatiq.actor(broker=broker)
def hold(name: str) -> None:
    """Keep the interpreter's lock in C code for ever."""
    client.rpush(f"{SPACE}:began", f"{name} {os.getpid()} {name}")
    read_fd, _ = os.pipe()
    ctypes.PyDLL(None).read(read_fd, ctypes.create_string_buffer(1), 1)


if __name__ == "__main__":
    broker.emit_after("process_boot")
    dramatiq.Worker(broker, worker_threads=int(sys.argv[1]), worker_timeout=50).start()
    threading.Event().wait()
