"""What the worker processes of these scenarios work on; the test says through the environment where they meet."""

import ctypes
import os
import signal

import dramatiq
import redis
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware

from tests.broker.promises.brokers import make_broker
from tests.broker.promises.environment import reported


class DiesAtAck(Middleware):
    """Ends the process at once when anything is about to be acknowledged."""

    def before_ack(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


meeting = reported()
client = redis.Redis.from_url(meeting.url, socket_timeout=None)
broker = make_broker(
    meeting.kind, meeting.url, meeting.namespace, heartbeat_timeout_ms=meeting.heartbeat_timeout_ms
)
if meeting.dies_at_ack:
    broker.add_middleware(DiesAtAck())
dramatiq.set_broker(broker)


def report(event: str, name: str) -> None:
    """Tell the test, and who it is."""
    client.rpush(f"{meeting.namespace}:test:{event}", f"{name} {os.getpid()}")


@dramatiq.actor(max_retries=0)
def quick(name: str) -> None:
    """Say that it ran."""
    report("ran", name)


@dramatiq.actor(max_retries=0)
def gated(name: str) -> str | None:
    """Say that it began, wait until the test lets this process go on, or all, and say that it ended."""
    report("began", name)
    client.blpop([f"{meeting.namespace}:test:gate:{each}" for each in (os.getpid(), "all")], 60)
    report("ended", name)
    # Whoever pipes it on wants something; Dramatiq warns about results that nobody wants.
    return name if name.startswith("piped") else None


@dramatiq.actor(max_retries=0)
def holding(name: str) -> None:
    """Hold the interpreter's lock in C code until the process may read a byte; the next time just end."""
    report("began", name)
    if client.incr(f"{meeting.namespace}:test:held") == 1:
        # `PyDLL` keeps the lock, as C code that never gives it back does.
        ctypes.PyDLL(None).read(0, ctypes.create_string_buffer(1), 1)
    report("ended", name)


@dramatiq.actor(max_retries=0)
def deadly(name: str) -> None:
    """Take the process along."""
    report("dying", name)
    os.kill(os.getpid(), signal.SIGKILL)
