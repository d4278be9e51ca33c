"""Cron's claims: each tick once, whoever sends it, on Dramatiq's stub broker and on a real server."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import cast

import dramatiq
import periodiq
import pytest
from dramatiq.broker import MessageProxy

from middleware import Guard, MisplacedGuard, Outcome, Parked
from middleware.cron.guard import Cron, InvalidSchedule
from middleware.cron.memory import MemoryCronStore
from tests.middleware.brokers import stored
from tests.middleware.cron.scheduled_actor import Stage, outcomes, wait_for
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


def test_any_number_of_schedulers_run_each_tick_once(stage: Stage, emitted: Emitted) -> None:
    """Three of them wake at slightly different seconds; four minutes are four runs."""
    for minute in range(4):
        for second in (0, 1, 29):
            stage.schedule(f"12:0{minute}", seconds=second)
        stage.work(threads=2)

    assert stage.ran == ["12:00", "12:01", "12:02", "12:03"]
    assert (outcomes(emitted).count("granted"), outcomes(emitted).count("taken")) == (4, 8)


def test_a_scheduler_restarted_within_the_minute_runs_nothing_twice(stage: Stage) -> None:
    """Periodiq sends the current minute's ticks whenever it starts."""
    stage.schedule("12:00")
    stage.work()
    stage.schedule("12:00", seconds=40)
    stage.work()

    assert stage.ran == ["12:00"]


def test_a_retry_keeps_its_own_claim(bare_broker: dramatiq.Broker, emitted: Emitted) -> None:
    """A tick that fails is tried again, minutes later too, and its twins still do not run."""
    stage = Stage(bare_broker, max_retries=2)

    def fail() -> None:
        stage.clock.moment += timedelta(minutes=5)
        raise OSError

    stage.act = fail
    stage.schedule("12:00", schedulers=2)
    stage.work()

    assert stage.ran == ["12:00"] * 3
    assert outcomes(emitted).count("taken") == 1


def test_a_retry_long_after_is_still_its_own(bare_broker: dramatiq.Broker) -> None:
    """What was granted once is not too old for another attempt, though nobody remembers its claim."""
    stage = Stage(bare_broker, max_retries=1, guard={"window_s": 3_600})

    def fail() -> None:
        stage.clock.moment += timedelta(hours=2)
        raise OSError

    stage.act = fail
    stage.schedule("12:00")
    stage.work()

    assert stage.ran == ["12:00"] * 2


class ParksTwice(Guard):
    """A guard behind that is not content."""

    def __init__(self) -> None:
        super().__init__()
        self.parks = 0

    def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        if self.parks < 2:
            self.parks += 1
            raise Parked("not yet", delay_ms=1)


def test_a_park_keeps_its_own_claim(bare_broker: dramatiq.Broker) -> None:
    """A tick that is parked for whatever reason runs when that has passed, once."""
    stage = Stage(bare_broker, behind=(ParksTwice(),))
    stage.schedule("12:00", schedulers=2)
    stage.work(threads=2)

    assert stage.ran == ["12:00"]


def test_a_redelivery_after_a_crash_is_granted_at_once(stage: Stage) -> None:
    """The same message comes as it was first sent, while its mark is still there."""
    stage.schedule("12:00")
    (message,) = stored(stage.broker, stage.queue)
    assert "cron_claimed" not in message.options
    stage.guard.admit(stage.broker, MessageProxy(message))

    stage.work()

    assert stage.ran == ["12:00"]


def test_a_message_sent_by_hand_just_runs(stage: Stage, emitted: Emitted) -> None:
    """It has no tick, claims nothing and is in nobody's way."""
    stage.schedule("12:00")
    stage.actor.send()
    stage.actor.send()
    stage.work()

    assert sorted(stage.ran) == ["12:00", "by hand", "by hand"]
    assert outcomes(emitted) == ["granted"]


def test_a_time_that_is_not_due_is_no_tick(bare_broker: dramatiq.Broker) -> None:
    """Whoever sends with a time of their own has a message by hand."""
    stage = Stage(bare_broker, "0 * * * *")
    stage.actor.send_with_options(scheduled_at="2026-01-05T12:30:00+00:00")
    stage.actor.send_with_options(scheduled_at="2026-01-05T13:00:59")
    stage.work()

    assert stage.ran == ["by hand", "13:00"]


@pytest.mark.parametrize("missed", ["skip", "coalesce"])
def test_ticks_that_piled_up_in_a_queue_run_once(
    bare_broker: dramatiq.Broker, emitted: Emitted, missed: str
) -> None:
    """Workers were away for five minutes: the first of the ticks has the others' work in it."""
    stage = Stage(bare_broker, missed=missed)
    for minute in range(6):
        stage.schedule(f"12:0{minute}", schedulers=2)
    stage.clock.at("12:05", 30)
    stage.work()

    assert stage.ran == ["12:00", "12:05"]
    assert outcomes(emitted).count("covered") == 8


def test_ticks_that_piled_up_are_caught_up_with_up_to_the_limit(bare_broker: dramatiq.Broker) -> None:
    """With `catch_up` the latest run one by one, besides the one that comes first."""
    stage = Stage(bare_broker, missed="catch_up", catch_up_limit=3)
    for minute in range(8):
        stage.schedule(f"12:0{minute}")
    stage.clock.at("12:08", 30)
    stage.work()

    assert stage.ran == ["12:00", "12:06", "12:07"]


def test_a_schedule_with_a_busy_queue_still_runs(bare_broker: dramatiq.Broker) -> None:
    """When every tick comes five minutes late, there is a run every few minutes and never none."""
    stage = Stage(bare_broker)
    for minute in range(20):
        stage.schedule(f"12:{minute:02}")
    for message in sorted(stored(stage.broker, stage.queue), key=lambda each: each.options["cron_tick"]):
        due = datetime.fromisoformat(message.options["cron_tick"])
        stage.clock.moment = due + timedelta(minutes=5)
        proxy = MessageProxy(message)
        try:
            held = stage.guard.admit(stage.broker, proxy)
        except dramatiq.middleware.SkipMessage:
            continue
        if held is not None:
            stage.guard.settle(stage.broker, proxy, held, Outcome())
        stage.ran.append(due.strftime("%H:%M"))

    assert len(stage.ran) == 4


def test_a_tick_that_is_due_while_one_runs_is_skipped(bare_broker: dramatiq.Broker, emitted: Emitted) -> None:
    """It is not run later either, by nobody."""
    stage = Stage(bare_broker, guard={"run_lease_s": 600})
    begun, finish = threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        assert finish.wait(10)

    stage.act = block
    stage.schedule("12:00")

    def second() -> None:
        assert begun.wait(10)
        stage.schedule("12:01", schedulers=2)
        assert wait_for(lambda: outcomes(emitted).count("running") == 1)
        finish.set()

    thread = threading.Thread(target=second)
    thread.start()
    stage.work(threads=3)
    thread.join()

    assert stage.ran == ["12:00"]
    assert sorted(outcomes(emitted)) == ["granted", "running", "taken"]


def test_overlapping_ticks_run_side_by_side_when_they_may(bare_broker: dramatiq.Broker) -> None:
    """With `allow` both are in the function at once."""
    stage = Stage(bare_broker, overlap="allow")
    together = threading.Barrier(2, timeout=10)
    stage.act = lambda: cast("None", together.wait())
    stage.schedule("12:00")
    stage.schedule("12:01")
    stage.work(threads=2)

    assert sorted(stage.ran) == ["12:00", "12:01"]


def test_a_tick_older_than_claims_are_remembered_is_skipped(stage: Stage, emitted: Emitted) -> None:
    """Nobody knows any more whether its twin ran."""
    stage.schedule("12:00")
    stage.clock.moment += timedelta(days=1, minutes=1)
    stage.work()

    assert (stage.ran, outcomes(emitted)) == ([], ["expired"])


def test_the_option_takes_our_schedules_only(bare_broker: dramatiq.Broker) -> None:
    """Periodiq's own would never fire on Sundays, and is refused where it is written."""
    Stage(bare_broker)
    with pytest.raises(InvalidSchedule, match="must be made by pressroom's cron"):

        @dramatiq.actor(broker=bare_broker, periodic=periodiq.cron("@weekly"))
        def weekly() -> None: ...


def test_periodiqs_own_middleware_is_refused_beside_it(stage: Stage) -> None:
    """It would skip every tick that is retried or parked."""
    stage.broker.add_middleware(periodiq.PeriodiqMiddleware())

    with pytest.raises(MisplacedGuard, match="remove PeriodiqMiddleware"):
        stage.work()


@pytest.mark.parametrize("name", ["grace_s", "watch_every_s", "run_lease_s"])
def test_nonsensical_settings_are_refused(name: str) -> None:
    """The mistake is named where it was made."""
    for value in (0.0, 90_000.0):
        with pytest.raises(ValueError, match=f"{name} must be more than 0 and less than window_s"):
            Cron(MemoryCronStore(), **{name: value})  # type: ignore[arg-type]
