"""The repository of content ideas: keys that hold, batches in few statements, averages of the right days."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, event, func, insert, select, update

from adapters.database.engine import create_engine
from adapters.database.ideas import SqlIdeas
from adapters.database.tables import ai_usage, content_ideas, idempotency_keys, keyword_metrics
from adapters.database.transactions import SqlTransactions
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from domain.content_idea_generation import IdeaRepository
from domain.idea_providers import KeywordAverages, Usage
from domain.ideas import Idea
from domain.limits import Limits
from domain.ports import Transactions
from tests.databases import Database
from tests.tenants import Tenant

from .faults import LostCommits

WINDOW = timedelta(hours=24)


@pytest.fixture
def ideas(engine: Engine) -> Transactions[IdeaRepository]:
    """Units of work over ideas, with the platform's own limits."""
    return _transactions(engine)


@pytest.fixture
def inserts(engine: Engine) -> Iterator[list[bool]]:
    """For each INSERT into `content_ideas` that the driver is given: whether it is one of many."""
    seen: list[bool] = []

    def note(
        connection: object, cursor: object, statement: str, parameters: object, context: object, many: bool
    ) -> None:
        if statement.startswith("INSERT INTO content_ideas"):
            seen.append(many)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def test_the_database_answers(ideas: Transactions[IdeaRepository], tenant: Tenant) -> None:
    """The health check passes on a database that is there."""
    ideas(tenant.org_id, lambda repository: repository.ping())


def test_a_domain_exists_for_its_owner(
    ideas: Transactions[IdeaRepository], tenant: Tenant, new_tenant: Callable[[], Tenant]
) -> None:
    """An org has its own domains and nobody else's."""
    other = new_tenant()

    def work(repository: IdeaRepository) -> list[bool]:
        return [repository.domain_exists(id_) for id_ in (tenant.domain_id, other.domain_id, uuid4())]

    assert ideas(tenant.org_id, work) == [True, False, False]


@pytest.mark.parametrize(
    ("number", "statements"), [(0, 0), (1, 1), (99, 1), (100, 1), (101, 2), (250, 3), (500, 5)]
)
def test_ideas_are_written_a_hundred_a_statement(
    engine: Engine,
    ideas: Transactions[IdeaRepository],
    tenant: Tenant,
    inserts: list[bool],
    number: int,
    statements: int,
) -> None:
    """A batch takes one multi-row INSERT for every hundred ideas, and keeps their order."""
    batch, written = uuid4(), _some_ideas(number)
    ideas(
        tenant.org_id, lambda repository: repository.insert_ideas(tenant.domain_id, batch, "a key", written)
    )
    assert inserts == [False] * statements
    assert _stored(engine, tenant, batch) == [idea.id for idea in written]


def test_the_batch_size_is_a_limit_like_others(engine: Engine, tenant: Tenant, inserts: list[bool]) -> None:
    """BATCH_INSERT_SIZE decides how many rows one statement has."""
    ideas = _transactions(engine, Limits(batch_insert_size=3))
    ideas(
        tenant.org_id,
        lambda repository: repository.insert_ideas(tenant.domain_id, uuid4(), "a key", _some_ideas(7)),
    )
    assert len(inserts) == 3


def test_every_field_is_kept(engine: Engine, ideas: Transactions[IdeaRepository], tenant: Tenant) -> None:
    """An idea is stored as it is."""
    idea, batch = _some_ideas(1)[0], uuid4()
    ideas(tenant.org_id, lambda repository: repository.insert_ideas(tenant.domain_id, batch, "a key", [idea]))
    with UnitOfWork(engine, tenant.org_id) as unit:
        row = unit.connection.execute(select(content_ideas)).mappings().one()
    kept = {name: row[name] for name in Idea.model_fields}
    assert (
        Idea.model_validate(
            {**kept, "target_keywords": tuple(row["target_keywords"]), "outline": tuple(row["outline"])}
        )
        == idea
    )
    assert (row["domain_id"], row["batch_id"], row["idempotency_key"]) == (tenant.domain_id, batch, "a key")


def test_of_eight_at_once_one_writes(engine: Engine, tenant: Tenant) -> None:
    """Eight jobs with one key at the same moment write one batch, and all name it."""
    ideas = _transactions(engine)
    together = Barrier(8, timeout=30)

    def job(batch: UUID) -> UUID:
        together.wait()
        return ideas(tenant.org_id, lambda repository: _claim_and_write(repository, tenant, "a key", batch))

    batches = [uuid4() for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        holders = set(threads.map(job, batches))
    assert len(holders) == 1
    with UnitOfWork(engine, tenant.org_id) as unit:
        assert unit.connection.scalars(select(content_ideas.c.batch_id)).all() == [*holders, *holders]


def test_a_claim_that_is_rolled_back_is_free(ideas: Transactions[IdeaRepository], tenant: Tenant) -> None:
    """A job that fails after its claim leaves the key to the next."""
    with pytest.raises(ZeroDivisionError):
        ideas(tenant.org_id, lambda repository: repository.claim_key("a key", uuid4(), WINDOW).int / 0)
    second = uuid4()
    assert ideas(tenant.org_id, lambda repository: repository.claim_key("a key", second, WINDOW)) == second


def test_an_expired_key_is_free(engine: Engine, ideas: Transactions[IdeaRepository], tenant: Tenant) -> None:
    """When the window is over the key holds nothing, may be taken again, and then holds anew."""
    first, second, third = uuid4(), uuid4(), uuid4()
    ideas(tenant.org_id, lambda repository: repository.claim_key("a key", first, WINDOW))
    assert ideas(tenant.org_id, lambda repository: repository.batch_for_key("a key")) == first
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(
            update(idempotency_keys)
            .where(idempotency_keys.c.org_id == tenant.org_id)
            .values(expires_at=func.now())
        )
    assert ideas(tenant.org_id, lambda repository: repository.batch_for_key("a key")) is None
    assert ideas(tenant.org_id, lambda repository: repository.claim_key("a key", second, WINDOW)) == second
    assert ideas(tenant.org_id, lambda repository: repository.claim_key("a key", third, WINDOW)) == second
    assert ideas(tenant.org_id, lambda repository: repository.batch_for_key("a key")) == second


def test_a_key_holds_for_its_window(
    engine: Engine, ideas: Transactions[IdeaRepository], tenant: Tenant
) -> None:
    """The window is counted by the database's clock, from the claim."""
    ideas(tenant.org_id, lambda repository: repository.claim_key("a key", uuid4(), WINDOW))
    keys = idempotency_keys.c
    with UnitOfWork(engine, tenant.org_id) as unit:
        assert unit.connection.scalar(select(keys.expires_at - keys.created_at)) == WINDOW


def test_orgs_have_keys_of_their_own(
    ideas: Transactions[IdeaRepository], tenant: Tenant, new_tenant: Callable[[], Tenant]
) -> None:
    """One org's key neither blocks nor shows another's."""
    other, first, second = new_tenant(), uuid4(), uuid4()
    ideas(other.org_id, lambda repository: repository.claim_key("a key", first, WINDOW))
    assert ideas(tenant.org_id, lambda repository: repository.batch_for_key("a key")) is None
    assert ideas(tenant.org_id, lambda repository: repository.claim_key("a key", second, WINDOW)) == second


def test_a_commit_nobody_heard_of_writes_one_batch(
    database: Database, engine: Engine, tenant: Tenant
) -> None:
    """Run again after a COMMIT that went through unheard, the job finds the claim and the ideas to be its own."""
    batch, written, runs = uuid4(), _some_ideas(150), []

    def work(repository: IdeaRepository) -> UUID:
        runs.append(repository)
        holder = repository.claim_key("a key", batch, WINDOW)
        repository.insert_ideas(tenant.domain_id, batch, "a key", written)
        return holder

    with LostCommits(database.worker_url, losses=1).running() as proxy:
        lossy = create_engine(proxy.url)
        assert _transactions(lossy)(tenant.org_id, work) == batch
        lossy.dispose()
    assert len(runs) == 2
    assert _stored(engine, tenant, batch) == [idea.id for idea in written]


def test_averages_are_of_the_last_days(
    engine: Engine, ideas: Transactions[IdeaRepository], tenant: Tenant, new_tenant: Callable[[], Tenant]
) -> None:
    """Each keyword's average over exactly so many days, today included; what has no metrics is left out."""
    today = datetime.now(UTC).date()
    for org, keyword, days_ago, clicks, position in (
        (tenant, "bread", 0, 10, 1.0),
        (tenant, "bread", 29, 20, 2.5),
        (tenant, "bread", 30, 9_000, 9.0),
        (tenant, "rye", 1, 3, 4.0),
        (tenant, "not asked for", 1, 3, 4.0),
        (new_tenant(), "spelt", 1, 3, 4.0),
    ):
        with UnitOfWork(engine, org.org_id) as unit:
            day = today - timedelta(days=days_ago)
            row = {"org_id": org.org_id, "domain_id": org.domain_id, "keyword": keyword, "day": day}
            unit.connection.execute(
                insert(keyword_metrics).values({**row, "clicks": clicks, "position": position})
            )
    asked = ("spelt", "rye", "bread")
    found = ideas(
        tenant.org_id, lambda repository: repository.keyword_averages(tenant.domain_id, asked, days=30)
    )
    assert found == [
        KeywordAverages(keyword="rye", clicks=3.0, position=4.0),
        KeywordAverages(keyword="bread", clicks=15.0, position=1.75),
    ]
    assert {type(average.clicks) for average in found} == {float}


def test_usage_is_kept(engine: Engine, ideas: Transactions[IdeaRepository], tenant: Tenant) -> None:
    """What a provider charged for is kept, call by call, and once when a transaction is repeated."""
    first, second = uuid4(), uuid4()
    job_id, usage = uuid4(), Usage(provider="openai", model="small", prompt_tokens=12, completion_tokens=34)
    for usage_id in (first, second, second):
        ideas(tenant.org_id, partial(_record, usage_id, job_id, usage))
    used = ai_usage.c
    query = select(used.job_id, used.provider, used.model, used.prompt_tokens, used.completion_tokens)
    with UnitOfWork(engine, tenant.org_id) as unit:
        assert unit.connection.execute(query).all() == [(job_id, "openai", "small", 12, 34)] * 2


def test_what_today_has_cost_is_the_orgs_own_and_of_today(
    engine: Engine, ideas: Transactions[IdeaRepository], new_tenant: Callable[[], Tenant]
) -> None:
    """Tokens of both kinds, of this org, since midnight in UTC."""
    tenant, other = new_tenant(), new_tenant()
    usage = Usage(provider="first", model="small", prompt_tokens=70, completion_tokens=30)
    for org_id in (tenant.org_id, tenant.org_id, tenant.org_id, other.org_id):
        ideas(org_id, partial(_record, uuid4(), uuid4(), usage))
    with SystemUnitOfWork(engine) as unit:
        first = select(ai_usage.c.id).where(ai_usage.c.org_id == tenant.org_id).limit(1).scalar_subquery()
        yesterday = func.timezone(
            "UTC", func.date_trunc("day", func.timezone("UTC", func.now()))
        ) - timedelta(seconds=1)
        unit.connection.execute(update(ai_usage).where(ai_usage.c.id == first).values(created_at=yesterday))

    assert ideas(tenant.org_id, lambda repository: repository.tokens_spent_today()) == 200


def _record(usage_id: UUID, job_id: UUID, usage: Usage, repository: IdeaRepository) -> None:
    repository.record_usage(usage_id, job_id, usage)


def _transactions(engine: Engine, limits: Limits | None = None) -> Transactions[IdeaRepository]:
    # The assignment is a test for type checkers: this is the domain's port.
    return SqlTransactions(engine, partial(SqlIdeas, limits=limits or Limits()), lambda: None)


def _some_ideas(number: int) -> list[Idea]:
    return [
        Idea(
            id=uuid4(),
            title=f"Idea {index}",
            description="What it is about — in any script: хлеб, ψωμί, パン",
            target_keywords=("bread", "rye"),
            content_type="article",
            read_time_minutes=6,
            outline=("First", "Then"),
            competitive_analysis="Nobody has this.",
        )
        for index in range(number)
    ]


def _claim_and_write(repository: IdeaRepository, tenant: Tenant, key: str, batch: UUID) -> UUID:
    holder = repository.claim_key(key, batch, WINDOW)
    if holder == batch:
        repository.insert_ideas(tenant.domain_id, batch, key, _some_ideas(2))
    return holder


def _stored(engine: Engine, tenant: Tenant, batch: UUID) -> list[UUID]:
    ideas = content_ideas.c
    with UnitOfWork(engine, tenant.org_id) as unit:
        query = select(ideas.id).where(ideas.batch_id == batch).order_by(ideas.ordinal)
        return list(unit.connection.scalars(query))
