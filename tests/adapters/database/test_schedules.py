"""Schedules in PostgreSQL: kept for their org, fired once, by however many workers and whatever happens to them."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, func, select, text, update

from adapters.database.engine import create_engine
from adapters.database.schedules import SqlScheduleLists, SqlSchedules
from adapters.database.tables import outbox, schedules
from adapters.database.transactions import SqlTransactions
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from adapters.ids import uuid7
from domain.errors import InvalidInput, NotFound
from domain.limits import Limits
from domain.schedule_keeping import KeepSchedules, NewSchedule
from domain.schedules import Schedule, message_id_of
from tests.databases import Database
from tests.domain.schedule_fakes import FakePayloads, timetables
from tests.tenants import Tenant

from .faults import LostCommits, kill, pid_of
from .firing import Firing


def keep(engine: Engine, *, at_most: int = 100) -> KeepSchedules:
    """The rules on the real database."""
    return KeepSchedules(
        transactions=SqlTransactions(engine, SqlSchedules, lambda: None),
        timetables=timetables,
        payloads=FakePayloads(),
        new_id=uuid7,
        limits=Limits(max_schedules_per_org=at_most),
    )


def new(**over: object) -> NewSchedule:
    """An hourly report."""
    given: dict[str, object] = {"name": uuid4().hex, "actor": "report", "expression": "every 60"}
    return NewSchedule.model_validate({**given, **over})


def add_due(engine: Engine, tenant: Tenant, count: int = 1, *, ago: str = "0", **over: object) -> list[UUID]:
    """Schedules that are due since the minute that began `ago` before this one."""
    keeper = keep(engine, at_most=1_000)
    ids = [keeper.add(tenant.org_id, new(**over), created_by="ann").id for _ in range(count)]
    since = func.date_trunc("minute", func.now()) - text(f"interval '{ago}'")
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(update(schedules).where(schedules.c.id.in_(ids)).values(next_due_at=since))
    return ids


def stored(engine: Engine, tenant: Tenant) -> dict[UUID, Schedule]:
    """An org's schedules."""
    page = SqlScheduleLists(engine).page(org_id=tenant.org_id, after=None, limit=1_000)
    return {each.id: each for each in page}


def in_outbox(engine: Engine, tenant: Tenant) -> list[UUID]:
    """The messages that an org's schedules have sent."""
    with SystemUnitOfWork(engine) as unit:
        return list(unit.connection.scalars(select(outbox.c.id).where(outbox.c.org_id == tenant.org_id)))


def now_of(engine: Engine) -> datetime:
    """The database's time."""
    with engine.connect() as connection:
        now: datetime = connection.execute(select(func.now())).scalar_one()
        return now


def test_a_schedule_comes_back_as_it_was_added(engine: Engine, tenant: Tenant) -> None:
    """With the database's time in it."""
    added = keep(engine).add(
        tenant.org_id, new(payload={"rows": [1, None, "ö"]}, missed="skip"), created_by="ann"
    )

    assert stored(engine, tenant) == {added.id: added}
    assert added.payload == {"rows": [1, None, "ö"]}
    assert (added.missed, added.paused, added.error, added.last_due_at) == ("skip", False, None, None)
    assert added.created_at is not None
    assert timedelta(0) < added.next_due_at - added.created_at <= timedelta(hours=1)


def test_another_orgs_schedule_is_not_found(
    engine: Engine, tenant: Tenant, new_tenant: Callable[[], Tenant]
) -> None:
    """Whatever is asked about it, and it stays as it is."""
    keeper, stranger = keep(engine), new_tenant()
    added = keeper.add(tenant.org_id, new(), created_by="ann")

    for ask in (keeper.pause, keeper.resume, keeper.remove):
        with pytest.raises(NotFound):
            ask(stranger.org_id, added.id)
    lists = SqlScheduleLists(engine)
    assert lists.find(added.id, org_id=stranger.org_id) is None
    assert lists.page(org_id=stranger.org_id, after=None, limit=10) == []

    assert stored(engine, tenant) == {added.id: added}


def test_pausing_resuming_and_removing_are_kept(engine: Engine, tenant: Tenant) -> None:
    """Resumed it is due after now, and what it was paused for is forgotten."""
    keeper = keep(engine)
    (schedule_id,) = add_due(engine, tenant, ago="1 day")

    assert keeper.pause(tenant.org_id, schedule_id) == stored(engine, tenant)[schedule_id]
    resumed = keeper.resume(tenant.org_id, schedule_id)
    assert resumed == stored(engine, tenant)[schedule_id]
    assert resumed.next_due_at > now_of(engine)
    keeper.remove(tenant.org_id, schedule_id)
    assert stored(engine, tenant) == {}


def test_an_org_never_has_more_than_it_may(engine: Engine, tenant: Tenant) -> None:
    """Also when eight are added at once; and a name is taken once."""
    keeper = keep(engine, at_most=3)

    def add(name: str) -> bool:
        try:
            keeper.add(tenant.org_id, new(name=name), created_by="ann")
        except InvalidInput:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(add, ["same"] * 8)) == 1
        assert sum(pool.map(add, [str(number) for number in range(8)])) == 2
    assert len(stored(engine, tenant)) == 3


def test_pages_follow_each_other(engine: Engine, tenant: Tenant, new_tenant: Callable[[], Tenant]) -> None:
    """In the order they were made; an operator sees every org's, or one's."""
    added = [keep(engine).add(tenant.org_id, new(), created_by="ann").id for _ in range(5)]
    keep(engine).add(new_tenant().org_id, new(), created_by="bob")
    lists = SqlScheduleLists(engine)
    first = lists.page(org_id=tenant.org_id, after=None, limit=3)
    second = lists.page(org_id=tenant.org_id, after=first[-1].id, limit=3)
    orgs = {each.org_id for each in lists.page(org_id=None, after=None, limit=1_000)}

    assert lists.find(added[0], org_id=None) == lists.find(added[0], org_id=tenant.org_id) == first[0]
    assert [each.id for each in [*first, *second]] == added
    assert len(orgs) > 1


def test_a_due_schedule_is_sent_and_moves_on(engine: Engine, tenant: Tenant) -> None:
    """One message in the outbox, with the tick's id, and the next time is in the future."""
    (schedule_id,) = add_due(engine, tenant)
    due = stored(engine, tenant)[schedule_id].next_due_at

    Firing(engine)()
    Firing(engine)()

    after = stored(engine, tenant)[schedule_id]
    assert in_outbox(engine, tenant) == [message_id_of(schedule_id, due)]
    assert (after.last_due_at, after.last_message_id) == (due, message_id_of(schedule_id, due))
    assert after.next_due_at == timetables("every 60", "UTC").next_after(due)


def test_what_is_paused_or_not_due_is_not_sent(engine: Engine, tenant: Tenant) -> None:
    """However long it would have been due."""
    (paused,) = add_due(engine, tenant, ago="2 hours")
    keep(engine).pause(tenant.org_id, paused)
    keep(engine).add(tenant.org_id, new(), created_by="ann")
    before = stored(engine, tenant)

    Firing(engine)()

    assert stored(engine, tenant) == before
    assert in_outbox(engine, tenant) == []


def test_ten_workers_fire_each_tick_once(engine: Engine, tenant: Tenant) -> None:
    """Two hundred schedules are due, all workers begin at once, and each is sent by one of them."""
    ids = add_due(engine, tenant, 200)
    due = {each.id: each.next_due_at for each in stored(engine, tenant).values()}
    begin = threading.Barrier(10)
    workers = [Firing(engine, lambda unit, schedule: None) for _ in range(10)]

    def work(firing: Firing) -> None:
        begin.wait()
        firing()

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(work, workers))

    sent = [each for worker in workers for each in worker.sent if each[0] in due]
    assert sorted(sent) == sorted((each, message_id_of(each, due[each])) for each in ids)
    assert sorted(in_outbox(engine, tenant)) == sorted(message_id for _, message_id in sent)


def test_a_schedule_that_another_worker_has_in_flight_is_passed_over(engine: Engine, tenant: Tenant) -> None:
    """It is neither waited for nor sent twice."""
    (schedule_id,) = add_due(engine, tenant)
    other = Firing(engine)

    def meanwhile(unit: SystemUnitOfWork, schedule: Schedule) -> None:
        if schedule.id == schedule_id:
            other()

    Firing(engine, meanwhile)()

    assert schedule_id not in [each for each, _ in other.sent]
    assert len(in_outbox(engine, tenant)) == 1


def test_a_commit_nobody_heard_of_is_not_repeated(database: Database, engine: Engine, tenant: Tenant) -> None:
    """The work is run again and finds nothing due."""
    (schedule_id,) = add_due(engine, tenant)
    due = stored(engine, tenant)[schedule_id].next_due_at
    with LostCommits(database.worker_url, losses=1).running() as proxy:
        cut = create_engine(proxy.url)
        Firing(cut)()
        cut.dispose()
        assert proxy.losses == 0

    assert in_outbox(engine, tenant) == [message_id_of(schedule_id, due)]
    assert stored(engine, tenant)[schedule_id].last_due_at == due


@pytest.mark.parametrize("at", range(3))
def test_a_connection_lost_midway_loses_and_doubles_nothing(
    database: Database, engine: Engine, tenant: Tenant, at: int
) -> None:
    """Nothing of the batch was written, and all of it is done again."""
    ids = add_due(engine, tenant, 3)
    fired = list[UUID]()

    def cut(unit: SystemUnitOfWork, schedule: Schedule) -> None:
        if schedule.id in ids:
            fired.append(schedule.id)
            if len(fired) == at + 1:
                kill(database.worker_url, pid_of(unit.connection))

    Firing(engine, cut)()

    assert len(fired) == at + 1 + len(ids)
    assert len(set(in_outbox(engine, tenant))) == 3
    assert {each.last_message_id for each in stored(engine, tenant).values()} == set(
        in_outbox(engine, tenant)
    )


def test_after_down_time_one_run_stands_for_all(engine: Engine, tenant: Tenant) -> None:
    """Or none, where that was asked for; the next time is in the future either way."""
    (together,) = add_due(engine, tenant, ago="3 days", expression="every 1")
    (left_out,) = add_due(engine, tenant, ago="3 days", missed="skip", expression="every 100000")
    firing = Firing(engine)

    firing()

    after = stored(engine, tenant)
    assert len(in_outbox(engine, tenant)) == 1
    last = after[together].last_due_at
    assert last is not None
    assert timedelta(0) <= now_of(engine) - last < timedelta(minutes=2)
    assert after[left_out].last_due_at is None
    assert all(each.next_due_at > now_of(engine) - timedelta(minutes=1) for each in after.values())
    missed = {labels["policy"]: by for name, labels, by in firing.counted if name == "schedule_missed_total"}
    assert missed == {"coalesce": 1_000, "skip": 1}


def test_what_does_not_fit_any_more_pauses_and_says_why(engine: Engine, tenant: Tenant) -> None:
    """Its neighbour is fired all the same, in the same transaction."""
    (bad,) = add_due(engine, tenant, payload={"refuses": True})
    (good,) = add_due(engine, tenant)

    Firing(engine)()

    after = stored(engine, tenant)
    assert after[bad].paused
    assert "report refuses this payload: refuses" in str(after[bad].error)
    assert after[good].last_message_id in in_outbox(engine, tenant)


def test_an_actor_of_a_newer_release_is_left_to_it_for_an_hour(engine: Engine, tenant: Tenant) -> None:
    """It stays due and holds nothing up; then it pauses and says why."""
    (just_now,) = add_due(engine, tenant, actor="newer")
    (too_late,) = add_due(engine, tenant, actor="newer", ago="61 minutes")
    (ours,) = add_due(engine, tenant)
    before = stored(engine, tenant)

    Firing(engine)()

    after = stored(engine, tenant)
    assert after[just_now] == before[just_now]
    assert "no actor newer" in str(after[too_late].error)
    assert after[ours].last_message_id is not None


def test_an_org_cannot_have_another_orgs_job_started(
    engine: Engine, tenant: Tenant, new_tenant: Callable[[], Tenant]
) -> None:
    """Whatever stands in its row: the message is its own org's."""
    victim = new_tenant()
    (schedule_id,) = add_due(engine, tenant)
    with UnitOfWork(engine, tenant.org_id) as unit:
        unit.connection.execute(
            update(schedules)
            .where(schedules.c.id == schedule_id)
            .values(payload={"org_id": str(victim.org_id)})
        )

    Firing(engine)()

    assert in_outbox(engine, victim) == []
    assert len(in_outbox(engine, tenant)) == 1


def test_times_of_a_schedule_are_read_as_utc(engine: Engine, tenant: Tenant) -> None:
    """What timetables reckon with is aware, whatever zone the session has."""
    added = keep(engine).add(tenant.org_id, new(), created_by="ann")
    assert added.next_due_at.astimezone(UTC).second == 0
