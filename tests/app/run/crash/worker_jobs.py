"""Jobs under the worker's life cycle, for the commands that run workers.

What they do is written to Redis, under the namespace of the test that started the process.
"""

import os
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import dramatiq
import redis
from dramatiq.middleware import CurrentMessage

from app.bootstrap.worker.heartbeat import Heartbeat
from app.bootstrap.worker.lifecycle import Lifecycle
from middleware import AttemptRecord, Deadlines, Draining, History, LogContext, Retries, configure_logging
from middleware.base.attempts import AttemptOutcome
from tests.app.run.crash.worker_processes import new_broker

NAMESPACE = os.environ["WORKER_JOBS_NAMESPACE"]
#: Waits for the test as long as it takes.
client: Any = redis.Redis.from_url(os.environ["WORKER_JOBS_REDIS_URL"], socket_timeout=None)


class SlowStore:
    """Takes for ever to write, where the test says so."""

    def record(self, attempts: Sequence[AttemptRecord]) -> None:
        if "WORKER_JOBS_HANG" in os.environ:
            threading.Event().wait()

    def attempts(self, message_id: str, *, org: str | None = None) -> list[AttemptRecord]:
        return []

    def recent(
        self,
        *,
        org: str | None = None,
        actor: str | None = None,
        outcome: AttemptOutcome | None = None,
        before: tuple[datetime, UUID] | None = None,
        limit: int = 100,
    ) -> list[AttemptRecord]:
        return []


draining = Draining(drain_s=float(os.environ.get("WORKER_JOBS_DRAIN_S", "60")), unwind_s=1.0)
deadlines = Deadlines(grace_ms=500, frozen_after_ms=30_000, exit_process=None)
broker = new_broker(
    fair=os.environ["WORKER_JOBS_BROKER"] == "fair",
    url=os.environ["WORKER_JOBS_REDIS_URL"],
    namespace=NAMESPACE,
    middleware=[
        Lifecycle(draining, flush_s=1.0),
        Heartbeat(Path(os.environ["WORKER_JOBS_READY"]), deadlines=deadlines, draining=draining, every_s=0.1),
        LogContext(configure=configure_logging),
        History(SlowStore(), flush_every_s=0.05, shutdown_timeout_s=30),
        deadlines,
        draining,
        CurrentMessage(),
        Retries(max_retries=3, min_backoff=1, max_backoff=1),
    ],
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


@dramatiq.actor
def gated() -> None:
    """Ends when the test opens the gate, and not before."""
    report("gated started")
    client.brpop([f"{NAMESPACE}:test:gate"])
    report("gated done")


@dramatiq.actor
def endless() -> None:
    """Runs Python until it is interrupted; the second attempt finishes."""
    if first_run("endless"):
        report("endless started")
        try:
            while True:
                pass
        finally:
            report("endless cleaned up")
    report("endless done")


@dramatiq.actor
def deaf() -> None:
    """Waits in C code for what never comes; the second attempt finishes."""
    if first_run("deaf"):
        report("deaf started")
        threading.Event().wait()
    report("deaf done")


@dramatiq.actor(time_limit=200)
def overdue() -> None:
    """Waits in C code, over its time."""
    report("overdue started")
    threading.Event().wait()


@dramatiq.actor
def quick(number: int) -> None:
    """Is done at once."""
    report(f"quick{number} done")


@dramatiq.actor
def careless() -> None:
    """Leaves a thread behind that raises, and an object that cannot be finalised."""

    class Grave:
        def __del__(self) -> None:
            raise LookupError("hunter2")

    def die() -> None:
        raise ZeroDivisionError("hunter2")

    thread = threading.Thread(target=die, name="careless-thread")
    thread.start()
    thread.join()
    Grave()
    report("careless done")
