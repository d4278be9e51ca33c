"""What holds for every table, and the rules that tables themselves keep."""

from collections.abc import Iterable
from uuid import uuid4

import pytest
from psycopg.errors import CheckViolation, UniqueViolation
from sqlalchemy import (
    DateTime,
    Engine,
    Index,
    Table,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError

from adapters.database.tables import (
    content_items,
    cron_ticks,
    experiment_runs,
    job_executions,
    media_assets,
    media_references,
    metadata,
    publish_executions,
    publish_intents,
    tenant_tables,
)
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from tests.tenants import Tenant

from .samples import Row, insert_family, insert_org, sample

each_table = pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: str(table.name))

SEED_INDEXES = {
    "idx_content_ideas_idempotency": ("content_ideas", ["idempotency_key"]),
    "idx_job_executions_status_entity": ("job_executions", ["status", "entity_id"]),
    "idx_publishing_dlq_category": ("publishing_dlq", ["error_category"]),
    "idx_publishing_dlq_region": ("publishing_dlq", ["region"]),
    "idx_feedback_metrics_entity_window": ("feedback_metrics", ["entity_id", "window_days"]),
}


@each_table
def test_times_have_a_zone(table: Table) -> None:
    """Every point in time is stored with its zone."""
    times = [column for column in table.columns if isinstance(column.type, DateTime)]
    assert [column.name for column in times if not column.type.timezone] == []  # type: ignore[attr-defined]


@each_table
def test_references_have_an_index(table: Table) -> None:
    """Deleting or moving a parent finds its children by an index, however many there are."""
    starts = list(_index_columns(table))
    for reference in table.foreign_key_constraints:
        columns = set(reference.column_keys)
        assert any(set(start[: len(columns)]) == columns for start in starts), reference.name


@pytest.mark.parametrize(
    "table", [table for table in tenant_tables() if "domain_id" in table.c], ids=lambda table: str(table.name)
)
def test_what_belongs_to_a_domain_follows_it(table: Table) -> None:
    """Whatever names a domain references it so that it moves with it; only transfer tokens stay behind."""
    references = {
        tuple(reference.column_keys): (reference.referred_table.name, reference.onupdate)
        for reference in table.foreign_key_constraints
    }
    followed = references.get(("org_id", "domain_id"))
    assert followed == (None if table.name == "domain_transfer_tokens" else ("domain_registry", "CASCADE"))


@pytest.mark.parametrize("name", SEED_INDEXES)
def test_the_recommended_indexes_exist(engine: Engine, name: str) -> None:
    """The five indexes of the original recommendation exist by their names."""
    table, columns = SEED_INDEXES[name]
    query = text("SELECT indexdef FROM pg_indexes WHERE indexname = :name AND tablename = :table")
    with engine.connect() as connection:
        definition = connection.scalar(query, {"name": name, "table": table})
    assert str(definition).endswith(f"ON public.{table} USING btree ({', '.join(columns)})")


def test_a_success_is_written_once(engine: Engine) -> None:
    """An intent has at most one successful execution, and any number of failed ones."""
    with SystemUnitOfWork(engine) as unit:
        family = _family(unit)
        intent = {**family["publish_executions"], "outcome": "failure"}
        for _ in range(2):
            unit.connection.execute(insert(publish_executions).values({**intent, "id": uuid4()}))
        with pytest.raises(IntegrityError) as refused, unit.connection.begin_nested():
            unit.connection.execute(
                insert(publish_executions).values({**family["publish_executions"], "id": uuid4()})
            )
    assert isinstance(refused.value.orig, UniqueViolation)
    assert refused.value.orig.diag.constraint_name == "uq_publish_executions_success"


@pytest.mark.parametrize(
    ("table", "over", "constraint"),
    [
        (publish_intents, {"status": "cancelled"}, "uq_publish_intents_open"),
        (experiment_runs, {"status": "stopped", "ended_at": text("now()")}, "uq_experiment_runs_running"),
    ],
)
def test_one_at_a_time(engine: Engine, table: Table, over: Row, constraint: str) -> None:
    """An experiment runs once at a time and content has one open intent for a target; the next may follow."""
    with SystemUnitOfWork(engine) as unit:
        family = _family(unit)
        again = {**family[table.name], "id": uuid4()}
        with pytest.raises(IntegrityError) as refused, unit.connection.begin_nested():
            unit.connection.execute(insert(table).values(again))
        unit.connection.execute(update(table).where(table.c.id == family[table.name]["id"]).values(over))
        unit.connection.execute(insert(table).values(again))
    assert isinstance(refused.value.orig, UniqueViolation)
    assert refused.value.orig.diag.constraint_name == constraint


@pytest.mark.parametrize("of_an_org", [True, False])
def test_a_job_has_one_row_in_its_org(engine: Engine, tenant: Tenant, of_an_org: bool) -> None:
    """One key of one kind of job has one row in an org, or among the platform's own; another org has its own."""
    row = {**sample(job_executions, tenant.org_id, {}), "org_id": tenant.org_id if of_an_org else None}
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(insert(job_executions).values(row))
        unit.connection.execute(insert(job_executions).values({**row, "id": uuid4(), "org_id": uuid4()}))
        with pytest.raises(IntegrityError) as refused, unit.connection.begin_nested():
            unit.connection.execute(insert(job_executions).values({**row, "id": uuid4()}))
    assert isinstance(refused.value.orig, UniqueViolation)


def test_a_tick_happens_once(engine: Engine) -> None:
    """However many schedulers fire, an actor has one tick a minute."""
    tick = {"actor": uuid4().hex, "nominal_minute": text("date_trunc('minute', now())"), "claimed_by": "one"}
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(insert(cron_ticks).values(tick))
        with pytest.raises(IntegrityError) as refused, unit.connection.begin_nested():
            unit.connection.execute(insert(cron_ticks).values({**tick, "claimed_by": "another"}))
    assert isinstance(refused.value.orig, UniqueViolation)


def test_words_outside_the_list_are_refused(engine: Engine) -> None:
    """A status that nobody knows is not stored."""
    with SystemUnitOfWork(engine) as unit:
        row = {**_family(unit)["content_items"], "id": uuid4(), "status": "lost"}
        with pytest.raises(IntegrityError) as refused, unit.connection.begin_nested():
            unit.connection.execute(insert(content_items).values(row))
    assert isinstance(refused.value.orig, CheckViolation)


@pytest.mark.parametrize("parent", [media_references, content_items], ids=["reference", "content"])
@pytest.mark.parametrize("as_system", [True, False], ids=["system", "org"])
def test_an_orphans_time_starts_when_its_last_reference_ends(
    engine: Engine, parent: Table, as_system: bool
) -> None:
    """Ending a reference, or deleting the content that holds it, notes when; the current org stays what it was."""
    org_id = uuid4()
    with SystemUnitOfWork(engine) as unit:
        insert_org(unit.connection, org_id)
        insert_family(unit.connection, org_id)
        unit.connection.execute(
            update(media_assets)
            .where(media_assets.c.org_id == org_id)
            .values(last_referenced_at=text("now() - interval '90 days'"))
        )
    with SystemUnitOfWork(engine) if as_system else UnitOfWork(engine, org_id) as ending:
        ending.connection.execute(delete(parent).where(parent.c.org_id == org_id))
        noted = select(media_assets.c.last_referenced_at == func.now()).where(media_assets.c.org_id == org_id)
        assert ending.connection.scalar(noted) is True
        current = ending.connection.scalar(select(func.current_setting("app.org", True)))
        assert current in ({None, ""} if as_system else {str(org_id)})


def _family(unit: SystemUnitOfWork) -> dict[str, Row]:
    org_id = uuid4()
    insert_org(unit.connection, org_id)
    return insert_family(unit.connection, org_id)


def _index_columns(table: Table) -> Iterable[list[str]]:
    yield [column.name for column in table.primary_key.columns]
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield [column.name for column in constraint.columns]
    for index in table.indexes:
        if index.dialect_options["postgresql"]["where"] is None:
            yield _names(index)


def _names(index: Index) -> list[str]:
    return [str(getattr(expression, "name", expression)) for expression in index.expressions]
