"""The repository of feedback: events once each, windows to the microsecond, all of them in few statements."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import Engine, select

from adapters.database.tables import feedback_metrics
from adapters.database.unit_of_work import UnitOfWork
from domain.feedback import Entity, FeedbackEvent, Source, WindowCounts
from domain.feedback_ingest import FeedbackRepository
from domain.limits import Limits
from domain.ports import Transactions
from tests.tenants import Tenant

from .feedback_rows import ANN, NOW, POST, WINDOWS, metrics, noted_inserts, said, stored, transactions, window

TICK = timedelta(microseconds=1)


@pytest.fixture
def inserts(engine: Engine) -> Iterator[list[str]]:
    """The INSERTs that the driver is given."""
    with noted_inserts(engine) as seen:
        yield seen


@pytest.fixture
def feedback(engine: Engine) -> Transactions[FeedbackRepository]:
    """Units of work over feedback, with the platform's own limits."""
    return transactions(engine)


def test_every_field_is_kept(
    engine: Engine, feedback: Transactions[FeedbackRepository], tenant: Tenant
) -> None:
    """An event is stored as it came, with the sentiment that it stands for."""
    longest = "\U0001f600" * 200
    first = said("e'; --", rating=1.5, comment="\U0001f600" * 4_000, occurred_at=NOW)
    second = said(longest, sentiment="neutral", rating=5.0, occurred_at=datetime(9998, 1, 1, tzinfo=UTC))
    entity = Entity("system", longest)
    put(feedback, tenant, entity, [first, second], source="import")

    rows = {row["event_id"]: row for row in stored(engine, tenant)}
    assert set(rows) == {first.event_id, second.event_id}
    row = rows[first.event_id]
    assert (row["source"], row["entity_type"], row["entity_id"]) == ("import", "system", longest)
    assert (row["rating"], row["sentiment"], row["comment"]) == (1.5, "negative", first.comment)
    assert row["occurred_at"] == NOW
    assert (rows[longest]["rating"], rows[longest]["sentiment"]) == (5.0, "neutral")


@pytest.mark.parametrize(("number", "statements"), [(0, 0), (1, 1), (100, 1), (101, 2), (250, 3)])
def test_events_are_written_a_hundred_a_statement(
    engine: Engine,
    feedback: Transactions[FeedbackRepository],
    tenant: Tenant,
    inserts: list[str],
    number: int,
    statements: int,
) -> None:
    """One multi-row INSERT for every hundred of them."""
    put(feedback, tenant, POST, [said(str(index)) for index in range(number)])

    assert inserts == ["feedback_events"] * statements
    assert len(stored(engine, tenant)) == number


def test_the_first_of_an_id_stays(
    engine: Engine, feedback: Transactions[FeedbackRepository], tenant: Tenant
) -> None:
    """Within a statement and after it; another source's is another event."""
    put(feedback, tenant, POST, [said("1", rating=5.0), said("1", rating=1.0), said("2")])
    put(feedback, tenant, ANN, [said("1", rating=1.0), said("3")])
    put(feedback, tenant, POST, [said("1", rating=2.0)], source="webhook")

    assert sorted((row["source"], row["event_id"], row["rating"]) for row in stored(engine, tenant)) == [
        ("api", "1", 5.0),
        ("api", "2", 5.0),
        ("api", "3", 5.0),
        ("webhook", "1", 2.0),
    ]


def test_orgs_number_their_events_themselves(
    engine: Engine,
    feedback: Transactions[FeedbackRepository],
    tenant: Tenant,
    new_tenant: Callable[[], Tenant],
) -> None:
    """One org's event neither hides another's nor counts for it."""
    other = new_tenant()
    put(feedback, tenant, POST, [said("1")])
    put(feedback, other, POST, [said("1", rating=1.0), said("2")])

    assert [len(stored(engine, org)) for org in (tenant, other)] == [1, 2]
    assert counted(feedback, tenant, [POST], (7,)) == [window(POST, 7, positive=1)]
    assert counted(feedback, other, [POST], (7,)) == [window(POST, 7, positive=1, negative=1)]


def test_the_same_events_from_eight_jobs_in_any_order(
    engine: Engine, feedback: Transactions[FeedbackRepository], tenant: Tenant
) -> None:
    """They wait for each other and never in a circle: no unit of work is run twice, and each event is there once."""
    events = [said(f"{index:03}") for index in range(300)]
    together = Barrier(8, timeout=30)
    runs: list[int] = []

    def job(number: int) -> None:
        def work(repository: FeedbackRepository) -> None:
            runs.append(number)
            repository.insert_events("api", POST, events[:: 1 if number % 2 else -1])

        together.wait()
        feedback(tenant.org_id, work)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(job, range(8)))
    assert sorted(runs) == list(range(8))
    assert len(stored(engine, tenant)) == 300


@pytest.mark.parametrize(
    ("ago", "within"),
    [
        (-TICK, ()),
        (timedelta(0), (7, 30, 90)),
        (timedelta(days=7) - TICK, (7, 30, 90)),
        (timedelta(days=7), (30, 90)),
        (timedelta(days=30) - TICK, (30, 90)),
        (timedelta(days=30), (90,)),
        (timedelta(days=90) - TICK, (90,)),
        (timedelta(days=90), ()),
    ],
)
def test_a_window_reaches_back_so_many_days(
    feedback: Transactions[FeedbackRepository], tenant: Tenant, ago: timedelta, within: Sequence[int]
) -> None:
    """To the microsecond: this moment counts, the one so many days ago no longer, and the future not yet."""
    put(feedback, tenant, POST, [said("1", occurred_at=NOW - ago)])

    assert counted(feedback, tenant, [POST]) == [
        window(POST, days, positive=int(days in within)) for days in WINDOWS
    ]


def test_sentiments_are_counted_apart(feedback: Transactions[FeedbackRepository], tenant: Tenant) -> None:
    """For each entity by itself, in the order asked for; one of the same name and another type is another."""
    namesake = Entity("system", "ann")
    put(feedback, tenant, POST, [said("1", rating=5.0), said("2", rating=4.0), said("3", rating=3.0)])
    put(feedback, tenant, ANN, [said("4", sentiment="negative")])
    put(feedback, tenant, namesake, [said("5", sentiment="neutral")])

    nobody = Entity("user", "nobody")
    assert counted(feedback, tenant, [nobody, ANN, POST, namesake], (7, 30)) == [
        window(nobody, 7),
        window(nobody, 30),
        window(ANN, 7, negative=1),
        window(ANN, 30, negative=1),
        window(POST, 7, positive=2, neutral=1),
        window(POST, 30, positive=2, neutral=1),
        window(namesake, 7, neutral=1),
        window(namesake, 30, neutral=1),
    ]


@pytest.mark.parametrize(
    ("entities", "batch", "statements"), [(1, 100, 1), (33, 100, 1), (34, 100, 2), (100, 100, 3), (2, 4, 2)]
)
def test_windows_are_written_in_few_statements(
    engine: Engine, tenant: Tenant, inserts: list[str], entities: int, batch: int, statements: int
) -> None:
    """Three rows an entity, a hundred rows a statement; written again, they replace what was there."""
    feedback = transactions(engine, Limits(batch_insert_size=batch))
    named = [Entity("content", str(number)) for number in range(entities)]
    save(feedback, tenant, [window(entity, days, neutral=1) for entity in named for days in WINDOWS])
    assert inserts == ["feedback_metrics"] * statements

    latest = [window(entity, days, positive=days) for entity in named for days in WINDOWS]
    save(feedback, tenant, latest)
    assert sorted(metrics(engine, tenant), key=key) == sorted(latest, key=key)


def test_the_database_adds_up(
    engine: Engine, feedback: Transactions[FeedbackRepository], tenant: Tenant
) -> None:
    """`count` is its own sum of the three, and the row says when it was measured."""
    save(feedback, tenant, [window(POST, 7, positive=1, negative=2, neutral=3)])

    with UnitOfWork(engine, tenant.org_id) as unit:
        row = unit.connection.execute(select(feedback_metrics)).mappings().one()
    assert (row["count"], row["measured_at"]) == (6, NOW)


def put(
    feedback: Transactions[FeedbackRepository],
    tenant: Tenant,
    entity: Entity,
    events: Sequence[FeedbackEvent],
    source: Source = "api",
) -> None:
    feedback(tenant.org_id, lambda repository: repository.insert_events(source, entity, events))


def save(feedback: Transactions[FeedbackRepository], tenant: Tenant, windows: Sequence[WindowCounts]) -> None:
    feedback(tenant.org_id, lambda repository: repository.save_windows(windows, NOW))


def counted(
    feedback: Transactions[FeedbackRepository],
    tenant: Tenant,
    entities: Sequence[Entity],
    windows: Sequence[int] = WINDOWS,
) -> list[WindowCounts]:
    return list(feedback(tenant.org_id, lambda repository: repository.count_windows(entities, windows, NOW)))


def key(counts: WindowCounts) -> tuple[Entity, int]:
    return counts.entity, counts.window_days
