"""Whole feedback jobs on PostgreSQL: many at once, and COMMITs that nobody heard of, lose and double nothing."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine, event, func, select

from adapters.database.engine import create_engine
from adapters.database.tables import feedback_events
from adapters.database.unit_of_work import UnitOfWork
from adapters.threads import in_threads
from domain.errors import InvalidInput
from domain.feedback import Entity, WindowCounts
from domain.feedback_ingest import (
    EntityFeedback,
    FeedbackIngest,
    FeedbackRepository,
    IngestFeedback,
    IngestOutcome,
)
from domain.limits import Limits
from tests.databases import Database
from tests.domain.feedback_fakes import FakeSource
from tests.domain.idea_fakes import FakeRun
from tests.middleware.eventually import eventually
from tests.tenants import Tenant

from .faults import LostCommits
from .feedback_rows import ANN, POST, WINDOWS, metrics, noted_inserts, said, stored, transactions, window

#: Transactions of this database that wait for an advisory lock.
WAITING = """
    SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND NOT granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def test_jobs_of_one_org_count_one_after_the_other(
    database: Database, engine: Engine, tenant: Tenant, new_tenant: Callable[[], Tenant]
) -> None:
    """Whoever comes second waits for the first one's COMMIT and has a later time; other orgs do not wait."""
    feedback, times = transactions(engine), dict[str, datetime]()
    holds, lets_go = threading.Event(), threading.Event()

    def first(repository: FeedbackRepository) -> None:
        times["first"] = repository.lock_windows()
        holds.set()
        assert lets_go.wait(30)
        repository.insert_events("api", POST, [said("late", occurred_at=datetime.now(UTC))])

    def second(repository: FeedbackRepository) -> list[WindowCounts]:
        times["second"] = repository.lock_windows()
        return list(repository.count_windows([POST], [7], times["second"]))

    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(feedback, tenant.org_id, first)
        assert holds.wait(30)
        feedback(new_tenant().org_id, lambda repository: repository.lock_windows())
        two = threads.submit(feedback, tenant.org_id, second)
        assert eventually(lambda: waiting_for_a_lock(database))
        lets_go.set()
        one.result(30)
        # The event is younger than the second one's transaction, and is counted: time is read with the lock in hand.
        assert two.result(30) == [window(POST, 7, positive=1)]
    assert times["first"] < times["second"]


def test_a_job_that_counted_first_does_not_write_last(
    database: Database, engine: Engine, tenant: Tenant
) -> None:
    """While one is between counting and writing another brings an event: the windows end up with both."""
    has_counted, other_is_done = threading.Event(), threading.Event()

    def pause(connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO feedback_metrics") and not has_counted.is_set():
            has_counted.set()
            assert eventually(lambda: other_is_done.is_set() or waiting_for_a_lock(database))

    def other() -> None:
        ingest(engine, tenant, about(POST, "second"))
        other_is_done.set()

    event.listen(engine, "before_cursor_execute", pause)
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(ingest, engine, tenant, about(POST, "first"))
        assert has_counted.wait(30)
        two = threads.submit(other)
        one.result(30)
        two.result(30)
    event.remove(engine, "before_cursor_execute", pause)
    assert metrics(engine, tenant) == [window(POST, days, positive=2) for days in WINDOWS]


def test_jobs_at_once_about_one_entity_lose_nothing(engine: Engine, tenant: Tenant) -> None:
    """Forty jobs from eight threads, each with an event of its own: the windows end up with all of them."""
    together = Barrier(8, timeout=30)

    def jobs(thread: int) -> None:
        together.wait()
        for number in range(5):
            entities = about(POST, f"{thread}-{number}"), about(ANN, f"{thread}-{number}-ann")
            ingest(engine, tenant, *(entities if thread % 2 else entities[::-1]))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(jobs, range(8)))
    assert metrics(engine, tenant) == [
        window(entity, days, positive=40) for entity in (POST, ANN) for days in WINDOWS
    ]
    assert_metrics_are_the_events(engine, tenant)


def test_a_hundred_entities_in_threads(engine: Engine, tenant: Tenant) -> None:
    """A whole job of the largest size: a statement an entity, three for all windows, in one transaction."""
    commits: list[object] = []

    def note(connection: object) -> None:
        commits.append(connection)

    event.listen(engine, "commit", note)
    with noted_inserts(engine) as inserts:
        outcome = ingest(
            engine,
            tenant,
            *(
                about(Entity("content", f"{number}"), *(f"{number}-{index}" for index in range(100)))
                for number in range(100)
            ),
        )
    event.remove(engine, "commit", note)

    assert (outcome.processed, outcome.failed, len(outcome.windows)) == (100, 0, 300)
    assert Counter(inserts) == {"feedback_events": 100, "feedback_metrics": 3}
    assert len(commits) == 101
    assert len(stored(engine, tenant)) == 10_000
    assert_metrics_are_the_events(engine, tenant)


def test_commits_nobody_heard_of_count_once(database: Database, engine: Engine, tenant: Tenant) -> None:
    """Run again after COMMITs that went through unheard, nothing is added twice."""
    with LostCommits(database.worker_url, losses=2).running() as proxy:
        lossy = create_engine(proxy.url)
        assert ingest(lossy, tenant, about(POST, "1", "2")).processed == 1
        lossy.dispose()

    assert proxy.losses == 0
    assert metrics(engine, tenant) == [window(POST, days, positive=2) for days in WINDOWS]


def test_an_org_that_is_not_there_is_a_final_error(engine: Engine) -> None:
    """Nothing is written for nobody."""
    nobody = Tenant(org_id=uuid4(), domain_id=uuid4(), host="nobody.example")

    with pytest.raises(InvalidInput, match="fk_feedback_events_org_id"):
        ingest(engine, nobody, about(POST, "1"))


def about(entity: Entity, *event_ids: str) -> EntityFeedback:
    """Positive feedback of this minute."""
    events = tuple(
        said(event_id, occurred_at=datetime.now(UTC) - timedelta(minutes=1)) for event_id in event_ids
    )
    return EntityFeedback(id=entity.id, type=entity.type, data=events)


def ingest(engine: Engine, tenant: Tenant, *entities: EntityFeedback) -> IngestOutcome:
    """A whole job, in threads as on the platform."""
    handler = IngestFeedback(
        run=FakeRun(),
        transactions=transactions(engine),
        source=FakeSource({}),
        in_parallel=in_threads,
        limits=Limits(),
        clock=lambda: datetime.now(UTC),
    )
    return handler(
        FeedbackIngest(org_id=tenant.org_id, source="api", entities=entities, timestamp=datetime.now(UTC))
    )


def assert_metrics_are_the_events(engine: Engine, tenant: Tenant) -> None:
    """What the windows of 90 days add up to is what there is."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        total = unit.connection.scalar(select(func.count()).select_from(feedback_events))
    assert sum(counts.count for counts in metrics(engine, tenant) if counts.window_days == 90) == total


def waiting_for_a_lock(database: Database) -> bool:
    """Whether some transaction waits for an advisory lock."""
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        return connection.execute(WAITING).fetchone() == (1,)
