"""What supervised workers work on in these tests; the test says through the environment where they meet."""

import ctypes
import os
import signal

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from broker.announcing import announce_worker_id

client = redis.Redis.from_url(os.environ["SUPERVISED_URL"], socket_timeout=None)
SPACE = os.environ["SUPERVISED_SPACE"]

broker = RedisBroker(url=os.environ["SUPERVISED_URL"], namespace=SPACE)  # type: ignore[no-untyped-call]
dramatiq.set_broker(broker)
announce_worker_id(f"worker-{os.getpid()}")

_kept: list[bytes] = []


@dramatiq.actor(max_retries=0)
def work(name: str) -> None:
    """Say that it began, and that it ended."""
    client.rpush(f"{SPACE}:began", f"{name} {os.getpid()}")
    client.rpush(f"{SPACE}:ended", name)


@dramatiq.actor(max_retries=0)
def wait(name: str) -> None:
    """Begin, and end when the test opens the gate; or end the process there."""
    client.rpush(f"{SPACE}:began", f"{name} {os.getpid()}")
    if client.blpop([f"{SPACE}:gate:{name}"]) == (f"{SPACE}:gate:{name}".encode(), b"exit 79"):
        os._exit(79)
    client.rpush(f"{SPACE}:ended", name)


@dramatiq.actor(max_retries=0)
def hold(name: str) -> None:
    """Begin, and hold the interpreter's lock in C code for ever."""
    client.rpush(f"{SPACE}:began", f"{name} {os.getpid()}")
    read_fd, _ = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    ctypes.PyDLL(None).read(read_fd, ctypes.create_string_buffer(1), 1)


@dramatiq.actor(max_retries=0)
def leave(code: int) -> None:
    """End the process with this exit code."""
    os._exit(code)


@dramatiq.actor(max_retries=0)
def grow(mb: int) -> None:
    """Keep so much memory."""
    _kept.append(b"x" * (mb * 1_048_576))
    client.rpush(f"{SPACE}:ended", "grow")
