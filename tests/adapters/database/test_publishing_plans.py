"""Every statement of the publishing saga finds its rows by an index, as the worker role."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Engine, event, text

from adapters.database.engine import create_engine
from adapters.database.migrate import upgrade
from adapters.database.publishing import SqlPublishing
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from domain.publish_execution import PublishOutcome
from domain.publish_ports import Execution, Intent, PublishFailure, SagaState
from tests.databases import Database

#: Fifty orgs with a hundred contents each, published once and failed once before.
FILL = """
    INSERT INTO orgs (id, name) SELECT gen_random_uuid(), 'An org' FROM generate_series(1, 50);
    INSERT INTO domain_registry (org_id, id, host) SELECT id, gen_random_uuid(), 'a.example' FROM orgs;
    INSERT INTO publish_targets (org_id, id, domain_id, name, adapter, address, credentials)
        SELECT org_id, gen_random_uuid(), id, 'target ' || n, 'webhook', 'https://a.example', ''
        FROM domain_registry, generate_series(1, 20) AS n;
    INSERT INTO content_items (org_id, id, domain_id, title, content_type, status)
        SELECT org_id, gen_random_uuid(), id, 'A title', 'article', 'publishing'
        FROM domain_registry, generate_series(1, 100);
    INSERT INTO media_assets (org_id, id, domain_id, object_key, media_type, size_bytes, storage)
        SELECT org_id, gen_random_uuid(), domain_id, id::text, 'image/png', 7, 'hot' FROM content_items;
    INSERT INTO media_references (org_id, media_id, content_id, is_featured)
        SELECT org_id, id, object_key::uuid, true FROM media_assets;
    INSERT INTO publish_intents (org_id, id, domain_id, content_id, target_id, status)
        SELECT content.org_id, gen_random_uuid(), content.domain_id, content.id, target.id, 'failed'
        FROM content_items AS content JOIN publish_targets AS target USING (org_id)
        WHERE target.name IN ('target 1', 'target 2');
    INSERT INTO job_executions (id, org_id, job_type, key, status)
        SELECT gen_random_uuid(), org_id, 'publish_execution', id::text, 'failed' FROM publish_intents;
    INSERT INTO publish_executions (org_id, id, intent_id, fence, outcome)
        SELECT org_id, gen_random_uuid(), id, 1, outcome
        FROM publish_intents, unnest(ARRAY['success', 'failure']) AS outcome;
"""
FAILURE = PublishFailure(category="network", message="busy")
OUTCOME = PublishOutcome(status="published", external_id="7", external_url=None)

Call = Callable[[SqlPublishing, Intent, Execution], object]


@dataclass(frozen=True)
class Busy:
    """A database with enough rows, and one of its intents."""

    engine: Engine
    org_id: UUID
    intent: Intent
    execution: Execution


@pytest.fixture(scope="module")
def busy(new_database: Callable[[], Database]) -> Iterator[Busy]:
    """The planner knows how many rows there are, and decides as it would in production."""
    database = new_database()
    upgrade(database.owner_url)
    engine = create_engine(database.worker_url)
    with SystemUnitOfWork(engine) as unit:
        for statement in FILL.split(";")[:-1]:
            unit.connection.execute(text(statement))
        org_id, intent_id = unit.connection.execute(
            text("SELECT org_id, id FROM publish_intents LIMIT 1")
        ).one()
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE")
    with UnitOfWork(engine, org_id) as unit:
        repository = SqlPublishing(unit)
        intent, execution = repository.intent(intent_id), repository.execution(intent_id)
    assert intent is not None
    assert execution is not None
    yield Busy(engine, org_id, intent, execution)
    engine.dispose()


@pytest.mark.parametrize(
    ("call", "indexes"),
    [
        (
            lambda repository, intent, execution: repository.intent(intent.intent_id),
            {
                *("pk_publish_intents", "pk_content_items", "pk_publish_targets"),
                *("uq_media_references_featured", "pk_media_assets"),
            },
        ),
        (
            lambda repository, intent, execution: repository.intent_status(intent.intent_id),
            {"pk_publish_intents"},
        ),
        (
            lambda repository, intent, execution: repository.open_sibling(intent),
            {"uq_publish_intents_open"},
        ),
        (
            lambda repository, intent, execution: repository.execution(intent.intent_id),
            {"uq_job_executions_org_id_job_type_key"},
        ),
        (
            lambda repository, intent, execution: repository.success(intent.intent_id),
            {"uq_publish_executions_success"},
        ),
        (
            lambda repository, intent, execution: repository.take_lease(
                execution, SagaState(), uuid4(), 60.0
            ),
            {"pk_job_executions"},
        ),
        (
            lambda repository, intent, execution: repository.mark_publishing(intent.intent_id),
            {"pk_publish_intents"},
        ),
        (
            lambda repository, intent, execution: repository.record_published(
                intent.intent_id, execution, uuid4(), OUTCOME
            ),
            {"pk_job_executions", "pk_publish_intents"},
        ),
        (
            lambda repository, intent, execution: repository.record_failed(
                intent.intent_id, execution, uuid4(), FAILURE
            ),
            {"pk_job_executions", "pk_publish_intents"},
        ),
        (
            lambda repository, intent, execution: repository.last_words(intent.content_id),
            {"pk_content_items", "ix_publish_intents_content"},
        ),
        (
            lambda repository, intent, execution: repository.mark_content(intent.content_id, "failed", None),
            {"pk_content_items"},
        ),
    ],
    ids=[
        "intent",
        "status",
        "sibling",
        "execution",
        "success",
        "take",
        "publishing",
        "published",
        "failed",
        "last words",
        "content",
    ],
)
def test_statements_use_their_index(busy: Busy, call: Call, indexes: set[str]) -> None:
    """No table is read as a whole."""
    nodes = list(_plans(busy, call))
    assert {str(node["Index Name"]) for node in nodes if "Index Name" in node} == indexes
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan"]


def _plans(busy: Busy, call: Call) -> Iterator[dict[str, object]]:
    """The nodes of the plans of all that the call sends; what it wrote is undone."""
    sent: list[tuple[str, dict[str, object]]] = []

    def note(
        connection: object, cursor: object, statement: str, parameters: dict[str, object], *_: object
    ) -> None:
        sent.append((statement, parameters))

    with UnitOfWork(busy.engine, busy.org_id) as unit:
        event.listen(unit.connection, "before_cursor_execute", note)
        call(SqlPublishing(unit), busy.intent, busy.execution)
        event.remove(unit.connection, "before_cursor_execute", note)
        unit.connection.rollback()
    for statement, parameters in sent:
        with UnitOfWork(busy.engine, busy.org_id) as unit:
            plan = unit.connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            yield from _nodes(plan.scalar_one()[0]["Plan"])


def _nodes(node: dict[str, object]) -> Iterator[dict[str, object]]:
    yield node
    children = node.get("Plans", [])
    for child in children if isinstance(children, list) else []:
        yield from _nodes(child)
