"""Pauses on a broker that has gates: what is paused is not fetched, whichever process says so, and when."""

from typing import Any

import dramatiq
import pytest
from dramatiq.errors import ConnectionClosed

from middleware import PauseControl, Retries
from middleware.base.gates import TELL_AGAIN_S, GatePublisher, Shut
from middleware.base.poller import Poller
from middleware.pauses.guard import Pauses
from middleware.pauses.memory import MemoryPauseStore
from middleware.region_concurrency.guard import RegionConcurrency
from tests.middleware.brokers import replace_stack
from tests.middleware.delegating_broker import NOW_MS, EnforcingBroker


class Process:
    """One worker process's guard, booted and polled only when told to."""

    def __init__(
        self, broker: EnforcingBroker, store: MemoryPauseStore, *, region: str | None = None
    ) -> None:
        self.broker = broker
        self.guard = Pauses(store, flags=Poller(interval_s=3_600))
        replace_stack(broker, self.guard, RegionConcurrency(region=region), Retries(max_retries=0))

    def boot(self) -> None:
        self.guard.before_worker_boot(self.broker, dramatiq.Worker(self.broker))

    def stop(self) -> None:
        self.guard.after_worker_shutdown(self.broker, dramatiq.Worker(self.broker))


@pytest.fixture
def broker() -> EnforcingBroker:
    """A broker with gates."""
    return EnforcingBroker()


@pytest.fixture
def store() -> MemoryPauseStore:
    """Where pauses are kept."""
    return MemoryPauseStore()


@pytest.fixture
def switch(store: MemoryPauseStore) -> PauseControl:
    """Pauses and resumes."""
    return PauseControl(store)


@pytest.mark.parametrize(
    ("asked", "gate", "named"),
    [
        ({"queue": "media"}, "q:media", "queue media"),
        ({"actor": "resize"}, "a:resize", "actor resize"),
        ({"org": "acme"}, "o:acme", "org acme"),
        ({"actor": "resize", "org": "acme"}, "x:acme:resize", "actor resize of org acme"),
    ],
    ids=lambda value: str(value),
)
def test_each_kind_of_pause_has_its_gate(
    broker: EnforcingBroker,
    store: MemoryPauseStore,
    switch: PauseControl,
    asked: dict[str, str],
    gate: str,
    named: str,
) -> None:
    """It says who paused what, and opens when it is resumed."""
    process = Process(broker, store)
    process.boot()
    switch.pause(**asked, who="ada")  # type: ignore[arg-type]  # only texts are asked for
    process.guard.refresh()
    assert broker.gates == {"pauses": {gate: (0, f"paused: {named} by ada")}}

    switch.resume(**asked)
    process.guard.refresh()
    assert broker.gates == {"pauses": {}}


def test_a_pause_with_an_end_ends_by_the_brokers_clock(
    broker: EnforcingBroker, store: MemoryPauseStore, switch: PauseControl
) -> None:
    """The two clocks need not agree: what counts is how long it still lasts."""
    process = Process(broker, store)
    switch.pause(queue="media", who="ada", for_ms=60_000)
    process.boot()

    ((until_ms, _),) = broker.gates["pauses"].values()
    assert NOW_MS + 50_000 < until_ms <= NOW_MS + 60_000


def test_of_two_levels_the_later_end_holds(broker: EnforcingBroker, store: MemoryPauseStore) -> None:
    """An org that resumes its own queue does not resume what the platform holds."""
    platform, org = PauseControl(store), PauseControl(store, level="org")
    process = Process(broker, store)
    process.boot()
    org.pause(queue="media", who="bob", for_ms=3_600_000)
    platform.pause(queue="media", who="ada", for_ms=7_200_000)
    process.guard.refresh()
    assert broker.gates["pauses"]["q:media"][1] == "paused: queue media by ada"

    org.pause(queue="media", who="bob")
    process.guard.refresh()
    assert broker.gates["pauses"]["q:media"] == (0, "paused: queue media by bob")

    platform.pause(queue="media", who="ada", for_ms=7_200_000)
    process.guard.refresh()
    assert broker.gates["pauses"]["q:media"] == (0, "paused: queue media by bob")


def test_nothing_is_said_while_nothing_changes(
    broker: EnforcingBroker, store: MemoryPauseStore, switch: PauseControl
) -> None:
    """Once at boot, once a change, whatever the poll does."""
    process = Process(broker, store)
    process.boot()
    switch.pause(queue="media", who="ada", for_ms=3_600_000)
    for _ in range(5):
        process.guard.refresh()

    assert [set(gates) for _, gates in broker.reported] == [set(), {"q:media"}]


def test_it_is_said_again_until_the_broker_has_heard_it(
    broker: EnforcingBroker, store: MemoryPauseStore, switch: PauseControl
) -> None:
    """A broker that was away when the pause was fetched hears of it later."""
    process = Process(broker, store)
    process.boot()
    switch.pause(queue="media", who="ada")
    broker.is_away = True
    with pytest.raises(ConnectionClosed):
        process.guard.refresh()

    broker.is_away = False
    process.guard.refresh()
    assert set(broker.gates["pauses"]) == {"q:media"}


def test_it_is_said_again_now_and_then(broker: EnforcingBroker) -> None:
    """A process that was slow, said something outdated and died has not the last word."""
    now_s = [0.0]
    keeper = GatePublisher(broker, "pauses", monotonic=lambda: now_s[0])
    gates = {"q:media": Shut(None, 0, "paused")}
    assert keeper.tell(gates)
    broker.gates["pauses"] = {}

    assert not keeper.tell(gates)
    now_s[0] = TELL_AGAIN_S
    assert keeper.tell(gates)
    assert broker.gates["pauses"] == {"q:media": (0, "paused")}


def test_a_process_that_starts_later_opens_nothing(
    broker: EnforcingBroker, store: MemoryPauseStore, switch: PauseControl
) -> None:
    """It says what it has fetched, never that there is nothing before it knows; one that stops says nothing."""
    first, second = Process(broker, store), Process(broker, store)
    switch.pause(queue="media", who="ada")
    first.boot()
    second.boot()
    first.stop()

    assert [set(gates) for _, gates in broker.reported] == [{"q:media"}, {"q:media"}]


def test_a_process_that_cannot_know_says_nothing(broker: EnforcingBroker) -> None:
    """With the store away at boot, what others shut stays shut."""

    class Away(MemoryPauseStore):
        def read(self, since: int) -> Any:
            raise TimeoutError

    Process(broker, Away()).boot()

    assert broker.reported == []


def test_a_queue_is_paused_in_every_region(
    broker: EnforcingBroker, store: MemoryPauseStore, switch: PauseControl
) -> None:
    """Each region's processes shut its own queues, and leave those of the others alone."""
    eu, us = Process(broker, store, region="eu"), Process(broker, store, region="us")
    switch.pause(queue="media", who="ada")
    for process in (eu, us):
        replace_stack(broker, process.guard, RegionConcurrency(region="eu" if process is eu else "us"))
        process.boot()

    shut = {gate for gates in broker.gates.values() for gate in gates}
    assert shut == {"q:media", "q:media.eu", "q:media.us"}


def test_a_broker_that_leaves_gates_to_the_guard_is_asked_nothing(
    store: MemoryPauseStore, switch: PauseControl
) -> None:
    """It parks them itself, as anywhere."""
    broker = EnforcingBroker(refuses=["gates"])
    process = Process(broker, store)
    switch.pause(queue="media", who="ada")
    process.boot()
    process.guard.refresh()

    assert broker.reported == []
