"""Pauses and circuit breakers as gates of the fair broker: what is shut is not fetched, and goes on when it opens."""

from typing import Any

import pytest
import redis

from middleware import PauseControl
from middleware.base.poller import Poller
from middleware.circuit_breakers.guard import CircuitBreakers
from middleware.circuit_breakers.redis import RedisCircuitBreakerStore
from middleware.circuit_breakers.state import BreakerRule
from middleware.pauses.guard import Pauses
from middleware.pauses.redis import RedisPauseStore
from middleware.region_concurrency.guard import RegionConcurrency, in_region
from tests.broker.guards.conftest import MakeBroker
from tests.broker.guards.delegated import QUEUE, Site
from tests.middleware.circuit_breakers.breaker_helpers import fail
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow


class Paused(Site):
    """With pauses, which are polled only when told to."""

    def __init__(
        self, new_broker: MakeBroker, client: "redis.Redis", *, namespace: str | None = None
    ) -> None:
        broker = new_broker(**({} if namespace is None else {"namespace": namespace}))
        store = RedisPauseStore(client, prefix=broker.namespace)
        self.switch = PauseControl(store)
        self.guard = Pauses(store, flags=Poller(interval_s=3_600))
        super().__init__(broker, self.guard)


@pytest.mark.parametrize("kind", ["queue", "actor", "org", "org_actor"])
def test_what_is_paused_is_not_fetched_until_it_is_resumed(
    new_broker: MakeBroker, redis_client: "redis.Redis", kind: str
) -> None:
    """No attempt of it begins; what is not meant runs; the one poll that hears of the end lets it go."""
    site = Paused(new_broker, redis_client)
    held = site.actor("held")
    free = site.actor("free", queue="other" if kind == "queue" else QUEUE)
    what: dict[str, Any] = {
        "queue": {"queue": QUEUE},
        "actor": {"actor": "held"},
        "org": {"org": "acme:eu"},
        "org_actor": {"actor": "held", "org": "acme:eu"},
    }[kind]
    site.switch.pause(**what, who="ada")
    for _ in range(3):
        held.send({"org_id": "acme:eu"})
    free.send_with_options(org="other")

    with site.working():
        assert site.ended(1)
        assert site.leaves(3)
        assert site.ran == ["free"]
        site.switch.resume(**what)
        site.guard.refresh()
        assert site.empty()

    assert site.watch.ends == ["succeeded"] * 4


def test_a_pause_in_the_middle_lets_only_what_was_fetched_be_parked(
    new_broker: MakeBroker, redis_client: "redis.Redis"
) -> None:
    """Of a thousand that wait, the rest stays where it is."""
    site = Paused(new_broker, redis_client)

    def pause() -> None:
        site.switch.pause(actor="job", who="ada")
        site.guard.refresh()

    actor = site.actor(body=pause)
    for _ in range(1_000):
        actor.send_with_options(org="acme")

    with site.working(threads=1):
        assert site.ended(1)
    looked_at = len(site.watch.ends)
    with site.working(threads=1):
        site.switch.resume(actor="job")
        site.guard.refresh()
        assert site.ended(looked_at + 1)
        site.switch.resume(actor="job")
        site.guard.refresh()

    # At most what a process fetches ahead.
    assert looked_at <= 130


def test_a_process_that_boots_or_stops_leaves_shut_what_is_shut(
    new_broker: MakeBroker, redis_client: "redis.Redis"
) -> None:
    """Neither by what it does not know yet nor by leaving."""
    first = Paused(new_broker, redis_client)
    first.actor().send()
    first.switch.pause(actor="job", who="ada")
    second = Paused(new_broker, redis_client, namespace=first.broker.namespace)
    second.actor()
    second.actor("other").send()

    with first.working():
        pass
    with second.working():
        assert second.ended(1)

    assert (first.ran, second.ran, second.left()) == ([], ["other"], 1)


def test_a_queue_is_paused_in_its_regions_too(new_broker: MakeBroker, redis_client: "redis.Redis") -> None:
    """The region's own queue is behind the gate of the queue it belongs to."""
    broker = new_broker()
    store = RedisPauseStore(redis_client, prefix=broker.namespace)
    guard = Pauses(store, flags=Poller(interval_s=3_600))
    site = Site(broker, guard, RegionConcurrency(region="eu"))
    actor = site.actor()
    PauseControl(store).pause(queue=QUEUE, who="ada")
    broker.enqueue(in_region(actor.message(), "eu"))
    site.actor("free", queue="other").send()

    with site.working():
        assert site.ended(1)
        assert (site.ran, broker.do_qsize(f"{QUEUE}.eu")) == (["free"], 1)
        PauseControl(store).resume(queue=QUEUE)
        guard.refresh()
        assert site.ended(2)

    assert site.watch.ends == ["succeeded"] * 2


class Broken(Site):
    """With circuit breakers, which are polled only when told to."""

    def __init__(self, new_broker: MakeBroker, client: "redis.Redis", rule: BreakerRule) -> None:
        broker = new_broker()
        store = RedisCircuitBreakerStore(client, prefix=broker.namespace)
        self.breakers = CircuitBreakers(store, rule=rule, flags=Poller(interval_s=3_600), refresh_s=0.001)
        super().__init__(broker, self.breakers)


@pytest.mark.parametrize("how", ["reset", "force_closed"])
def test_jobs_of_a_dead_service_are_not_fetched_until_somebody_closes_it(
    new_broker: MakeBroker, redis_client: "redis.Redis", how: str
) -> None:
    """Others run; an operator's word lets all of them go, those too that were parked when it opened."""
    site = Broken(new_broker, redis_client, BreakerRule(failures=1, open_s=3_600))
    needs, free = site.actor("needs", depends_on="ai"), site.actor("free")
    fail(site.breakers, 1)
    for _ in range(20):
        needs.send_with_options(org="acme")
    free.send_with_options(org="acme")

    with site.working():
        assert site.ended(1)
        assert site.leaves(20)
        assert (site.ran, site.watch.ends) == (["free"], ["succeeded"])
        getattr(site.breakers, how)("ai", "their status page is green")
        site.breakers.refresh()
        assert site.empty()

    assert site.watch.ends == ["succeeded"] * 21


def test_a_circuit_that_opens_meanwhile_shuts_the_gate_and_lets_the_parked_go(
    new_broker: MakeBroker, redis_client: "redis.Redis"
) -> None:
    """The first that finds it open shuts it for the rest; when it is reset, those that were parked come at once."""
    site = Broken(new_broker, redis_client, BreakerRule(failures=1, open_s=3_600))
    broken = [True]

    def call() -> None:
        with site.breakers.calling("ai"):
            if broken[0]:
                broken[0] = False
                raise ConnectionError

    needs = site.actor("needs", call, depends_on="ai")
    for _ in range(500):
        needs.send_with_options(org="acme")

    with site.working(threads=1):
        assert site.ended(2)
        parked = len(site.watch.ends) - 1
        assert site.left() >= 300
        site.breakers.reset("ai", "fine again")
        site.breakers.refresh()
        assert eventually(lambda: site.left() <= site.broker.parked_by_cause(QUEUE).get("breaker", 0))
        site.breakers.refresh()
        assert site.empty()

    assert parked <= 130
    assert site.watch.ends.count("succeeded") == 499


def test_when_its_time_is_over_it_is_tried_by_itself(
    new_broker: MakeBroker, redis_client: "redis.Redis"
) -> None:
    """Nobody has to say so, and no poll."""
    site = Broken(new_broker, redis_client, BreakerRule(failures=1, open_s=0.3, trials=1))

    def call() -> None:
        with site.breakers.calling("ai"):
            pass

    needs = site.actor("needs", call, depends_on="ai")
    fail(site.breakers, 1)
    needs.send()

    with site.working():
        assert site.empty()

    assert site.watch.ends == ["succeeded"]
