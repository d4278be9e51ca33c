"""What guards let the fair broker do with the end of a message, and what it hands to them that it gives up."""

from typing import Any, ClassVar, cast

import dramatiq
import pytest
import redis
from dramatiq.broker import MessageProxy
from pydantic import BaseModel

from app.embedded import Servers
from broker import FairRedisBroker
from broker.leasing.lease import LeasedMessage
from middleware import Callbacks, Contracts
from middleware.base.poller import Poller
from middleware.dead_letters.guard import DeadLetters
from middleware.dead_letters.memory import MemoryDeadLetterStore
from middleware.idempotency.guard import Idempotency
from middleware.idempotency.redis import RedisIdempotencyStore
from middleware.metrics.guard import Metrics
from tests.broker.guards.conftest import MakeBroker
from tests.broker.guards.delegated import QUEUE, Site
from tests.middleware.dead_letters.sample_letters import put_raw
from tests.middleware.dead_letters.test_undecodable import Flaky
from tests.middleware.eventually import eventually
from tests.middleware.recorded_metrics import Emitted, handling

pytestmark = pytest.mark.slow


class Counting(redis.Redis):
    """Counts its round trips."""

    trips = 0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self.trips += 1
        return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


def counting(servers: Servers) -> Counting:
    """A client that counts, of the real server."""
    return cast("Counting", Counting.from_url(servers.redis_url))


def keyed(broker: FairRedisBroker, servers: Servers) -> tuple[Site, Counting]:
    """A broker with idempotency beside it, on a connection that counts."""
    client = counting(servers)
    site = Site(broker, Idempotency(RedisIdempotencyStore(client, prefix=broker.base)))
    return site, client


def test_a_job_with_a_key_costs_one_call_and_one_without_none(
    new_broker: MakeBroker, servers: Servers
) -> None:
    """The claim; its end rides on the message's."""
    site, client = keyed(new_broker(), servers)
    actor = site.actor()
    with client, site.working():
        actor.send({"idempotency_key": "warm"})  # loads the script
        assert site.empty()
        client.trips = 0
        for number in range(10):
            actor.send({"idempotency_key": f"k{number}"})
            actor.send({"n": number})
        assert site.empty()

        assert client.trips == 10
        actor.send({"idempotency_key": "k7"})
        assert site.empty()

    assert len(site.ran) == 21
    assert site.watch.ends.count("skipped") == 1


def test_a_failed_attempt_and_its_claim_end_together(new_broker: MakeBroker, servers: Servers) -> None:
    """The retry finds the key free, in whichever process; nothing is left held."""
    site, client = keyed(new_broker(), servers)
    fails = [ValueError("no")]

    def body() -> None:
        if fails:
            raise fails.pop()

    actor = site.actor(body=body, max_retries=1, min_backoff=1, max_backoff=1)
    with client, site.working():
        actor.send({"idempotency_key": "k"})
        assert site.empty()
        (claim,) = client.scan_iter(f"{site.broker.base}:idempotency:*")
        assert client.hget(claim, "state") == b"done"

    assert site.watch.ends == ["retried", "succeeded"]


def test_a_claim_that_is_anothers_by_now_is_not_ended(new_broker: MakeBroker, servers: Servers) -> None:
    """The other attempt's word counts, not that of the one that was taken for dead."""
    site, client = keyed(new_broker(), servers)
    base = site.broker.base

    def taken_over() -> None:
        (claim,) = client.scan_iter(f"{base}:idempotency:*")
        client.hset(claim, "token", "another's")

    with client, site.working():
        site.actor(body=taken_over).send({"idempotency_key": "k"})
        assert site.empty()
        (claim,) = client.scan_iter(f"{base}:idempotency:*")
        assert client.hmget(claim, "state", "token") == [b"held", b"another's"]


class Older(BaseModel):
    """A contract as an old build knows it."""

    contract_version: ClassVar[int] = 1
    n: int


class Newer(BaseModel):
    """And a new one."""

    contract_version: ClassVar[int] = 2
    n: int


class Build:
    """A release on a shared namespace; it polls only when told to."""

    def __init__(self, broker: FairRedisBroker, model: type[BaseModel]) -> None:
        self.flags = Poller(interval_s=3_600)
        # So that every poll lets go what it may.
        self.site = Site(broker, Contracts(hold_ms=1, flags=self.flags))
        self.got: list[BaseModel] = []

        def job(payload: Any) -> None:
            self.got.append(payload)

        job.__annotations__["payload"] = model
        self.actor: Any = dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name="job")(job)


def test_a_newer_message_waits_for_a_worker_of_its_release(new_broker: MakeBroker) -> None:
    """The old worker holds it once, uncharged; the boot of a new one lets it go, and it runs as it was sent."""
    broker = new_broker()
    old, new = Build(broker, Older), Build(new_broker(namespace=broker.namespace), Newer)
    new.actor.send(Newer(n=7))
    with old.site.working():
        assert old.site.ended(1)
        assert eventually(lambda: broker.parked_by_cause(QUEUE) == {"version": 1})

    with new.site.working():
        assert new.site.empty()

    assert (old.site.watch.ends, old.got) == (["parked"], [])
    assert (new.site.watch.ends, new.got) == (["succeeded"], [Newer(n=7)])


def test_what_an_old_worker_holds_beside_a_new_one_is_let_go_again(new_broker: MakeBroker) -> None:
    """In the middle of a deployment: the new one booted before, and lets it go with its next poll."""
    broker = new_broker()
    old, new = Build(broker, Older), Build(new_broker(namespace=broker.namespace), Newer)
    with new.site.working() as worker:
        worker.pause()
        with old.site.working():
            new.actor.send(Newer(n=7))
            assert eventually(lambda: broker.parked_by_cause(QUEUE) == {"version": 1})
        worker.resume()
        new.flags.poll_now()
        assert new.site.empty()

    assert new.got == [Newer(n=7)]


def test_a_message_of_an_unknown_actor_waits_for_a_worker_that_has_it(new_broker: MakeBroker) -> None:
    """It is neither an attempt nor a dead letter on the worker that does not."""
    broker, letters = new_broker(), MemoryDeadLetterStore()
    without = Site(broker, DeadLetters(letters))
    without.actor("other")
    having = Build(new_broker(namespace=broker.namespace), Newer)
    having.actor.send(Newer(n=7))
    with without.working():
        assert eventually(lambda: broker.parked_by_cause(QUEUE) == {"actor": 1})

    with having.site.working():
        assert having.site.empty()

    assert (without.watch.begun, list(letters.of_every_org().list())) == ([], [])
    assert having.got == [Newer(n=7)]


def test_a_message_that_killed_its_workers_is_one_dead_letter_and_runs_nothing(
    new_broker: MakeBroker, servers: Servers
) -> None:
    """Category poison, told once as a failure; no claim is taken, no success is told."""
    broker, letters = new_broker(), MemoryDeadLetterStore()
    client = counting(servers)
    site = Site(
        broker,
        Metrics(sample_every_s=None),
        DeadLetters(letters),
        Idempotency(RedisIdempotencyStore(client, prefix=broker.base)),
        Callbacks(),
    )
    site.actor("failed")
    site.actor("succeeded")
    message = site.actor(on_failure="failed", on_success="succeeded").send({"idempotency_key": "k"})
    for _ in range(4):
        died_with_it(new_broker(namespace=broker.namespace))

    with client, handling(emitted := Emitted()), site.working():
        assert site.empty()

        assert client.trips == 0
    (letter,) = letters.of_every_org().list()
    assert (letter.message_id, letter.category) == (message.message_id, "poison")
    assert "4 workers died with this message" in letter.message
    assert site.ran == ["failed"]
    assert site.watch.ends == ["failed", "succeeded"]
    assert emitted.of("attempts_total", actor="job", outcome="failed", category="poison") == [1]


def died_with_it(broker: FairRedisBroker) -> None:
    """Somebody fetches the message and is killed."""
    consumer = broker.consume(QUEUE, timeout=2_000)
    message = next(consumer)
    assert isinstance(message, LeasedMessage)
    worker_id = broker.worker_id
    assert worker_id is not None
    broker.report_death(worker_id, -9, stopped=False)


def test_bytes_that_cannot_be_kept_yet_are_not_given_up(new_broker: MakeBroker) -> None:
    """The store is asked until it has them; the good messages beside them run meanwhile."""
    letters = Flaky(failures=2)
    site = Site(new_broker(), DeadLetters(letters))
    actor = site.actor()
    put_raw(site.broker, QUEUE, b"?")
    actor.send()

    with site.working():
        assert site.empty()

    assert [each.raw for each in letters.of_every_org().list()] == [b"?"]
    assert site.ran == ["job"]


def test_parked_messages_are_measured_by_what_they_wait_for(new_broker: MakeBroker) -> None:
    """With the queue's depth and the age of the oldest."""
    site = Site(new_broker(), Metrics(sample_every_s=0.01))
    message: dramatiq.Message[Any] = site.actor().message()
    site.broker.park(message, delay_ms=3_600_000, cause="ai is down", key="breaker:ai")

    with handling(emitted := Emitted()), site.working():
        assert eventually(lambda: bool(emitted.of("queue_parked", queue=QUEUE, cause="breaker")))
        site.broker.release("breaker:ai")
        assert eventually(lambda: emitted.of("queue_parked", cause="breaker")[-1] == 0)

    assert emitted.of("queue_parked", cause="breaker")[0] == 1
    assert emitted.of("queue_depth", queue=QUEUE)[0] == 1


def test_a_proxy_that_is_no_lease_ends_its_claim_itself(new_broker: MakeBroker, servers: Servers) -> None:
    """Somebody who runs the hooks by hand gets what a stock broker gives."""
    site, client = keyed(new_broker(), servers)
    message = MessageProxy(site.actor().message({"idempotency_key": "k"}))
    with client:
        site.broker.emit_before("process_message", message)
        site.broker.emit_after("process_message", message)
        (claim,) = client.scan_iter(f"{site.broker.base}:idempotency:*")
        assert client.hget(claim, "state") == b"done"
