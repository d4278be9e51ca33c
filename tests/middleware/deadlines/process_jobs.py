"""Jobs with deadlines, for `python -m dramatiq tests.middleware.deadlines.process_jobs`.

What they do is written to Redis, under the namespace of the test that started the process.
"""

import os
import re
import threading
from typing import Any

import dramatiq
import redis
from dramatiq.middleware import CurrentMessage

from middleware import Retries
from middleware.deadlines.guard import Deadlines
from tests.middleware.crash.crash_broker import crash_broker

NAMESPACE = os.environ["DEADLINE_JOBS_NAMESPACE"]
client: Any = redis.Redis.from_url(os.environ["DEADLINE_JOBS_REDIS_URL"])

broker = crash_broker(
    os.environ["DEADLINE_JOBS_BROKER"],
    os.environ["DEADLINE_JOBS_REDIS_URL"],
    NAMESPACE,
    Deadlines(grace_ms=500, frozen_after_ms=1_000),
    CurrentMessage(),
    Retries(max_retries=3, min_backoff=1, max_backoff=1),
)
dramatiq.set_broker(broker)


def report(what: str) -> None:
    """Tell the test, with the number of attempts that were charged before this one."""
    message = CurrentMessage.get_current_message()
    retries = message.options.get("retries", 0) if message is not None else 0
    client.lpush(f"{NAMESPACE}:test:reports", f"{what} {retries}")


def first_run(name: str) -> bool:
    """Whether nobody has run this before."""
    return bool(client.incr(f"{NAMESPACE}:test:runs:{name}") == 1)


@dramatiq.actor(time_limit=500)
def stuck() -> None:
    """Waits in C code for what never comes; the second attempt finishes."""
    if first_run("stuck"):
        report("stuck started")
        threading.Event().wait()
    report("stuck done")


@dramatiq.actor(time_limit=500)
def frozen() -> None:
    """Holds the interpreter's lock in a regular expression for longer than anybody lives."""
    report("frozen started")
    re.match(r"(a+)+$", "a" * 64 + "b")


@dramatiq.actor
def neighbour() -> None:
    """Runs Python until it is interrupted; the second attempt finishes."""
    if first_run("neighbour"):
        report("neighbour started")
        try:
            while True:
                pass
        finally:
            report("neighbour cleaned up")
    report("neighbour done")


@dramatiq.actor
def deaf() -> None:
    """Waits in C code, and has no reason to stop; the second attempt finishes."""
    if first_run("deaf"):
        report("deaf started")
        threading.Event().wait()
    report("deaf done")


@dramatiq.actor(notify_shutdown=True)
def notified() -> None:
    """Runs Python until its worker stops; the second attempt finishes."""
    if first_run("notified"):
        report("notified started")
        try:
            while True:
                pass
        finally:
            report("notified cleaned up")
    report("notified done")


@dramatiq.actor
def queued(number: int) -> None:
    """Is behind the others."""
    report(f"queued{number} done")
