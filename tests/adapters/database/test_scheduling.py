"""Content that is due, its intents and their messages: all of it or nothing, and each of it once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from uuid import UUID, uuid4

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import Engine, func, insert, select, text, update

from adapters.database.engine import create_engine
from adapters.database.migrate import upgrade
from adapters.database.scheduling import SqlScheduling
from adapters.database.tables import content_items, content_performance, outbox, publish_intents
from adapters.database.transactions import SqlSystemTransactions
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from adapters.outbox import SqlOutbox
from app.bootstrap.worker.outbox import MessageEncoder
from domain.content_scheduler import NO_TARGET, DueItem, ScheduleContent, SchedulerReport
from domain.errors import Cancelled
from domain.limits import Limits
from tests.databases import Database
from tests.domain.export_fakes import Attempt
from tests.tenants import Tenant

from .due_content import (
    add_content,
    add_target,
    forget_everything,
    intents,
    publishing_outbox,
    statuses,
)
from .faults import LostCommits


@pytest.fixture(scope="module")
def database(new_database: Callable[[], Database]) -> Database:
    """These tests' own: a scheduler takes whatever is due, whosever it is."""
    fresh = new_database()
    upgrade(fresh.owner_url)
    return fresh


@pytest.fixture(autouse=True)
def _nothing_is_due(engine: Engine) -> None:
    forget_everything(engine)


def run(engine: Engine, attempt: Attempt | None = None, box: SqlOutbox | None = None) -> SchedulerReport:
    """One run of the scheduler."""
    attempt = attempt or Attempt(uuid4())
    repository = partial(SqlScheduling, outbox=box or publishing_outbox(), limits=Limits())
    transactions = SqlSystemTransactions(engine, repository, attempt.remaining_s)
    return ScheduleContent(run=attempt, transactions=transactions)()


def messages(engine: Engine) -> "list[dramatiq.Message[None]]":
    """What lies in the outbox."""
    with SystemUnitOfWork(engine) as unit:
        found = unit.connection.scalars(select(outbox.c.message).order_by(outbox.c.id))
        return [dramatiq.Message.decode(each) for each in found]


def test_one_item_one_intent_one_message(engine: Engine, tenant: Tenant) -> None:
    """The message carries the intent, its id, the limit of the run and thirty seconds."""
    target_id = add_target(engine, tenant)
    (content_id,) = add_content(engine, tenant, 1)
    attempt = Attempt(uuid4())

    report = run(engine, attempt)

    assert (report.processed, report.failed) == (1, 0)
    assert statuses(engine, tenant) == {content_id: "publishing"}
    ((intent_id, of_content, at_target, status),) = intents(engine, tenant)
    assert (of_content, at_target, status) == (content_id, target_id, "pending")
    (message,) = messages(engine)
    assert (message.actor_name, message.message_id) == ("publish_execution", str(intent_id))
    assert message.args[0]["org_id"] == str(tenant.org_id)
    assert message.args[0]["intent_id"] == str(intent_id)
    assert message.options["concurrency"] == [f"run:{attempt.job_id}", 5]
    assert message.options["time_limit"] == 30_000


def test_each_enabled_target_gets_its_own(
    engine: Engine, tenant: Tenant, new_tenant: Callable[[], Tenant]
) -> None:
    """One that is switched off, and another domain's, do not count."""
    wanted = {add_target(engine, tenant) for _ in range(2)}
    add_target(engine, tenant, enabled=False)
    add_target(engine, new_tenant())
    add_content(engine, tenant, 1)

    run(engine)

    assert {target_id for _, _, target_id, _ in intents(engine, tenant)} == wanted
    assert len(messages(engine)) == 2


def test_what_is_not_due_is_left_untouched(engine: Engine, tenant: Tenant) -> None:
    """Nor is what nobody scheduled, or somebody published."""
    add_target(engine, tenant)
    add_content(engine, tenant, 1, due_in_s=60)
    for status in ("draft", "publishing", "published", "failed", "archived"):
        add_content(engine, tenant, 1, status=status)
    before = statuses(engine, tenant)

    assert run(engine) == SchedulerReport(processed=0, failed=0, items=())
    assert (statuses(engine, tenant), intents(engine, tenant), messages(engine)) == (before, [], [])


def test_without_a_target_an_item_fails(engine: Engine, tenant: Tenant) -> None:
    """A target that is switched off is none."""
    add_target(engine, tenant, enabled=False)
    (content_id,) = add_content(engine, tenant, 1)

    report = run(engine)

    assert [(item.content_id, item.error) for item in report.items] == [(content_id, NO_TARGET)]
    assert statuses(engine, tenant) == {content_id: "failed"}
    assert messages(engine) == []


def test_an_intent_that_is_open_already_stays_the_only_one(engine: Engine, tenant: Tenant) -> None:
    """It is published under its own id."""
    target_id = add_target(engine, tenant)
    (content_id,) = add_content(engine, tenant, 1)
    intent_id = uuid4()
    with UnitOfWork(engine, tenant.org_id) as unit:
        row = {
            "org_id": tenant.org_id,
            "id": intent_id,
            "domain_id": tenant.domain_id,
            "content_id": content_id,
            "target_id": target_id,
            "status": "pending",
        }
        unit.connection.execute(insert(publish_intents).values(row))

    assert run(engine).processed == 1
    assert [each[0] for each in intents(engine, tenant)] == [intent_id]
    assert [each.message_id for each in messages(engine)] == [str(intent_id)]


def test_content_that_is_scheduled_once_more_gets_a_new_intent(engine: Engine, tenant: Tenant) -> None:
    """What came of the first stays as it is."""
    add_target(engine, tenant)
    (content_id,) = add_content(engine, tenant, 1)
    run(engine)
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(update(publish_intents).values(status="published", published_at=func.now()))
        unit.connection.execute(
            update(content_items).where(content_items.c.id == content_id).values(status="scheduled")
        )

    run(engine)

    assert sorted(status for *_, status in intents(engine, tenant)) == ["pending", "published"]


def test_of_ten_schedulers_at_once_each_item_has_one(
    database: Database, new_tenant: Callable[[], Tenant], engine: Engine
) -> None:
    """A thousand items of five orgs: a thousand intents and messages, none twice, all counted once."""
    orgs = [new_tenant() for _ in range(5)]
    ids: set[UUID] = set()
    for tenant in orgs:
        add_target(engine, tenant)
        ids.update(add_content(engine, tenant, 200))
    together = threading.Barrier(10, timeout=30)

    def schedule(_: int) -> SchedulerReport:
        own = create_engine(database.worker_url, pool_size=1)
        try:
            together.wait()
            return run(own)
        finally:
            own.dispose()

    with ThreadPoolExecutor(10) as threads:
        reports = list(threads.map(schedule, range(10)))

    assert sum(report.processed for report in reports) == 1_000
    assert sum(report.failed for report in reports) == 0
    assert sum(bool(report.processed) for report in reports) > 1
    opened = [each for tenant in orgs for each in intents(engine, tenant)]
    assert (len(opened), {content_id for _, content_id, *_ in opened}) == (1_000, ids)
    sent = messages(engine)
    assert (len(sent), {each.message_id for each in sent}) == (1_000, {str(each[0]) for each in opened})
    assert {status for tenant in orgs for status in statuses(engine, tenant).values()} == {"publishing"}


def test_an_abort_midway_keeps_what_was_decided(engine: Engine, tenant: Tenant) -> None:
    """The rest is due as before, and the next run does it."""
    add_target(engine, tenant)
    ids = add_content(engine, tenant, 150)

    with pytest.raises(Cancelled):
        run(engine, Attempt(uuid4(), stop_at=121, stop_with=Cancelled("stop")))

    assert list(statuses(engine, tenant).values()) == ["publishing"] * 120 + ["scheduled"] * 30
    assert (len(intents(engine, tenant)), len(messages(engine))) == (120, 120)
    assert run(engine).processed == 30
    assert {content_id for _, content_id, *_ in intents(engine, tenant)} == set(ids)


def test_a_commit_nobody_heard_of_is_not_done_twice(
    database: Database, engine: Engine, tenant: Tenant
) -> None:
    """Run again, the chunk finds nothing that is due."""
    add_target(engine, tenant)
    add_content(engine, tenant, 20)
    with LostCommits(database.worker_url, losses=1).running() as proxy:
        lossy = create_engine(proxy.url)
        run(lossy)
        lossy.dispose()
    assert (len(intents(engine, tenant)), len(messages(engine))) == (20, 20)


def test_a_bad_item_is_the_only_one_that_fails(
    engine: Engine, database: Database, tenant: Tenant, new_tenant: Callable[[], Tenant]
) -> None:
    """What the database refuses in the middle of an item undoes that item, and no other."""
    for each in (tenant, bad := new_tenant()):
        add_target(engine, each)
    ids = add_content(engine, tenant, 2, due_in_s=-90) + add_content(engine, tenant, 2, due_in_s=-30)
    (bad_id,) = add_content(engine, bad, 1, due_in_s=-60)
    with refusing(database, bad):
        report = run(engine)
    assert (report.processed, report.failed) == (4, 1)
    assert report.items[0].content_id == bad_id
    assert "CheckViolation" in str(report.items[0].error)
    assert (statuses(engine, bad), intents(engine, bad)) == ({bad_id: "failed"}, [])
    assert statuses(engine, tenant) == dict.fromkeys(ids, "publishing")
    assert len(messages(engine)) == 4


def test_an_actor_that_is_missing_harms_no_content(engine: Engine, tenant: Tenant) -> None:
    """A release without the publishing job leaves everything scheduled, and says so."""
    add_target(engine, tenant)
    (content_id,) = add_content(engine, tenant, 1)

    report = run(engine, box=SqlOutbox(MessageEncoder(StubBroker)))

    assert "no actor publish_execution" in str(report.items[0].error)
    assert (statuses(engine, tenant), intents(engine, tenant)) == ({content_id: "scheduled"}, [])


def test_writing_its_statistics_does_not_hide_content(engine: Engine, tenant: Tenant) -> None:
    """A transaction that only refers to an item does not make the scheduler pass it over."""
    add_target(engine, tenant)
    (content_id,) = add_content(engine, tenant, 1)
    with UnitOfWork(engine, tenant.org_id) as unit:
        row = {"org_id": tenant.org_id, "content_id": content_id, "day": func.current_date()}
        unit.connection.execute(insert(content_performance).values(row))
        assert run(engine).processed == 1


def test_the_due_ones_are_found_by_their_index(engine: Engine, database: Database, tenant: Tenant) -> None:
    """However much is scheduled for later: the first page and the next are read in order."""
    add_content(engine, tenant, 150)
    with UnitOfWork(engine, tenant.org_id) as unit:
        unit.connection.execute(
            text(
                "INSERT INTO content_items (org_id, id, domain_id, title, content_type, status, publish_at) "
                "SELECT :org_id, gen_random_uuid(), :domain_id, 'A title', 'article', "
                "CASE n % 10 WHEN 0 THEN 'scheduled' ELSE 'published' END, now() + n * interval '1 minute' "
                "FROM generate_series(1, 20000) AS n"
            ),
            {"org_id": tenant.org_id, "domain_id": tenant.domain_id},
        )
    owner = create_engine(database.owner_url)
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE content_items"))
    owner.dispose()
    page: list[DueItem] = []
    for after in (None, "the first page's last"):
        with SystemUnitOfWork(engine) as unit:
            explained = _Explaining(unit)
            SqlScheduling(explained, outbox=publishing_outbox(), limits=Limits()).due(  # type: ignore[arg-type]
                page[-1] if after else None, 100
            )
            assert "ix_content_items_due" in explained.plan
            assert "Sort" not in explained.plan
            page = SqlScheduling(unit, outbox=publishing_outbox(), limits=Limits()).due(None, 100)


@dataclass
class refusing:  # noqa: N801  # reads as a context
    """A database that refuses new intents of one org."""

    database: Database
    tenant: Tenant

    def __enter__(self) -> None:
        self._owner(
            f"ALTER TABLE publish_intents ADD CONSTRAINT refusing CHECK (org_id <> '{self.tenant.org_id}')"
        )

    def __exit__(self, *_: object) -> None:
        self._owner("ALTER TABLE publish_intents DROP CONSTRAINT refusing")

    def _owner(self, statement: str) -> None:
        owner = create_engine(self.database.owner_url)
        with owner.begin() as connection:
            connection.execute(text(statement))
        owner.dispose()


class _Explaining:
    """A unit of work that has its statement explained instead of run."""

    def __init__(self, unit: SystemUnitOfWork) -> None:
        self._unit = unit
        self.plan = ""

    @property
    def connection(self) -> "_Explaining":
        return self

    def execute(self, statement: object) -> list[object]:
        compiled = statement.compile(  # type: ignore[attr-defined]
            self._unit.connection.engine, compile_kwargs={"literal_binds": True}
        )
        self.plan = "\n".join(self._unit.connection.scalars(text(f"EXPLAIN {compiled}")))
        return []
