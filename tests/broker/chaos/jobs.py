"""What the workers of a storm run: each job has one effect, written down under its number."""

import ctypes
import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dramatiq
import redis

from broker import FairRedisBroker
from middleware.idempotency.guard import Idempotency
from middleware.idempotency.redis import RedisIdempotencyStore
from middleware.retries import Retries
from tests.broker.chaos.plan import NAMESPACE, OWN, QUEUE, URL_VARIABLE, Plan

#: Job -> process, message and kind of worker of its effect.
EFFECTS = f"{OWN}effects"
#: A run that found the effect done: job, the first run, whether its process lives, this run.
REPEATS = f"{OWN}repeats"
#: Fields "<job> <process>": where poison began.
BEGUN = f"{OWN}begun"
#: Job -> who failed at it first.
FAILED = f"{OWN}failed"
#: Processes that others took for dead while they lived.
TAKEN = f"{OWN}taken"

#: Seconds between two tries to write an effect down.
_RETRY_S = 0.05


class FirstAttemptError(Exception):
    """The job fails once."""


def connected(url: str, plan: Plan) -> tuple[FairRedisBroker, "redis.Redis"]:
    """A broker with the guards that a storm is about, and a client for what is written down."""
    client = redis.Redis.from_url(url, socket_timeout=None)
    broker = FairRedisBroker(url=url, middleware=[], namespace=NAMESPACE, heartbeat_timeout=plan.heartbeat_ms)
    # Under the broker's own base: it ends the claim in the very step that ends the message.
    store = RedisIdempotencyStore(client, prefix=broker.base)
    broker.add_middleware(Idempotency(store, park_ms=200, undecided_delay_ms=200))
    broker.add_middleware(Retries(min_backoff=50, max_backoff=500))
    return broker, client


def declare(
    broker: FairRedisBroker, client: "redis.Redis", plan: Plan
) -> "dramatiq.Actor[[dict[str, object]], None]":
    """The job."""

    @dramatiq.actor(broker=broker, queue_name=QUEUE)
    def job(payload: dict[str, object]) -> None:
        number = int(str(payload["job"]))
        run = f"{os.getpid()} {payload['message_id']} {'probe' if broker.probe_only else 'worker'}"
        if plan.is_poison(number):
            insist(client, "HSET", BEGUN, f"{number} {os.getpid()}", 1)
            end_process(number)
        if plan.fails_first(number) and _is_first(client, FAILED, number, run) is None:
            raise FirstAttemptError
        first = _is_first(client, EFFECTS, number, run)
        if first is not None:
            alive = "alive" if _lives(int(first.split()[0])) else "dead"
            insist(client, "RPUSH", REPEATS, f"{number}|{first}|{alive}|{run}")

    return job


def hosted() -> FairRedisBroker:
    """The broker of a process that is part of a storm, with its job."""
    plan = Plan.from_environment()
    broker, client = connected(os.environ[URL_VARIABLE], plan)
    declare(broker, client, plan)
    logging.getLogger("broker").addHandler(_NotesTaken(client))
    return broker


def end_process(number: int) -> None:
    """Without a word, in one of the ways that jobs do."""
    way = number % 3
    if way == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    elif way == 1:
        os._exit(0)
    ctypes.string_at(0)


def _is_first(client: "redis.Redis", name: str, number: int, run: str) -> str | None:
    """None when this run is the first to write itself down there, else who was."""
    # An answer that got lost must not make a run its own rival.
    if insist(client, "HSETNX", name, number, run):
        return None
    first = str(insist(client, "HGET", name, number).decode())
    return None if first == run else first


def insist(client: "redis.Redis", *command: str | int) -> Any:
    """The answer to a command, whatever becomes of the server meanwhile."""
    ask: Callable[..., Any] = client.execute_command
    while True:
        try:
            return ask(*command)
        except redis.ReadOnlyError:  # another server is the primary by now
            client.connection_pool.disconnect(inuse_connections=False)
        except (redis.ConnectionError, redis.TimeoutError, redis.exceptions.OutOfMemoryError):
            pass
        threading.Event().wait(_RETRY_S)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class _NotesTaken(logging.Handler):
    """Writes down that this process was taken for dead, as the broker's warnings say it."""

    def __init__(self, client: "redis.Redis") -> None:
        super().__init__(logging.WARNING)
        self._client = client

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "taken over" in text or "too late" in text:
            insist(self._client, "SADD", TAKEN, os.getpid())
