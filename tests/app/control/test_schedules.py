"""`control.schedules`: an org's schedules, from adding one to the message that it sends."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
from sqlalchemy import func, select, update

from adapters.database.tables import outbox, schedules
from adapters.database.unit_of_work import SystemUnitOfWork
from app.bootstrap.worker.schedules import fire_schedules, read_clock_change, read_timetable
from domain.errors import InvalidInput, NotFound
from domain.schedules import Schedule, message_id_of
from tests.app.control.examples import World


@pytest.fixture
def add(world: World) -> Callable[..., Schedule]:
    """Adds one as the owner."""

    def make(**over: object) -> Schedule:
        given: dict[str, Any] = {
            "name": uuid4().hex,
            "actor": "resize",
            "expression": "@hourly",
            "payload": {"image_id": 7},
        }
        return world.control.schedules.add(world.caller(world.owner, who="ann"), **{**given, **over})

    return make


def make_due(world: World, schedule: Schedule) -> datetime:
    """Let its time have come."""
    with SystemUnitOfWork(world.engine) as unit:
        changed = (
            update(schedules)
            .where(schedules.c.id == schedule.id)
            .values(next_due_at=func.date_trunc("minute", func.now()))
            .returning(schedules.c.next_due_at)
        )
        due: datetime = unit.connection.execute(changed).scalar_one()
        return due


def sent(world: World) -> "list[dramatiq.Message[Any]]":
    """What lies in the outbox for the owner."""
    query = select(outbox.c.message).where(outbox.c.org_id == world.owner)
    with SystemUnitOfWork(world.engine) as unit:
        return [dramatiq.Message.decode(data) for data in unit.connection.scalars(query)]


def test_an_org_keeps_its_schedules(world: World, add: Callable[..., Schedule]) -> None:
    """Added, listed, shown, paused, resumed, removed."""
    owner, control = world.caller(world.owner), world.control.schedules
    made = add(expression=" 0  8 * * MON-FRI ", tz="Europe/Athens", missed="skip")

    assert (made.expression, made.tz, made.missed, made.created_by) == (
        "0 8 * * MON-FRI",
        "Europe/Athens",
        "skip",
        "ann",
    )
    assert control.list(owner) == [made]
    assert control.show(owner, made.id) == made
    assert control.pause(owner, made.id).paused
    assert control.show(owner, made.id).paused
    assert not control.resume(owner, made.id).paused
    control.remove(owner, made.id)
    assert control.list(owner) == []
    with pytest.raises(NotFound):
        control.show(owner, made.id)


def test_an_operator_keeps_any_orgs(world: World, add: Callable[..., Schedule]) -> None:
    """By its id; only to add one an org has to be named."""
    operator, control = world.operator(), world.control.schedules
    made = add()
    assert made in control.list(operator, limit=1_000)
    assert control.list(operator, org_id=world.owner) == [made]
    assert control.pause(operator, made.id).org_id == world.owner
    control.resume(operator, made.id)
    control.remove(operator, made.id)

    theirs = control.add(operator, "for them", "resize", "@daily", {"image_id": 7}, org_id=world.owner)
    assert theirs.org_id == world.owner
    with pytest.raises(InvalidInput, match="say which org"):
        control.add(operator, "for whom", "resize", "@daily", {"image_id": 7})
    with pytest.raises(NotFound, match="org"):
        control.add(operator, "for nobody", "resize", "@daily", {"image_id": 7}, org_id=uuid4())


@pytest.mark.parametrize(
    ("over", "fault"),
    [
        ({"expression": "61 * * * *"}, "the minute '61' cannot be: 61 is not in 0 to 59"),
        ({"expression": "* * * * * *"}, "has 6 fields"),
        ({"expression": "0 0 30 2 *"}, "never happens"),
        ({"tz": "Europe/Athen"}, "did you mean Europe/Athens"),
        ({"actor": "sweep"}, "sweep is no job that an org can schedule; there are: resize"),
        ({"actor": "resise"}, "resise is no job that an org can schedule"),
        ({"payload": {"image_id": "seven"}}, "resize refuses this payload: image_id"),
        ({"payload": {}}, "image_id: Field required"),
        ({"name": ""}, "name: String should have at least 1 character"),
        ({"missed": "later"}, "missed: Input should be 'skip' or 'coalesce'"),
    ],
)
def test_what_cannot_be_is_refused(add: Callable[..., Schedule], over: dict[str, object], fault: str) -> None:
    """With the field and the fix, before anything is kept."""
    with pytest.raises(InvalidInput, match=fault):
        add(**over)


def test_a_tick_is_sent_as_the_orgs_own_job(world: World, add: Callable[..., Schedule]) -> None:
    """Its payload fits the contract, with the org in it; its id is the tick's; it runs once."""
    made = add()
    due = make_due(world, made)

    fire = fire_schedules(world.engine, world.broker)
    while fire():
        pass

    (message,) = sent(world)
    assert message.message_id == str(message_id_of(made.id, due))
    assert message.actor_name == "resize"
    assert message.args == ({"org_id": str(world.owner), "image_id": 7},)
    assert message.options["org"] == str(world.owner)
    assert message.options["idempotent"] is True
    after = world.control.schedules.show(world.caller(world.owner), made.id)
    assert (str(after.last_message_id), after.last_due_at) == (message.message_id, due)


def test_a_newer_contract_pauses_what_does_not_fit(world: World, add: Callable[..., Schedule]) -> None:
    """Its owner sees why, and cannot resume it as it is."""
    made = add()
    with SystemUnitOfWork(world.engine) as unit:
        unit.connection.execute(
            update(schedules).where(schedules.c.id == made.id).values(payload={"picture_id": 7})
        )
    make_due(world, made)

    fire = fire_schedules(world.engine, world.broker)
    while fire():
        pass

    owner = world.caller(world.owner)
    after = world.control.schedules.show(owner, made.id)
    assert sent(world) == []
    assert after.paused
    assert "resize refuses this payload: image_id: Field required" in str(after.error)
    with pytest.raises(InvalidInput, match="image_id: Field required"):
        world.control.schedules.resume(owner, made.id)


def test_an_actor_that_is_gone_pauses_its_schedules(world: World, add: Callable[..., Schedule]) -> None:
    """An hour later, since a newer release might have known it; all others go on."""
    gone, there = add(), add()
    with SystemUnitOfWork(world.engine) as unit:
        late = func.date_trunc("minute", func.now()) - timedelta(minutes=62)
        unit.connection.execute(
            update(schedules).where(schedules.c.id == gone.id).values(actor="gone", next_due_at=late)
        )
    make_due(world, there)

    fire = fire_schedules(world.engine, world.broker)
    while fire():
        pass

    owner = world.caller(world.owner)
    assert "no actor gone" in str(world.control.schedules.show(owner, gone.id).error)
    assert len(sent(world)) == 1


def test_days_on_which_clocks_change_leave_no_day_out() -> None:
    """What it has twice is due once, what it does not have right after the gap; an hourly one goes by the hour."""
    daily = read_timetable("30 3 * * *", "Europe/Athens")
    # Clocks go forward from 3:00 to 4:00 on 29 March 2026, and back from 4:00 to 3:00 on 25 October.
    assert daily.next_after(datetime(2026, 3, 28, 12, tzinfo=UTC)) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    first = daily.next_after(datetime(2026, 10, 24, 12, tzinfo=UTC))
    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert daily.next_after(first) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    hourly = read_timetable("30 * * * *", "Europe/Athens")
    assert hourly.next_after(first) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    gap = datetime(2026, 3, 29, 0, 45, tzinfo=UTC)
    assert hourly.next_after(gap) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_an_expression_may_say_what_happens_when_clocks_change() -> None:
    """By the options that `cron` has; it is kept with them."""
    before = datetime(2026, 3, 28, 12, tzinfo=UTC)
    skipping = read_timetable("30  3 * * *  GAP=skip", "Europe/Athens")
    assert skipping.expression == "30 3 * * * gap=skip"
    assert skipping.next_after(before) == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)

    both = read_timetable("@daily fold=both gap=run_after", "America/Havana")
    first = both.next_after(datetime(2026, 10, 31, 12, tzinfo=UTC))
    assert both.expression == "@daily fold=both gap=run_after"
    assert both.next_after(first) - first == timedelta(hours=1)


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("0 3 * * * gap=jump", "gap must be one of"),
        ("0 3 * * * fold=none", "fold must be one of"),
        ("0 3 * * * gap=skip gap=skip", "says gap twice"),
        ("gap=skip", "has 0 fields"),
        ("0 3 * * * missed=skip", "has 6 fields"),
    ],
)
def test_an_option_that_cannot_be_is_refused(expression: str, fault: str) -> None:
    """When the schedule is added or looked at."""
    with pytest.raises(InvalidInput, match=fault):
        read_timetable(expression, "UTC")


@pytest.mark.parametrize(
    ("expression", "due", "change"),
    [
        ("30 3 * * *", datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "gap"),
        ("30 3 * * *", datetime(2026, 3, 30, 0, 30, tzinfo=UTC), None),
        ("0 4 * * *", datetime(2026, 3, 29, 1, 0, tzinfo=UTC), None),
        ("30 3 * * *", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "fold"),
        ("30 * * * *", datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "fold"),
        ("30 5 * * *", datetime(2026, 10, 25, 3, 30, tzinfo=UTC), None),
        ("30 3 * * * gap=skip", datetime(2026, 3, 28, 1, 30, tzinfo=UTC), "skipped"),
        ("30 3 * * * gap=skip", datetime(2026, 3, 30, 0, 30, tzinfo=UTC), None),
        ("30 * * * *", datetime(2026, 3, 29, 0, 30, tzinfo=UTC), None),
    ],
)
def test_ticks_that_a_change_of_clocks_moved_or_doubled_are_known(
    expression: str, due: datetime, change: str | None
) -> None:
    """So that they can be counted: whoever wonders about a run at 4:00 finds it."""
    assert read_clock_change(expression, "Europe/Athens", due) == change
