"""The rows of publishing: leases by the database's clock, fences that hold, content that follows."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, Table, func, insert, select, update
from sqlalchemy.exc import OperationalError

from adapters.database.publishing import SqlPublishing
from adapters.database.tables import content_items, job_executions, publish_executions, publish_intents
from adapters.database.tables.publishing import MAX_ERROR_CHARS
from adapters.database.unit_of_work import UnitOfWork
from domain.errors import JobError, LeaseHeld, LeaseLost
from domain.publish_execution import PublishExecution
from domain.publish_ports import Execution, PublishFailure, SagaState
from tests.tenants import Tenant

from .due_content import add_content
from .publishing_rows import (
    OUTCOME,
    Site,
    add_intent,
    claimed,
    in_repository,
    row,
    rows,
    saga,
)


def test_a_lease_runs_by_the_databases_clock(engine: Engine, tenant: Tenant) -> None:
    """While it lasts others hear how long; when it is over the next takes it with a higher fence."""
    intent_id, site = add_intent(engine, tenant), Site()
    first = claimed(engine, tenant, intent_id)
    assert 59 < first.lease_left_s <= 60
    job = PublishExecution(org_id=tenant.org_id, intent_id=intent_id)
    with pytest.raises(LeaseHeld) as held:
        saga(engine, site)(job)
    assert 0 < held.value.wait_s <= 60

    expire(engine, tenant)
    saga(engine, site)(job)

    assert row(engine, tenant, job_executions)["fence"] == first.fence + 1
    with pytest.raises(LeaseLost, match="fence"):
        in_repository(engine, tenant, lambda repository: repository.renew_lease(first, 60.0))


def expire(engine: Engine, tenant: Tenant) -> None:
    """The tenant's leases are over."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        unit.connection.execute(
            update(job_executions).values(lease_until=func.clock_timestamp() - timedelta(seconds=1))
        )


@pytest.mark.parametrize(
    "write",
    [
        lambda repository, execution: repository.take_lease(execution, SagaState(), uuid4(), 60.0),
        lambda repository, execution: repository.renew_lease(execution, 60.0),
        lambda repository, execution: repository.keep_state(execution, SagaState(draft_id="9")),
        lambda repository, execution: repository.release_lease(execution),
        lambda repository, execution: repository.record_published(
            UUID(execution_key(repository)), execution, uuid4(), OUTCOME
        ),
        lambda repository, execution: repository.record_failed(
            None, execution, uuid4(), PublishFailure(category="network", message="busy")
        ),
    ],
    ids=["take", "renew", "state", "release", "published", "failed"],
)
def test_the_fence_refuses_whoever_lost_the_lease(
    engine: Engine, tenant: Tenant, write: Callable[[SqlPublishing, Execution], None]
) -> None:
    """Nothing of its transaction is kept."""
    intent_id = add_intent(engine, tenant)
    stale = claimed(engine, tenant, intent_id)
    claimed(engine, tenant, intent_id)
    before = [rows(engine, tenant, table) for table in (job_executions, publish_executions, publish_intents)]

    with pytest.raises(LeaseLost):
        in_repository(engine, tenant, lambda repository: write(repository, stale))

    assert before == [
        rows(engine, tenant, table) for table in (job_executions, publish_executions, publish_intents)
    ]


def execution_key(repository: SqlPublishing) -> str:
    """The key of the tenant's only execution."""
    key: str = repository._connection.scalars(select(job_executions.c.key)).one()
    return key


def test_state_is_kept_as_it_is(engine: Engine, tenant: Tenant) -> None:
    """Every field of it; what a newer build added is no hindrance."""
    intent_id = add_intent(engine, tenant)
    state = SagaState(claim="mine", key="rye-1", draft_id="7", disowned=("5", "6"), resumed=True)
    assert claimed(engine, tenant, intent_id, state).state == state

    with UnitOfWork(engine, tenant.org_id) as unit:
        unit.connection.execute(update(job_executions).values(state={**state.model_dump(), "newer": 1}))

    execution = in_repository(engine, tenant, lambda repository: repository.execution(intent_id))
    assert execution is not None
    assert execution.state == state


def test_an_id_that_another_orgs_row_has_is_no_hindrance(
    engine: Engine, new_tenant: Callable[[], Tenant]
) -> None:
    """As when a domain changed hands: the former owner's execution stays, and has the job's id."""
    theirs, mine = new_tenant(), new_tenant()
    job_id = uuid4()
    first = in_repository(
        engine, theirs, lambda repository: repository.add_execution(uuid4(), job_id, uuid4())
    )
    assert first.execution_id == job_id

    spare_id, intent_id = uuid4(), add_intent(engine, mine)
    execution = in_repository(
        engine, mine, lambda repository: repository.add_execution(intent_id, job_id, spare_id)
    )

    assert execution.execution_id == spare_id
    assert (execution.status, execution.fence, execution.lease_left_s) == ("pending", 0, 0)


def test_the_last_word_on_each_target_counts(engine: Engine, tenant: Tenant) -> None:
    """An intent that failed, and was followed by another that did not, is no failure of the content."""
    (content_id,) = add_content(engine, tenant, 1, status="publishing")
    first = add_intent(engine, tenant, content_id=content_id, status="failed")
    add_intent(engine, tenant, content_id=content_id, status="published")
    with UnitOfWork(engine, tenant.org_id) as unit:
        old = (
            unit.connection.execute(select(publish_intents).where(publish_intents.c.id == first))
            .mappings()
            .one()
        )
        later = {
            **old,
            "id": uuid4(),
            "status": "published",
            "published_at": func.now(),
            "updated_at": func.now(),
        }
        unit.connection.execute(
            update(publish_intents)
            .where(publish_intents.c.id == first)
            .values(updated_at=func.now() - timedelta(hours=1))
        )
        unit.connection.execute(insert(publish_intents).values(later))

    words = in_repository(engine, tenant, lambda repository: repository.last_words(content_id))

    assert words == ["published", "published"]


def test_archived_content_stays_archived(engine: Engine, tenant: Tenant) -> None:
    """Somebody put it away on purpose."""
    (content_id,) = add_content(engine, tenant, 1, status="archived")
    in_repository(engine, tenant, lambda repository: repository.mark_content(content_id, "published", None))
    assert row(engine, tenant, content_items)["status"] == "archived"


def test_content_keeps_its_first_time_and_a_known_address(engine: Engine, tenant: Tenant) -> None:
    """Published again it is no younger, and a target that tells no address takes none away."""
    (content_id,) = add_content(engine, tenant, 1, status="publishing")

    def mark(url: str | None) -> None:
        in_repository(
            engine, tenant, lambda repository: repository.mark_content(content_id, "published", url)
        )

    mark("https://site.example/7")
    first = row(engine, tenant, content_items)
    mark(None)
    second = row(engine, tenant, content_items)

    assert second["published_at"] == first["published_at"]
    assert second["url"] == "https://site.example/7"


def test_an_open_sibling_is_found(engine: Engine, tenant: Tenant) -> None:
    """Of the same content and target, and only while it is open."""
    intent_id = add_intent(engine, tenant, status="failed")
    intent = in_repository(engine, tenant, lambda repository: repository.intent(intent_id))
    assert intent is not None
    assert in_repository(engine, tenant, lambda repository: repository.open_sibling(intent)) is None
    sibling = uuid4()
    with UnitOfWork(engine, tenant.org_id) as unit:
        old = unit.connection.execute(select(publish_intents)).mappings().one()
        unit.connection.execute(insert(publish_intents).values({**old, "id": sibling, "status": "pending"}))

    assert in_repository(engine, tenant, lambda repository: repository.open_sibling(intent)) == sibling
    with pytest.raises(JobError, match=str(sibling)):
        saga(engine, Site())(PublishExecution(org_id=tenant.org_id, intent_id=intent_id))


def test_a_text_that_no_column_holds_is_cut(engine: Engine, tenant: Tenant) -> None:
    """Too long, with a zero character, of a category that only guards know."""
    intent_id = add_intent(engine, tenant)
    execution = claimed(engine, tenant, intent_id)
    failure = PublishFailure(category="never heard of", message="\x00" + "x" * 3_000)

    in_repository(
        engine,
        tenant,
        lambda repository: repository.record_failed(intent_id, execution, uuid4(), failure),
    )

    end = row(engine, tenant, publish_executions)
    assert (end["error_category"], end["error"]) == ("unknown", "x" * MAX_ERROR_CHARS)
    assert row(engine, tenant, publish_intents)["error"] == end["error"]


def test_a_cancelled_job_is_distinguished(engine: Engine, tenant: Tenant) -> None:
    """The execution is `cancelled`; its intent failed."""
    intent_id = add_intent(engine, tenant)
    execution = claimed(engine, tenant, intent_id)
    failure = PublishFailure(category="cancelled", message="on request")

    in_repository(
        engine,
        tenant,
        lambda repository: repository.record_failed(intent_id, execution, uuid4(), failure),
    )

    assert row(engine, tenant, job_executions)["status"] == "cancelled"
    assert row(engine, tenant, publish_intents)["status"] == "failed"


@pytest.mark.parametrize(
    ("read", "table"),
    [
        (lambda repository, intent_id, content_id: repository.intent(intent_id), publish_intents),
        (lambda repository, intent_id, content_id: repository.execution(intent_id), job_executions),
        (lambda repository, intent_id, content_id: repository.last_words(content_id), content_items),
    ],
    ids=["intent", "execution", "content"],
)
def test_rows_are_locked_until_the_transaction_ends(
    engine: Engine, tenant: Tenant, read: Callable[[SqlPublishing, UUID, UUID], object], table: Table
) -> None:
    """What is decided on them holds: adopting a draft and disowning it, above all."""
    (content_id,) = add_content(engine, tenant, 1, status="publishing")
    intent_id = add_intent(engine, tenant, content_id=content_id)
    claimed(engine, tenant, intent_id)

    lock_at_once(engine, tenant, table)
    with UnitOfWork(engine, tenant.org_id) as unit:
        read(SqlPublishing(unit), intent_id, content_id)
        with pytest.raises(OperationalError, match="LockNotAvailable"):
            lock_at_once(engine, tenant, table)


def lock_at_once(engine: Engine, tenant: Tenant, table: Table) -> None:
    """In another transaction; fails where that would have to wait."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        unit.connection.execute(select(table).with_for_update(nowait=True, key_share=True))


def test_an_execution_that_starts_again_says_nothing_of_its_failure(engine: Engine, tenant: Tenant) -> None:
    """While it runs it has neither an error nor an end."""
    intent_id = add_intent(engine, tenant)
    failed, failure = claimed(engine, tenant, intent_id), PublishFailure(category="network", message="busy")
    in_repository(
        engine, tenant, lambda repository: repository.record_failed(intent_id, failed, uuid4(), failure)
    )
    assert row(engine, tenant, job_executions)["finished_at"] is not None

    claimed(engine, tenant, intent_id)

    execution = row(engine, tenant, job_executions)
    assert (execution["error_category"], execution["error"], execution["finished_at"]) == (None, None, None)
