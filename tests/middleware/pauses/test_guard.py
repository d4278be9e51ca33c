"""The pauses guard, on Dramatiq's stub broker and on a real server."""

import threading
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries as DramatiqRetries

from middleware import (
    Cancellation,
    CancellationClient,
    Cron,
    Deadlines,
    PauseControl,
    Retries,
    StoreUnavailable,
    cron,
)
from middleware.base.poller import Poller
from middleware.cancellation.memory import MemoryCancellationStore
from middleware.cron.memory import MemoryCronStore
from middleware.cron.sending import minute_of, moment_of
from middleware.pauses.guard import Pauses
from middleware.pauses.memory import MemoryPauseStore
from middleware.pauses.pauses import PauseTarget
from middleware.pauses.redis import RedisPauseStore
from tests.middleware.brokers import replace_stack, work
from tests.middleware.cancellation.cancellable_broker import Outcomes
from tests.middleware.eventually import eventually
from tests.middleware.own_server import own_valkey
from tests.middleware.pauses.pausable_broker import PARK_MS, Rig
from tests.middleware.recorded_metrics import Emitted, handling


@pytest.fixture
def rig(bare_broker: dramatiq.Broker) -> Rig:
    """The guard above retries."""
    return Rig(bare_broker)


@pytest.mark.parametrize("kind", ["queue", "actor", "org", "org_actor"])
def test_what_is_paused_waits_and_runs_when_it_is_resumed(rig: Rig, kind: str) -> None:
    """Uncharged, however often it was looked at, and everything else runs meanwhile."""
    rig.declare("held")
    rig.declare("free", queue_name=f"{rig.queue}-free")
    what = {"queue": rig.queue, "actor": "held", "org": "acme"}
    asked = {name: what[name] for name in ("actor", "org") if name in kind} or {"queue": rig.queue}
    rig.switch.pause(**asked, who="ada")  # type: ignore[arg-type]  # only texts are asked for
    rig.send("held", org="acme")
    rig.send("free", org="other")

    with rig.working():
        assert eventually(lambda: rig.ran == ["free"])
        assert rig.parked(3)
        assert rig.ran == ["free"]
        assert rig.switch.resume(**asked)
        rig.guard.refresh()

    assert rig.ran == ["free", "held"]
    assert set(rig.outcomes.seen) == {"parked", "succeeded"}


@pytest.mark.parametrize(
    "asked",
    [
        {"queue": "another"},
        {"actor": "another"},
        {"org": "another"},
        {"actor": "another", "org": "acme"},
        {"actor": "job", "org": "another"},
    ],
    ids=str,
)
def test_what_is_not_meant_runs(rig: Rig, asked: dict[str, str]) -> None:
    """A pause holds back what it names and nothing beside it."""
    rig.declare()
    rig.switch.pause(**asked, who="ada")  # type: ignore[arg-type]  # only texts are asked for
    rig.send(org="acme")

    work(rig.broker, rig.queue)

    assert rig.outcomes.seen == ["succeeded"]


def test_the_park_says_what_and_who(rig: Rig) -> None:
    """Whoever asks why a job does not run learns it; labels stay few."""
    messages: list[dict[str, Any]] = []
    rig.declare()
    rig.switch.pause(actor="job", org="acme", who="ada", reason="because")
    rig.send(org="acme")

    class Looking(Outcomes):
        def ended(self, broker: dramatiq.Broker, message: MessageProxy, attempt: Any) -> None:
            messages.append(dict(message.options))

    rig.broker.add_middleware(Looking())
    with handling(emitted := Emitted()), rig.working():
        assert rig.parked()
        rig.switch.resume(actor="job", org="acme")
        rig.guard.refresh()

    assert messages[0]["parked"]["cause"] == "paused: actor job of org acme by ada"
    labels = {"actor": "job", "queue": rig.queue, "what": "org_actor"}
    assert emitted.labels_of("messages_paused_total")[0] == labels
    assert emitted.labels_of("messages_parked_total")[0] == {"actor": "job", "cause": "pause"}


def test_a_job_that_runs_goes_on_to_its_end(rig: Rig) -> None:
    """A pause interrupts nothing, and holds the next one."""
    started, go_on = threading.Event(), threading.Event()

    def body() -> None:
        started.set()
        assert go_on.wait(10)

    rig.declare(body=body)
    rig.send()
    with rig.working():
        assert started.wait(10)
        rig.switch.pause(queue=rig.queue, who="ada")
        rig.guard.refresh()
        rig.send()
        assert rig.parked()
        go_on.set()
        assert eventually(lambda: rig.ran == ["job"])
        assert rig.parked()
        assert rig.ran == ["job"]
        rig.switch.resume(queue=rig.queue)
        rig.guard.refresh()

    assert rig.ran == ["job", "job"]


def test_a_delayed_message_is_held_when_it_comes_due(rig: Rig) -> None:
    """Its delay does not carry it around a pause of its queue."""
    rig.declare()
    rig.switch.pause(queue=rig.queue, who="ada")
    rig.send(delay=30)

    with rig.working():
        assert rig.parked()
        rig.switch.resume(queue=rig.queue)
        rig.guard.refresh()

    assert rig.ran == ["job"]


def test_one_of_two_pauses_ends_and_the_other_holds(rig: Rig) -> None:
    """Resuming the queue does not resume the actor."""
    rig.declare()
    rig.switch.pause(queue=rig.queue, who="ada")
    rig.switch.pause(actor="job", who="bob")
    rig.send()

    with rig.working():
        assert rig.parked()
        rig.switch.resume(queue=rig.queue)
        rig.guard.refresh()
        assert rig.parked(2)
        rig.switch.resume(actor="job")
        rig.guard.refresh()

    assert rig.ran == ["job"]


def test_a_cancelled_message_does_not_wait_for_the_end_of_a_pause(bare_broker: dramatiq.Broker) -> None:
    """Cancellation stands before pauses: a paused queue can be emptied."""
    rig = Rig(bare_broker)
    requests = MemoryCancellationStore()
    cancellation = Cancellation(requests, flags=Poller(interval_s=3_600))
    replace_stack(bare_broker, rig.outcomes, cancellation, rig.guard, Retries(max_retries=0))
    rig.declare()
    rig.switch.pause(queue=rig.queue, who="ada")
    rig.send()
    CancellationClient(requests).cancel_all(actor="job")

    work(bare_broker, rig.queue)

    assert rig.outcomes.seen == ["cancelled"]


def test_a_message_gets_older_in_a_pause(bare_broker: dramatiq.Broker) -> None:
    """Past its time it is rejected as any other, once the pause is over, and not before."""
    rig = Rig(bare_broker)
    now_ms = [1.0]
    deadlines = Deadlines(now_ms=lambda: now_ms[0])
    replace_stack(bare_broker, rig.outcomes, rig.guard, deadlines, Retries(max_retries=0))
    rig.declare()
    rig.switch.pause(queue=rig.queue, who="ada")
    rig.send(expires_at=1_000)

    with rig.working():
        assert rig.parked()
        now_ms[0] = 2_000.0
        assert rig.parked(2)
        rig.switch.resume(queue=rig.queue)
        rig.guard.refresh()

    assert rig.ran == []
    assert rig.outcomes.seen[-1] == "expired"


def test_ticks_of_a_paused_schedule_run_as_one_when_it_is_resumed(bare_broker: dramatiq.Broker) -> None:
    """They wait unclaimed, and the first that runs covers the others."""
    rig = Rig(bare_broker)
    noon = minute_of(datetime(2026, 3, 2, 12, tzinfo=UTC))
    guard = Cron(MemoryCronStore(), now=lambda: moment_of(noon + 5))
    replace_stack(bare_broker, rig.outcomes, rig.guard, guard, Retries(max_retries=0))
    rig.declare(periodic=cron("* * * * *", missed="coalesce"))
    rig.switch.pause(actor="job", who="ada")
    for minute in range(3):
        rig.send(cron_tick=moment_of(noon + minute).isoformat())

    with rig.working():
        assert rig.parked(6)
        rig.switch.resume(actor="job")
        rig.guard.refresh()

    assert rig.ran == ["job"]
    assert rig.outcomes.seen.count("skipped") == 2


def test_it_works_by_itself_beside_the_vanilla_middleware(bare_broker: dramatiq.Broker) -> None:
    """Added to a broker as it comes, with Dramatiq's own retries: parks cost no attempt there either."""
    assert any(type(each) is DramatiqRetries for each in bare_broker.middleware)
    rig = Rig.__new__(Rig)
    rig.broker, rig.queue, rig.ran, rig.outcomes = bare_broker, f"q{uuid4().hex}", [], Outcomes()
    store = MemoryPauseStore()
    rig.guard = Pauses(store, park_ms=PARK_MS, flags=Poller(interval_s=3_600))
    bare_broker.add_middleware(rig.outcomes)
    bare_broker.add_middleware(rig.guard)
    rig.declare(max_retries=1)
    PauseControl(store).pause(queue=rig.queue, who="ada")
    rig.send()

    with rig.working():
        assert rig.parked(4)
        PauseControl(store).resume(queue=rig.queue)
        rig.guard.refresh()

    assert rig.ran == ["job"]


def test_with_the_store_gone_what_was_known_stays_in_force() -> None:
    """What is paused waits, all else runs, and what changed is heard when it is back."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        store = RedisPauseStore(client)
        rig = Rig(StubBroker(middleware=[]))
        rig.guard = Pauses(store, park_ms=PARK_MS, flags=Poller(interval_s=3_600))
        replace_stack(rig.broker, rig.outcomes, rig.guard, Retries(max_retries=0))
        rig.declare("held")
        rig.declare("free")
        switch = PauseControl(store)
        switch.pause(actor="held", who="ada")
        rig.send("held")
        rig.send("free")
        with rig.working():
            assert rig.parked()
            server.stop()
            with pytest.raises(StoreUnavailable):
                switch.resume(actor="held")
            with pytest.raises(StoreUnavailable):
                rig.guard.refresh()
            assert rig.parked(2)
            assert rig.ran == ["free"]

            server.start()
            switch.pause(actor="another", who="ada")
            rig.guard.refresh()

        assert rig.ran == ["free", "held"]
        assert [each.what for each in switch.in_force()] == [PauseTarget(actor="another")]
