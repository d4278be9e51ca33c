"""The publishing saga on PostgreSQL: one post whoever works at it, commits nobody heard of, rows that agree."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, insert

from adapters.database.engine import create_engine
from adapters.database.tables import content_items, job_executions, publish_executions, publish_intents
from adapters.database.unit_of_work import UnitOfWork
from domain.errors import LeaseHeld, NotFound, ProviderUnavailable
from domain.ports import T, Transactions
from domain.publish_execution import PublishExecution, PublishOutcome
from domain.publish_ports import PublishRepository
from domain.publish_saga import ExecutePublish
from tests.databases import Database
from tests.tenants import Tenant

from .due_content import add_content
from .faults import LostCommits
from .publishing_rows import (
    OUTCOME,
    Site,
    add_intent,
    row,
    rows,
    saga,
    transactions_of,
)


def test_every_row_says_the_same_in_the_end(engine: Engine, tenant: Tenant) -> None:
    """Execution, success row, intent and content, by the database's clock."""
    intent_id, site = add_intent(engine, tenant), Site()
    job = PublishExecution(org_id=tenant.org_id, intent_id=intent_id)
    handler = saga(engine, site)

    outcome = handler(job)

    (external_id,) = site.posts
    place = (external_id, "https://site.example/post")
    assert outcome == PublishOutcome(status="published", external_id=place[0], external_url=place[1])
    execution = row(engine, tenant, job_executions)
    assert (execution["id"], execution["message_id"]) == (handler.run.job_id, str(handler.run.job_id))
    assert (execution["job_type"], execution["key"]) == ("publish_execution", str(intent_id))
    assert (execution["status"], execution["attempts"], execution["fence"]) == ("succeeded", 1, 1)
    assert execution["result"] == outcome.model_dump()
    assert execution["lease_until"] is None
    assert execution["finished_at"] is not None
    assert {execution["state"]["key"]} == site.keys
    success = row(engine, tenant, publish_executions)
    assert (success["outcome"], success["fence"], success["intent_id"]) == ("success", 1, intent_id)
    assert (success["external_id"], success["external_url"]) == place
    intent = row(engine, tenant, publish_intents)
    assert (intent["status"], intent["external_id"], intent["external_url"]) == ("published", *place)
    content = row(engine, tenant, content_items)
    assert (content["status"], content["url"]) == ("published", place[1])
    assert content["published_at"] == intent["published_at"] == success["finished_at"]


def test_of_eight_at_once_one_publishes(engine: Engine, tenant: Tenant) -> None:
    """The others hear that it is in hand, or done; one post, one attempt, one success row."""
    intent_id, site = add_intent(engine, tenant), Site()
    together = threading.Barrier(8, timeout=30)

    def attempt(_: int) -> str:
        together.wait()
        try:
            return saga(engine, site)(PublishExecution(org_id=tenant.org_id, intent_id=intent_id)).status
        except LeaseHeld:
            return "held"

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(attempt, range(8)))

    assert outcomes.count("published") == 1
    assert set(outcomes) <= {"published", "already_published", "held"}
    assert list(site.posts.values()) == [True]
    assert row(engine, tenant, job_executions)["attempts"] == 1
    assert len(rows(engine, tenant, publish_executions)) == 1


def test_a_commit_nobody_heard_of_changes_nothing(
    database: Database, engine: Engine, new_tenant: Callable[[], Tenant]
) -> None:
    """Whichever of the saga's transactions it was: one attempt, one fence, one post, one row."""
    tenant = new_tenant()
    whole = Counted(transactions_of(engine))
    publish(engine, tenant, whole)

    for number in range(1, whole.count + 1):
        tenant = new_tenant()
        with LostCommits(database.worker_url, losses=0).running() as proxy:
            lossy = create_engine(proxy.url)

            def lose(current: int, proxy: LostCommits = proxy, number: int = number) -> None:
                proxy.losses = int(current == number)

            site = publish(engine, tenant, Counted(transactions_of(lossy), lose))
            assert proxy.losses == 0
            lossy.dispose()
        execution = row(engine, tenant, job_executions)
        assert (execution["status"], execution["attempts"], execution["fence"]) == ("succeeded", 1, 1)
        assert list(site.posts.values()) == [True]
        assert len(rows(engine, tenant, publish_executions)) == 1


def publish(engine: Engine, tenant: Tenant, transactions: Transactions[PublishRepository]) -> Site:
    """One attempt at a new intent that succeeds."""
    intent_id, site = add_intent(engine, tenant), Site()
    job = PublishExecution(org_id=tenant.org_id, intent_id=intent_id)
    assert saga(engine, site, transactions=transactions)(job).status == "published"
    return site


class Counted:
    """Units of work that are counted, and told when the next one begins."""

    def __init__(
        self, inner: Transactions[PublishRepository], before: Callable[[int], None] = lambda number: None
    ) -> None:
        self.count = 0
        self._inner = inner
        self._before = before

    def __call__(self, org_id: UUID, work: Callable[[PublishRepository], T], *, timeout_s: float = 30.0) -> T:
        self.count += 1
        self._before(self.count)
        return self._inner(org_id, work, timeout_s=timeout_s)


def test_a_failure_nobody_heard_of_is_written_once(
    database: Database, engine: Engine, tenant: Tenant
) -> None:
    """The closing transaction finds itself done."""
    intent_id, site = add_intent(engine, tenant), Site(failures=1)
    with LostCommits(database.worker_url, losses=1).running() as proxy:
        lossy = create_engine(proxy.url)
        handler = saga(engine, site, is_final=True)
        handler = ExecutePublish(**{**vars(handler), "closing": transactions_of(lossy)})
        with pytest.raises(ProviderUnavailable):
            handler(PublishExecution(org_id=tenant.org_id, intent_id=intent_id))
        assert proxy.losses == 0
        lossy.dispose()

    assert row(engine, tenant, publish_executions)["outcome"] == "failure"
    assert row(engine, tenant, job_executions)["status"] == "failed"


def test_a_failure_is_kept_and_a_later_attempt_starts_again(engine: Engine, tenant: Tenant) -> None:
    """Category and message stand in all of its rows; afterwards nothing of it is left but the failure row."""
    intent_id, site = add_intent(engine, tenant), Site(failures=1)
    job = PublishExecution(org_id=tenant.org_id, intent_id=intent_id)
    with pytest.raises(ProviderUnavailable):
        saga(engine, site, is_final=True)(job)

    execution, intent = row(engine, tenant, job_executions), row(engine, tenant, publish_intents)
    assert (execution["status"], execution["error_category"], execution["error"]) == (
        "failed",
        "network",
        "busy",
    )
    assert execution["lease_until"] is None
    assert (intent["status"], intent["error"]) == ("failed", "busy")
    assert row(engine, tenant, content_items)["status"] == "failed"

    assert saga(engine, site)(job).status == "published"

    execution, intent = row(engine, tenant, job_executions), row(engine, tenant, publish_intents)
    assert (execution["status"], execution["error_category"], execution["error"]) == ("succeeded", None, None)
    assert (execution["attempts"], execution["fence"]) == (2, 2)
    assert (intent["status"], intent["error"]) == ("published", None)
    assert row(engine, tenant, content_items)["status"] == "published"
    assert sorted(end["outcome"] for end in rows(engine, tenant, publish_executions)) == [
        "failure",
        "success",
    ]
    assert list(site.posts.values()) == [True]


def test_a_failed_attempt_gives_its_lease_back(engine: Engine, tenant: Tenant) -> None:
    """The next finds the draft and makes that one public."""
    intent_id, site = add_intent(engine, tenant), Site(failures=2)
    job = PublishExecution(org_id=tenant.org_id, intent_id=intent_id)
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            saga(engine, site)(job)
        execution = row(engine, tenant, job_executions)
        assert (execution["status"], execution["lease_until"]) == ("pending", None)

    saga(engine, site)(job)

    assert list(site.posts.values()) == [True]


def test_another_orgs_intent_is_not_found(engine: Engine, new_tenant: Callable[[], Tenant]) -> None:
    """And nothing is written for either."""
    mine, theirs = new_tenant(), new_tenant()
    intent_id = add_intent(engine, theirs)

    with pytest.raises(NotFound, match=f"publish intent {intent_id} not found"):
        saga(engine, Site())(PublishExecution(org_id=mine.org_id, intent_id=intent_id))

    assert rows(engine, mine, job_executions) == rows(engine, theirs, job_executions) == []
    assert row(engine, theirs, publish_intents)["status"] == "pending"


def test_published_rows_without_an_execution_are_only_completed(engine: Engine, tenant: Tenant) -> None:
    """The site is not called; the execution learns what the success row says."""
    intent_id, site = add_intent(engine, tenant, status="publishing"), Site()
    with UnitOfWork(engine, tenant.org_id) as unit:
        unit.connection.execute(
            insert(publish_executions).values(
                org_id=tenant.org_id,
                id=uuid4(),
                intent_id=intent_id,
                fence=3,
                outcome="success",
                external_id="7",
                external_url="https://site.example/7",
            )
        )

    outcome = saga(engine, site)(PublishExecution(org_id=tenant.org_id, intent_id=intent_id))

    assert outcome == OUTCOME.model_copy(update={"status": "already_published"})
    assert site.posts == {}
    assert row(engine, tenant, job_executions)["status"] == "succeeded"
    assert row(engine, tenant, publish_intents)["external_id"] == "7"
    assert row(engine, tenant, content_items)["status"] == "published"
    assert len(rows(engine, tenant, publish_executions)) == 1


def test_two_intents_of_one_content_that_end_at_once_settle_it(
    engine: Engine, new_tenant: Callable[[], Tenant]
) -> None:
    """Whichever transaction comes second sees the end of the first: the content is never left `publishing`."""
    for _ in range(10):
        tenant = new_tenant()
        (content_id,) = add_content(engine, tenant, 1, status="publishing")
        intents = [add_intent(engine, tenant, content_id=content_id) for _ in range(4)]
        together = threading.Barrier(4, timeout=30)

        def attempt(intent_id: UUID, tenant: Tenant = tenant, barrier: threading.Barrier = together) -> None:
            barrier.wait()
            saga(engine, Site())(PublishExecution(org_id=tenant.org_id, intent_id=intent_id))

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(attempt, intents))

        assert row(engine, tenant, content_items)["status"] == "published"
