"""Ticks that nobody sent are noticed by workers, and marks of running ones are kept."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from pydantic import BaseModel

from middleware import Contracts
from middleware.cron.guard import Cron, cron
from middleware.cron.memory import MemoryCronStore
from tests.middleware.brokers import stored
from tests.middleware.cron.scheduled_actor import Stage, wait_for
from tests.middleware.recorded_metrics import Emitted, handling


@pytest.fixture
def emitted() -> Iterator[Emitted]:
    """Every metric of the test."""
    seen = Emitted()
    with handling(seen):
        yield seen


@pytest.fixture
def stage(bare_broker: dramatiq.Broker) -> Stage:
    """A schedule of every minute."""
    return Stage(bare_broker)


def test_a_running_ticks_mark_is_renewed(stage: Stage) -> None:
    """While its process lives, a long run stays marked; when it is gone, its mark ends."""
    stage.schedule("12:00")
    proxy = MessageProxy(stored(stage.broker, stage.queue)[0])
    stage.guard.before_process_message(stage.broker, proxy)
    for minute in range(1, 5):
        stage.clock.at(f"12:0{minute}", minute)
        stage.guard.renew_running()

    def claim() -> str:
        options: dict[str, Any] = {"window_s": 60, "exclusive_s": 60, "covers": None, "owed": True}
        return stage.store.claim(stage.actor_name, 1, "other", **options)

    assert claim() == "busy"
    stage.clock.at("12:06")
    assert claim() == "granted"


def test_a_worker_looks_and_renews_by_itself(bare_broker: dramatiq.Broker, emitted: Emitted) -> None:
    """Nobody has to call anything: a run of many leases stays marked and missed ticks are counted."""
    stage = Stage(
        bare_broker,
        store=MemoryCronStore(),
        guard={"run_lease_s": 0.2, "watch_every_s": 0.1},
    )
    stage.store.look(stage.actor_name, "* * * * * UTC", "an earlier worker", lease_s=0.001)
    stage.clock.moment = datetime.now(UTC) + timedelta(minutes=10)

    def claim() -> str:
        options: dict[str, Any] = {"window_s": 60, "exclusive_s": 60, "covers": None, "owed": True}
        return stage.store.claim(stage.actor_name, 1, "other", **options)

    def run() -> None:
        assert wait_for(lambda: bool(emitted.of("cron_missed_total")))
        assert not threading.Event().wait(0.5)
        assert claim() == "busy"

    stage.act = run
    now = stage.clock.moment
    stage.actor.send_with_options(scheduled_at=now.isoformat())
    stage.work()

    assert stage.ran[0].startswith(now.strftime("%Y-%m-%dT%H:%M"))
    assert claim() == "granted"
    assert "pressroom-cron" not in {thread.name for thread in threading.enumerate()}


def away(stage: Stage) -> None:
    """A worker looks at noon, and then no scheduler runs for ten minutes."""
    assert stage.guard.find_missed(stage.broker) == 0
    stage.clock.at("12:10", 30)


def test_a_schedule_nobody_runs_is_noticed(stage: Stage, emitted: Emitted, caplog: Any) -> None:
    """What was due is counted and logged, with whatever is missed skipped, and counted once."""
    away(stage)

    assert stage.guard.find_missed(stage.broker) == 9
    assert stage.guard.find_missed(stage.broker) == 0
    assert emitted.of("cron_missed_total") == [9]
    assert "9 ticks" in caplog.text
    assert "does a scheduler run?" in caplog.text
    stage.work()
    assert stage.ran == []


def test_missed_ticks_are_coalesced_into_the_latest(bare_broker: dramatiq.Broker) -> None:
    """Nine were missed and one runs."""
    stage = Stage(bare_broker, missed="coalesce")
    away(stage)

    assert stage.guard.find_missed(stage.broker) == 9
    stage.work()

    assert stage.ran == ["12:09"]


def test_missed_ticks_are_caught_up_with_one_by_one(bare_broker: dramatiq.Broker) -> None:
    """The latest of them run, at most the limit, none at the same time as another and none skipped."""
    stage = Stage(bare_broker, missed="catch_up", catch_up_limit=4)
    running = threading.Semaphore(1)

    def only() -> None:
        assert running.acquire(blocking=False)
        assert not threading.Event().wait(0.02)
        running.release()

    stage.act = only
    away(stage)
    assert stage.guard.find_missed(stage.broker) == 9
    stage.work()

    assert sorted(stage.ran) == ["12:06", "12:07", "12:08", "12:09"]


def test_a_hole_between_ticks_that_were_sent_is_found(bare_broker: dramatiq.Broker) -> None:
    """Ticks lost in between are missed although later ones were sent."""
    stage = Stage(bare_broker, missed="catch_up")
    stage.guard.find_missed(stage.broker)
    for at in ("12:01", "12:02", "12:05", "12:06"):
        stage.schedule(at)
    stage.clock.at("12:07", 30)

    assert stage.guard.find_missed(stage.broker) == 2
    stage.work()

    assert sorted(stage.ran) == ["12:01", "12:02", "12:03", "12:04", "12:05", "12:06"]


def test_what_waits_in_a_queue_is_not_missed(stage: Stage) -> None:
    """A tick that was sent is on its way, however long the way is."""
    stage.guard.find_missed(stage.broker)
    for minute in range(1, 8):
        stage.schedule(f"12:0{minute}")
    stage.clock.at("12:08", 30)

    assert stage.guard.find_missed(stage.broker) == 0


def test_one_of_many_workers_looks(stage: Stage) -> None:
    """Ten processes look at the same time; one of them finds and makes up."""
    guards = [stage.make_guard() for _ in range(10)]
    guards[0].find_missed(stage.broker)
    stage.clock.at("12:10", 30)

    assert sorted(guard.find_missed(stage.broker) for guard in guards) == [*[0] * 9, 9]


def test_no_more_than_the_window_is_looked_back_at(stage: Stage) -> None:
    """After a month without anybody there is a day to account for, not a month."""
    stage.guard.find_missed(stage.broker)
    stage.clock.moment += timedelta(days=30)

    assert stage.guard.find_missed(stage.broker) == 24 * 60


def test_a_payload_is_sent_with_every_tick(bare_broker: dramatiq.Broker) -> None:
    """An actor with a contract gets its one argument, also when a tick is made up for."""
    stage = Stage(bare_broker)
    got: list[int] = []

    class Clean(BaseModel):
        days: int

    bare_broker.add_middleware(Contracts(), before=Cron)

    @dramatiq.actor(
        broker=bare_broker,
        queue_name=stage.queue,
        periodic=cron("0 12 * * *", missed="coalesce", payload={"days": 30}),
    )
    def clean(job: Clean) -> None:
        got.append(job.days)

    stage.guard.find_missed(bare_broker)
    stage.schedule("12:00")
    stage.work()
    stage.clock.moment += timedelta(days=1, minutes=2)
    stage.guard.find_missed(bare_broker)
    stage.work()

    assert got == [30, 30]
