"""When a schedule is fired, and what becomes of the times nobody was there for."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.schedules import (
    GRACE,
    MAX_COUNTED,
    FireSchedules,
    MissedTicks,
    Tick,
    decide,
    latest_until,
    message_id_of,
)
from tests.domain.schedule_fakes import (
    EPOCH,
    MINUTE,
    Every,
    FakeSchedules,
    FakeSystemTransactions,
    at,
    schedule,
    timetables,
)

HOURLY = Every(60)


class Rig:
    """The handler on fakes."""

    def __init__(self) -> None:
        self.repository = FakeSchedules(time=at(9))
        self.counted: list[tuple[str, dict[str, str], int]] = []
        self.fire = FireSchedules(
            transactions=FakeSystemTransactions(self.repository),
            timetables=timetables,
            actors=lambda: {"report"},
            count=lambda name, labels, by: self.counted.append((name, dict(labels), by)),
        )


@pytest.fixture
def rig() -> Rig:
    """Nothing is scheduled yet; it is nine."""
    return Rig()


@pytest.mark.parametrize("missed", ["skip", "coalesce"])
@pytest.mark.parametrize("now", [at(9), at(9, 0, 59), at(9, 1)])
def test_a_tick_within_the_grace_is_on_time(now: datetime, missed: MissedTicks) -> None:
    """It is fired for its own minute, and the next one is due."""
    assert decide(HOURLY, at(9), now, missed) == Tick(fire=at(9), next_due_at=at(10))


def test_a_late_tick_is_skipped_where_that_is_asked_for() -> None:
    """All up to now are left out and counted, and the first that is not late is next."""
    assert decide(HOURLY, at(9), at(9, 1, 1), "skip") == Tick(fire=None, next_due_at=at(10), missed=1)
    assert decide(HOURLY, at(9), at(12, 0, 30), "skip") == Tick(fire=None, next_due_at=at(12), missed=3)
    assert decide(HOURLY, at(9), at(12, 1), "skip") == Tick(fire=None, next_due_at=at(12), missed=3)
    assert decide(HOURLY, at(9), at(12, 1, 1), "skip") == Tick(fire=None, next_due_at=at(13), missed=4)


def test_one_run_stands_for_all_that_were_missed() -> None:
    """It is the latest one's, and the others are counted."""
    assert decide(HOURLY, at(9), at(9, 30), "coalesce") == Tick(fire=at(9), next_due_at=at(10))
    assert decide(HOURLY, at(9), at(12), "coalesce") == Tick(fire=at(12), next_due_at=at(13), missed=3)
    assert decide(HOURLY, at(9), at(12, 59), "coalesce") == Tick(fire=at(12), next_due_at=at(13), missed=3)


def test_years_of_down_time_are_not_walked_through() -> None:
    """A schedule of each minute, two years late, asks a few times and counts no further than it must."""

    class Counting(Every):
        asked = 0

        def next_after(self, moment: datetime) -> datetime:
            Counting.asked += 1
            return super().next_after(moment)

    now = EPOCH + timedelta(days=730)

    tick = decide(Counting(1), EPOCH, now, "coalesce")

    assert (tick.fire, tick.next_due_at, tick.missed) == (now, now + MINUTE, MAX_COUNTED)
    assert Counting.asked <= MAX_COUNTED + 30


@given(every=st.integers(1, 500), due=st.integers(0, 50), late_s=st.integers(0, 10**6))
def test_the_latest_tick_is_the_latest(every: int, due: int, late_s: int) -> None:
    """It is one of the timetable's, not after now, and the next one is."""
    timetable = Every(every)
    first = EPOCH + due * every * MINUTE
    now = first + timedelta(seconds=late_s)

    latest = latest_until(timetable, first, now)

    assert (latest - EPOCH) % (every * MINUTE) == timedelta(0)
    assert first <= latest <= now < timetable.next_after(latest)


@given(
    every=st.integers(1, 90),
    missed=st.sampled_from(["skip", "coalesce"]),
    looks_s=st.lists(st.one_of(st.integers(1, 59), st.integers(1, 40_000)), min_size=1, max_size=40),
)
def test_each_tick_is_fired_once_or_accounted_for(
    every: int, missed: MissedTicks, looks_s: list[int]
) -> None:
    """Whenever somebody looks: fired ticks are the timetable's, in order and not early; the others are counted."""
    timetable = Every(every)
    now, due = EPOCH, timetable.next_after(EPOCH)
    first, fired, counted = due, list[datetime](), 0
    for look_s in looks_s:
        now += timedelta(seconds=look_s)
        while due <= now:
            before = due
            tick = decide(timetable, due, now, missed)
            due, counted = tick.next_due_at, counted + tick.missed
            assert due > before
            if tick.fire is not None:
                fired.append(tick.fire)
                assert tick.fire <= now
                assert missed == "coalesce" or now - tick.fire <= GRACE

    all_ticks = [first + number * every * MINUTE for number in range((due - first) // (every * MINUTE))]
    assert fired == sorted(set(fired))
    assert set(fired) <= set(all_ticks)
    if max(looks_s) < MAX_COUNTED:
        assert len(fired) + counted == len(all_ticks)
    if max(looks_s) <= GRACE.total_seconds():
        assert fired == all_ticks


def test_ticks_of_a_change_of_clocks_are_counted(rig: Rig) -> None:
    """Only those that are sent, by what clocks did."""
    kept = schedule()
    rig.repository.kept[kept.id] = kept
    fire = replace(rig.fire, clock_changes=lambda expression, tz, due: "gap" if due == at(9) else None)
    assert fire()
    rig.repository.time = at(10)
    assert fire()

    changes = [each for each in rig.counted if each[0] == "schedule_clock_changes_total"]
    assert changes == [("schedule_clock_changes_total", {"actor": "report", "change": "gap"}, 1)]


def test_what_is_due_is_sent_and_moves_on(rig: Rig) -> None:
    """With an id made of the schedule and the minute, and its org in what it carries."""
    kept = schedule(payload={"rows": 3, "org_id": str(uuid4())})
    rig.repository.kept[kept.id] = kept

    assert rig.fire()
    assert not rig.fire()

    ((sent, message_id),) = rig.repository.sent
    assert message_id == message_id_of(kept.id, at(9))
    assert sent.contract() == {"rows": 3, "org_id": str(kept.org_id)}
    after = rig.repository.kept[kept.id]
    assert (after.last_due_at, after.last_message_id, after.next_due_at) == (at(9), message_id, at(10))
    assert rig.counted == [("schedule_ticks_total", {"actor": "report", "outcome": "sent"}, 1)]


def test_what_is_not_due_or_paused_is_left_untouched(rig: Rig) -> None:
    """And nothing is counted."""
    for each in (schedule(next_due_at=at(9, 1)), schedule(paused=True)):
        rig.repository.kept[each.id] = each
    before = dict(rig.repository.kept)

    assert not rig.fire()

    assert rig.repository.kept == before
    assert rig.counted == []


def test_a_skipped_tick_leaves_no_trace_but_the_count(rig: Rig) -> None:
    """Nothing is sent for it, and it is not the last that was fired."""
    kept = schedule(missed="skip", next_due_at=at(7))
    rig.repository.kept[kept.id] = kept

    assert rig.fire()

    assert rig.repository.sent == []
    assert rig.repository.kept[kept.id].last_due_at is None
    assert rig.repository.kept[kept.id].next_due_at == at(9)
    assert rig.counted == [("schedule_missed_total", {"actor": "report", "policy": "skip"}, 2)]
    assert rig.fire()
    assert [message_id for _, message_id in rig.repository.sent] == [message_id_of(kept.id, at(9))]


def test_what_cannot_be_sent_any_more_pauses_its_schedule(rig: Rig) -> None:
    """With the reason, and the others go on."""
    bad, good = schedule(expression="never"), schedule()
    rig.repository.kept.update({bad.id: bad, good.id: good})

    assert rig.fire()
    rig.repository.refuses = "report refuses this payload: rows: Field required"
    rig.repository.time = at(10)
    assert rig.fire()

    assert rig.repository.kept[bad.id].paused
    assert "never cannot be read" in str(rig.repository.kept[bad.id].error)
    assert rig.repository.kept[good.id].paused
    assert "rows: Field required" in str(rig.repository.kept[good.id].error)
    assert len(rig.repository.sent) == 1
    refused = ("schedule_ticks_total", {"actor": "report", "outcome": "refused"}, 1)
    assert rig.counted.count(refused) == 2


def test_an_actor_this_process_does_not_know_is_left_to_others_for_a_while(rig: Rig) -> None:
    """A newer release may know it; when nobody has fired it for an hour, nobody does, and it says so."""
    new = schedule(actor="newer", next_due_at=at(8))
    rig.repository.kept[new.id] = new

    assert not rig.fire()
    assert rig.repository.kept[new.id] == new

    rig.repository.time = at(9, 0, 1)
    assert rig.fire()
    assert rig.repository.kept[new.id].paused
    assert "no actor newer in this process" in str(rig.repository.kept[new.id].error)


def test_ids_of_ticks_are_the_same_for_everybody_and_differ_between_ticks() -> None:
    """By schedule and by minute, whatever zone the minute is written in."""
    one, other = uuid4(), uuid4()
    athens = at(9).astimezone(tz=None)
    assert message_id_of(one, at(9)) == message_id_of(one, athens)
    assert len({message_id_of(each, at(hour)) for each in (one, other) for hour in (9, 10)}) == 4
