"""What supervised workers work on in these tests; the test says through the environment where they meet."""

import ctypes
import json
import os
import signal

import dramatiq
import redis
from dramatiq.broker import Consumer
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import ConnectionClosed

from broker.announcements import announce_suspects, announce_worker_id

client = redis.Redis.from_url(os.environ["SUPERVISED_URL"], socket_timeout=None)
SPACE = os.environ["SUPERVISED_SPACE"]


class Suspecting(RedisBroker):
    """Whose probe takes what is in the queue `suspects`; it writes down which deaths it is told of."""

    probe_only = False
    probe_elsewhere = False

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5_000) -> Consumer:
        queue = "suspects" if self.probe_only else queue_name
        found: Consumer = super().consume(queue, prefetch, timeout)
        return found

    def report_death(self, worker_id: str, code: int | None, *, stopped: bool) -> None:
        if client.lpop(f"{SPACE}:away"):
            raise ConnectionClosed("it is away") from None  # type: ignore[no-untyped-call]
        client.rpush(f"{SPACE}:deaths", json.dumps([worker_id, code, stopped]))


broker = Suspecting(url=os.environ["SUPERVISED_URL"], namespace=SPACE)  # type: ignore[no-untyped-call]
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
def suspect() -> None:
    """Say that messages wait which are to be run alone."""
    announce_suspects()


@dramatiq.actor(max_retries=0)
def tell() -> None:
    """Say what this process was told about probes."""
    client.rpush(f"{SPACE}:told", json.dumps([os.getpid(), broker.probe_only, broker.probe_elsewhere]))


@dramatiq.actor(max_retries=0)
def leave(code: int) -> None:
    """End the process with this exit code."""
    os._exit(code)


@dramatiq.actor(max_retries=0)
def grow(mb: int) -> None:
    """Keep so much memory."""
    _kept.append(b"x" * (mb * 1_048_576))
    client.rpush(f"{SPACE}:ended", "grow")
