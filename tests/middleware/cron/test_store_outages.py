"""Schedulers and ticks while a server is really gone, and what a tick costs."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from pydantic import BaseModel

from middleware import Contracts, StoreUnavailable
from middleware.cron.guard import Cron, cron
from middleware.cron.redis import RedisCronStore
from middleware.cron.sending import SEND_WAITS_S
from tests.middleware.cron.scheduled_actor import Stage
from tests.middleware.own_server import own_valkey
from tests.middleware.recorded_metrics import Emitted, handling


@pytest.fixture
def emitted() -> Iterator[Emitted]:
    """Every metric of the test."""
    seen = Emitted()
    with handling(seen):
        yield seen


def redis_stage(url: str, **options: Any) -> Stage:
    """A stage whose broker is on a server of its own."""
    broker = RedisBroker(url=url, namespace=uuid4().hex)  # type: ignore[no-untyped-call]
    return Stage(broker, **options)


def test_a_scheduler_outlives_a_broker_that_is_gone_and_its_ticks_are_found(emitted: Emitted) -> None:
    """It repeats for a while, gives up and goes on; when the broker is back workers find what was lost."""
    with own_valkey() as server:
        stage = redis_stage(server.url, missed="catch_up")
        stage.guard.find_missed(stage.broker)
        stage.schedule("12:01")
        server.stop()
        stage.schedule("12:02")
        assert stage.waits == list(SEND_WAITS_S)
        stage.schedule("12:03")
        assert stage.waits == list(SEND_WAITS_S)
        server.start()
        stage.schedule("12:04")
        stage.clock.at("12:05", 30)

        assert stage.guard.find_missed(stage.broker) == 2
        stage.work()

        # The server forgot what it had: 12:01 was sent, and is the broker's to lose.
        assert sorted(stage.ran) == ["12:02", "12:03", "12:04"]
        assert emitted.labels_of("cron_sends_failed_total") == [{"actor": stage.actor_name}] * 2
        close(stage)


def close(stage: Stage) -> None:
    assert isinstance(stage.broker, RedisBroker)
    stage.broker.client.close()


def test_a_short_absence_loses_nothing() -> None:
    """A broker that comes back while it is waited for gets the tick."""
    with own_valkey() as server:
        stage = redis_stage(server.url)
        server.stop()
        stage.on_wait = lambda: server.start() if len(stage.waits) == 3 else None
        stage.schedule("12:00")
        stage.work()

        assert stage.ran == ["12:00"]
        close(stage)


def test_a_tick_that_is_refused_does_not_end_the_scheduler_either(bare_broker: dramatiq.Broker) -> None:
    """A payload that does not fit is a fault of one actor; the others' ticks are sent."""
    stage = Stage(bare_broker)
    bare_broker.add_middleware(Contracts(), before=Cron)

    class Clean(BaseModel):
        days: int

    @dramatiq.actor(
        broker=bare_broker, queue_name=stage.queue, actor_name="a_clean", periodic=cron("* * * * *")
    )
    def clean(job: Clean) -> None: ...

    bare_broker.actors = dict(sorted(bare_broker.actors.items()))
    stage.schedule("12:00")
    stage.work()

    assert (stage.ran, stage.waits) == (["12:00"], [])


def test_other_sends_fail_as_ever() -> None:
    """Only what a scheduler sends is repeated; a caller is told."""
    with own_valkey() as server:
        stage = redis_stage(server.url)
        server.stop()

        with pytest.raises(redis.ConnectionError):
            stage.actor.send()
        with pytest.raises(redis.ConnectionError):
            stage.actor.send_with_options(delay=5)
        assert stage.waits == []
        close(stage)


@pytest.mark.parametrize("on_error", ["park", "allow"])
def test_while_the_store_is_away_ticks_wait_or_run_as_chosen(
    bare_broker: dramatiq.Broker, emitted: Emitted, on_error: str
) -> None:
    """Parked until it is back and then run once, or run at once unguarded, twins and all."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        stage = Stage(bare_broker, store=RedisCronStore(client), guard={"on_error": on_error})
        server.stop()
        came_back: list[int] = []

        class Returns(dramatiq.Middleware):
            def before_enqueue(self, broker: dramatiq.Broker, message: object, delay: int | None) -> None:
                if delay and not came_back:
                    came_back.append(len(stage.ran))
                    server.start()

        bare_broker.add_middleware(Returns())
        stage.schedule("12:00", schedulers=2)
        stage.work()

        assert stage.ran == (["12:00"] if on_error == "park" else ["12:00", "12:00"])
        assert came_back == ([0] if on_error == "park" else [])
        assert emitted.of("guard_errors_total", guard="Cron")

        server.stop()
        with pytest.raises(StoreUnavailable):
            stage.guard.find_missed(bare_broker)


def test_a_tick_costs_two_round_trips_and_other_messages_none() -> None:
    """One to claim and one to release; none where a message has no tick."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        stage = Stage(dramatiq.brokers.stub.StubBroker(), store=RedisCronStore(client))
        stage.guard.find_missed(stage.broker)
        stage.schedule("12:00")
        stage.work()
        before = round_trips(client)
        stage.actor.send()
        stage.work()
        by_hand = round_trips(client) - before
        stage.schedule("12:01")
        sent = round_trips(client) - before - by_hand
        stage.work()

        # A worker's first look is one, and one more when there is something to account for.
        looks = by_hand
        assert looks <= 1
        assert sent == 1
        assert round_trips(client) - before - by_hand - sent == 2 + looks


def round_trips(client: redis.Redis) -> int:
    """How many scripts the server has run."""
    return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])
