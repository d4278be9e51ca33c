"""What can be paused, by whom and for how long, and what it costs to know."""

import threading
from contextlib import nullcontext
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker

from middleware import (
    Parked,
    PauseControl,
    Retries,
    in_region,
)
from middleware.base.poller import Poller
from middleware.pauses.guard import Pauses
from middleware.pauses.memory import MemoryPauseStore
from middleware.pauses.pauses import InForce, PauseCache
from middleware.pauses.redis import RedisPauseStore
from tests.middleware.brokers import replace_stack, work
from tests.middleware.pauses.pausable_broker import Rig


@pytest.fixture
def rig(bare_broker: dramatiq.Broker) -> Rig:
    """The guard above retries."""
    return Rig(bare_broker)


def test_a_pause_ends_with_its_time_also_where_it_is_known() -> None:
    """Without asking, and by the time that passes here, not by what this machine takes the date to be."""
    stores_ms, local_s = [1e12], [7.0]
    store = MemoryPauseStore(now_ms=lambda: stores_ms[0])
    known = PauseCache(store, monotonic=lambda: local_s[0])
    job = dramatiq.actor(broker=StubBroker(middleware=[]), actor_name="job")(lambda: None)
    message = MessageProxy(job.message())
    PauseControl(store).pause(actor="job", who="ada", for_ms=1_000)
    stores_ms[0] += 400
    known.refresh()

    local_s[0] += 0.599
    assert known.match(message) is not None
    local_s[0] += 0.001
    assert known.match(message) is None


def test_what_is_meant_has_to_be_one_of_four_things() -> None:
    """A pause of nothing would be one of everything, and a name or number out of bounds is a mistake."""
    switch = PauseControl(MemoryPauseStore())
    for asked, fault in (
        ({}, "nothing would mean every message there is"),
        ({"queue": "q", "actor": "a"}, "name a queue alone"),
        ({"queue": "q", "org": "o"}, "name a queue alone"),
        ({"actor": ""}, "a name is empty"),
        ({"actor": "a", "who": " "}, "who must say"),
        ({"actor": "a", "who": "x" * 257}, "who must say"),
        ({"actor": "a", "reason": "x" * 2_001}, "reason may have 2000"),
        ({"actor": "a", "for_ms": 0}, "for_ms must be at least 1"),
    ):
        with pytest.raises(ValueError, match=fault):
            switch.pause(**{"who": "ada", **asked})  # type: ignore[arg-type]  # the faults are meant
    with pytest.raises(ValueError, match="name a queue, an actor or an org"):
        switch.resume()
    with pytest.raises(ValueError, match="park_ms must be at least 2"):
        Pauses(MemoryPauseStore(), park_ms=1)
    assert switch.in_force() == []


def test_pauses_are_listed_oldest_first() -> None:
    """With who, why, since and until when."""
    now_ms = [1e12]
    switch = PauseControl(MemoryPauseStore(now_ms=lambda: now_ms[0]))
    switch.pause(queue="q", who="ada", reason="why")
    now_ms[0] += 1
    switch.pause(actor="a", org="o", who="bob", for_ms=5)

    first, second = switch.in_force()
    assert (str(first.what), first.who, first.reason, first.until_ms) == ("queue q", "ada", "why", None)
    assert (str(second.what), second.since_ms, second.until_ms) == (
        "actor a of org o",
        10**12 + 1,
        10**12 + 6,
    )


class Asked(RedisPauseStore):
    """Remembers who asked it what is paused."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client, prefix=f"t{uuid4().hex}")
        self.by: list[threading.Thread] = []

    def read(self, since: int) -> InForce | None:
        self.by.append(threading.current_thread())
        return super().read(since)


def test_a_job_costs_no_round_trip_and_a_poll_one(redis_client: redis.Redis) -> None:
    """Workers' threads never ask; the boot and each poll ask once."""
    broker, store = StubBroker(middleware=[]), Asked(redis_client)
    guard = Pauses(store, flags=Poller(interval_s=3_600))
    replace_stack(broker, guard, Retries())
    job = dramatiq.actor(broker=broker, actor_name="job")(lambda: None)
    for _ in range(50):
        job.send()

    work(broker, "default")
    guard.refresh()

    assert store.by == [threading.main_thread()] * 2


def test_a_park_lasts_between_half_and_all_of_what_was_said(rig: Rig) -> None:
    """So that a queue neither comes back at once nor later than promised."""
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    store = MemoryPauseStore()
    guard = Pauses(store, park_ms=1_000, flags=Poller(interval_s=3_600), uniform=uniform)
    PauseControl(store).pause(actor="job", who="ada")
    guard.refresh()
    rig.declare()

    with pytest.raises(dramatiq.Retry) as parked:
        guard.admit(rig.broker, MessageProxy(rig.broker.get_actor("job").message()))

    assert asked == [(500, 1_000)]
    assert parked.value.delay == 500


@pytest.mark.parametrize(("paused", "held"), [("{}", True), ("{}.eu", True), ("{}.us", False)])
def test_a_queue_is_paused_in_every_region_or_in_one(rig: Rig, paused: str, held: bool) -> None:
    """By its own name it means all of its regions' queues."""
    rig.declare()
    rig.switch.pause(queue=paused.format(rig.queue), who="ada")
    rig.guard.refresh()
    message = MessageProxy(in_region(rig.broker.get_actor("job").message(), "eu"))

    with pytest.raises(Parked) if held else nullcontext():
        rig.guard.admit(rig.broker, message)


def test_nobody_resumes_what_another_level_has_paused(rig: Rig) -> None:
    """A customer who pauses and resumes their own does not end what an operator has paused."""
    theirs = PauseControl(rig.store, level="customer")
    rig.declare()
    rig.switch.pause(org="acme", who="operator")
    theirs.pause(org="acme", who="customer")
    rig.send(org="acme")

    with rig.working():
        assert theirs.resume(org="acme")
        assert not theirs.resume(org="acme")
        rig.guard.refresh()
        assert rig.parked(2)
        assert [each.who for each in rig.switch.in_force()] == ["operator"]
        theirs.pause(org="acme", who="customer")
        assert rig.switch.resume(org="acme")
        rig.guard.refresh()
        assert rig.parked(2)
        theirs.resume(org="acme")
        rig.guard.refresh()

    assert rig.ran == ["job"]


def test_an_org_is_found_in_the_payload_too(rig: Rig) -> None:
    """Without the guard that puts it into the options."""
    rig.declare()
    rig.switch.pause(org="acme", who="ada")
    rig.send(args=({"org_id": "acme"},))

    with rig.working():
        assert rig.parked()
        rig.switch.resume(org="acme")
        rig.guard.refresh()

    assert rig.ran == ["job"]


def test_a_message_without_an_org_is_no_orgs(rig: Rig) -> None:
    """It runs while an org is paused, and waits with its queue."""
    rig.declare()
    rig.switch.pause(org="None", who="ada")
    rig.send()

    work(rig.broker, rig.queue)

    assert rig.outcomes.seen == ["succeeded"]
