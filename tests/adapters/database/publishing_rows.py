"""Intents, their executions and a remote service in memory, as tests of publishing need them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from sqlalchemy import Engine, RowMapping, Table, func, insert, select

from adapters.database.publishing import SqlPublishing
from adapters.database.tables import publish_intents
from adapters.database.transactions import SqlTransactions
from adapters.database.unit_of_work import UnitOfWork
from adapters.ids import uuid7
from domain.errors import ProviderUnavailable
from domain.ports import T, Transactions
from domain.publish_execution import PublishOutcome
from domain.publish_ports import Execution, PublishRepository, SagaState
from domain.publish_saga import ExecutePublish
from domain.publishing import Found, Journal, Post, Publisher, PublishTarget, RetryOptions
from tests.domain.export_fakes import Attempt
from tests.tenants import Tenant

from .due_content import add_content, add_target

OUTCOME = PublishOutcome(status="published", external_id="7", external_url="https://site.example/7")


@dataclass
class Site:
    """A remote service in memory: drafts, then public posts. Fails so often, each time after it did its work."""

    failures: int = 0
    posts: dict[str, bool] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)

    def __call__(self, target: PublishTarget, retry: RetryOptions) -> Publisher:
        return self

    def find(self, post: Post, journal: Journal) -> Found | None:
        journal.hold()
        found = next(iter(self.posts.items()), None)
        return found and Found(external_id=found[0], url=None, is_public=found[1])

    def publish(self, post: Post, journal: Journal) -> Found:
        journal.hold()
        self.keys.add(post.key)
        if journal.draft_id is None:
            draft_id = uuid4().hex
            self.posts[draft_id] = False
            journal.remember(draft_id)
        self._fail()
        journal.hold()
        assert journal.draft_id is not None
        self.posts[journal.draft_id] = True
        self._fail()
        return Found(external_id=journal.draft_id, url="https://site.example/post", is_public=True)

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise ProviderUnavailable("busy")


def transactions_of(engine: Engine) -> Transactions[PublishRepository]:
    """Units of work over publishing, without a deadline."""
    # The return type is a test for type checkers: this is the domain's port.
    return SqlTransactions(engine, SqlPublishing, lambda: None)


def saga(
    engine: Engine,
    site: Site,
    *,
    is_final: bool = False,
    transactions: Transactions[PublishRepository] | None = None,
) -> ExecutePublish:
    """The handler of one attempt of a job of its own."""
    return ExecutePublish(
        run=Attempt(uuid4()),
        transactions=transactions or transactions_of(engine),
        closing=transactions_of(engine),
        publishers=site,
        is_final=lambda error: is_final,
        new_id=uuid7,
        monotonic=lambda: 0.0,
        lease_s=60.0,
    )


def add_intent(
    engine: Engine, tenant: Tenant, *, content_id: UUID | None = None, status: str = "pending"
) -> UUID:
    """An intent of this status, of content that is being published."""
    intent_id, target_id = uuid4(), add_target(engine, tenant)
    if content_id is None:
        (content_id,) = add_content(engine, tenant, 1, status="publishing")
    with UnitOfWork(engine, tenant.org_id) as unit:
        unit.connection.execute(
            insert(publish_intents).values(
                org_id=tenant.org_id,
                id=intent_id,
                domain_id=tenant.domain_id,
                content_id=content_id,
                target_id=target_id,
                status=status,
                published_at=func.now() if status == "published" else None,
            )
        )
    return intent_id


def rows(engine: Engine, tenant: Tenant, table: Table) -> list[RowMapping]:
    """All of the tenant's."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        return list(unit.connection.execute(select(table)).mappings())


def row(engine: Engine, tenant: Tenant, table: Table) -> RowMapping:
    """The only one."""
    (only,) = rows(engine, tenant, table)
    return only


def in_repository(engine: Engine, tenant: Tenant, work: Callable[[SqlPublishing], T]) -> T:
    """One transaction."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        return work(SqlPublishing(unit))


def claimed(engine: Engine, tenant: Tenant, intent_id: UUID, state: SagaState | None = None) -> Execution:
    """The execution of an intent, right after somebody took the lease."""

    def work(repository: SqlPublishing) -> Execution:
        execution = repository.execution(intent_id) or repository.add_execution(intent_id, uuid4(), uuid4())
        repository.take_lease(execution, state or SagaState(claim="mine"), uuid4(), 60.0)
        taken = repository.execution(intent_id)
        assert taken is not None
        return taken

    return in_repository(engine, tenant, work)
