"""What release 0.1.0 left in Redis (see `0.1.0/write.py.txt`) is worked off: nothing is lost, nothing misread."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import redis
from pydantic import BaseModel

from broker import FairRedisBroker
from broker.keys import base_key
from middleware import (
    Cancellation,
    CircuitBreakers,
    Contracts,
    DeadLetterReplayer,
    DeadLetters,
    Idempotency,
    OrgLimits,
    PauseControl,
    Pauses,
    Retries,
)
from middleware.cancellation.redis import RedisCancellationStore
from middleware.circuit_breakers.redis import RedisCircuitBreakerStore
from middleware.dead_letters.redis import RedisDeadLetterStore
from middleware.dead_letters.redis_spool import RedisDeadLetterSpool
from middleware.idempotency.redis import RedisIdempotencyStore
from middleware.org_limits.redis import RedisOrgLimitsStore
from middleware.pauses.redis import RedisPauseStore
from tests.middleware.brokers import close
from tests.middleware.eventually import eventually
from tests.middleware.own_server import own_valkey

pytestmark = pytest.mark.slow

WRITTEN: dict[str, Any] = json.loads((Path(__file__).parent / "0.1.0" / "redis.json").read_text())
NAMESPACE: str = WRITTEN["namespace"]
#: What 0.1.0 gave a time to live gets this one.
EXPIRES_MS = 3_600_000


class Resize(BaseModel):
    """The contract that 0.1.0 sent."""

    org_id: str
    number: int
    idempotency_key: str | None = None


class Successor:
    """A broker of this release, with the same guards and actors, on what 0.1.0 left."""

    def __init__(self, client: redis.Redis) -> None:
        self.broker = FairRedisBroker(
            client=client, namespace=NAMESPACE, middleware=[], heartbeat_timeout=1_000
        )
        self.letters = RedisDeadLetterStore(client, prefix=NAMESPACE)
        pauses = RedisPauseStore(client, prefix=NAMESPACE)
        self.pauses = PauseControl(pauses)
        self.breakers = CircuitBreakers(RedisCircuitBreakerStore(client, prefix=NAMESPACE))
        for guard in (
            DeadLetters(self.letters, spool=RedisDeadLetterSpool(client, prefix=NAMESPACE)),
            Contracts(),
            Cancellation(RedisCancellationStore(client, prefix=NAMESPACE)),
            Pauses(pauses),
            self.breakers,
            Idempotency(RedisIdempotencyStore(client, prefix=base_key(NAMESPACE))),
            OrgLimits(RedisOrgLimitsStore(client, prefix=NAMESPACE), max_active=5),
            Retries(max_retries=1, min_backoff=1, max_backoff=1),
        ):
            self.broker.add_middleware(guard)
        self.ran: list[tuple[str, int]] = []
        ran = self.ran

        @dramatiq.actor(broker=self.broker, queue_name="images")
        def resize(job: Resize) -> None:
            ran.append(("resize", job.number))

        @dramatiq.actor(broker=self.broker, queue_name="images")
        def crop(job: Resize) -> None:
            ran.append(("crop", job.number))

        @dramatiq.actor(broker=self.broker, queue_name="others")
        def later(job: Resize) -> None:
            ran.append(("later", job.number))

        self.resize = resize


@pytest.fixture
def successor() -> Iterator[Successor]:
    """At work on a server that holds what 0.1.0 left, and nothing else."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        for key, kept in WRITTEN["keys"].items():
            restore(client, key, kept)
        made = Successor(client)
        worker = dramatiq.Worker(made.broker, worker_timeout=50, worker_threads=2)
        worker.start()
        try:
            yield made
        finally:
            worker.stop()
            close(made.broker)


def test_every_message_that_may_run_runs_once(successor: Successor) -> None:
    """Ready, delayed, with a concurrency key, held for its actor, and leased by a worker that is gone."""
    expected = [("crop", 4), *(("resize", number) for number in (2, 3, 5, 6))]

    assert eventually(lambda: len(successor.ran) >= len(expected))
    assert sorted(successor.ran) == sorted(expected)


def test_what_is_parked_paused_or_cancelled_stays_so(successor: Successor) -> None:
    """A park is released by its key, a pause ends when it is resumed, and a cancelled job never runs."""
    assert eventually(lambda: len(successor.ran) >= 5)
    assert not {7, 8, 9} & {number for _, number in successor.ran}

    assert successor.broker.release("breaker:ai") == 1
    successor.pauses.resume(queue="others")

    assert eventually(lambda: {("resize", 7), ("later", 8)} <= set(successor.ran))
    assert ("resize", 9) not in successor.ran


def test_a_claim_still_refuses_a_duplicate(successor: Successor) -> None:
    """A key that 0.1.0 saw through to its end is not worked again."""
    successor.resize.send(Resize(org_id="acme", number=1, idempotency_key="first"))
    successor.resize.send(Resize(org_id="acme", number=10))

    assert eventually(lambda: ("resize", 10) in successor.ran)
    assert ("resize", 1) not in successor.ran


def test_a_letter_is_read_and_replayed(successor: Successor) -> None:
    """Its payload is whole, and its message runs again."""
    box = successor.letters.of_org("acme")
    (letter,) = box.list()
    assert (letter.actor, letter.org) == ("resize", "acme")

    DeadLetterReplayer(successor.broker, box).retry(letter.id)

    assert eventually(lambda: ("resize", 13) in successor.ran)


def test_a_circuit_that_was_held_open_is_open(successor: Successor) -> None:
    """Who held it and why is still known."""
    state = successor.breakers.state("ai")

    assert (state.state, state.who, state.reason) == ("open", "root", "their incident")


def restore(client: redis.Redis, key: str, kept: dict[str, Any]) -> None:
    """Write a key as the file has it."""
    value = kept["value"]
    match kept["type"]:
        case "string":
            client.set(key, decoded(value))
        case "hash":
            client.hset(key, mapping={decoded(name): decoded(each) for name, each in value.items()})
        case "list":
            client.rpush(key, *map(decoded, value))
        case "set":
            client.sadd(key, *map(decoded, value))
        case "zset":
            client.zadd(key, {decoded(member): score for member, score in value})
    if kept["expires"]:
        client.pexpire(key, EXPIRES_MS)


def decoded(text: str) -> bytes:
    """The bytes that the server had."""
    return base64.b64decode(text)
