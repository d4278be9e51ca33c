"""What relays do with what lies in the outbox: alone, several at once, and when something goes wrong."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import dramatiq
import pytest
from sqlalchemy import Engine, func, insert, select, text, update

from adapters.database.engine import create_engine
from adapters.database.tables import outbox
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from adapters.outbox import Backlog, BrokerUnavailable, Relay
from adapters.outbox.relay import LONGEST_WAIT_S, due
from domain.errors import DatabaseUnavailable
from tests.adapters.database.faults import kill, pid_of
from tests.databases import Database
from tests.tenants import Tenant

from .letters import Letter, an_outbox, put, rows


class Sent:
    """Where a relay sends: remembers numbers of letters in order, and fails as it is told."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.ids: list[str] = []
        self.before: Callable[[int], None] = lambda number: None

    def __call__(self, data: bytes) -> None:
        message = dramatiq.Message.decode(data)
        number = message.args[0]["number"]
        self.before(number)
        self.numbers.append(number)
        self.ids.append(message.message_id)


class Refused(Exception):
    """This letter will not do; the text quotes it."""

    retry_after_s: float | None = None


class TooMany(Refused):
    """Not for a while."""

    retry_after_s = 4_000.0


def refuse(number: int, error: Exception) -> Callable[[int], None]:
    """Raise an error for one of the letters."""

    def check(each: int) -> None:
        if each == number:
            raise error

    return check


def put_many(engine: Engine, tenant: Tenant, count: int) -> None:
    """Commit letters 0 to `count - 1`."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        for number in range(count):
            an_outbox().send(unit, "deliver", Letter(org_id=tenant.org_id, number=number))


def test_what_is_due_is_sent_and_gone(engine: Engine, tenant: Tenant) -> None:
    """Longest due first, under the ids they were given; what is not due stays."""
    put(engine, tenant, number=3, delay_ms=60_000)
    ids = [put(engine, tenant, number=number) for number in (1, 2)]
    sent = Sent()
    assert not Relay(engine, sent)()
    assert (sent.numbers, sent.ids) == ([1, 2], [str(each) for each in ids])
    assert [dramatiq.Message.decode(row["message"]).args[0]["number"] for row in rows(engine)] == [3]


def test_a_full_batch_may_have_more_behind_it(engine: Engine, tenant: Tenant) -> None:
    """The relay says so, and the next call sends it."""
    put_many(engine, tenant, 5)
    sent = Sent()
    relay = Relay(engine, sent, batch_rows=3)
    assert [relay(), relay(), relay()] == [True, False, False]
    assert sorted(sent.numbers) == [0, 1, 2, 3, 4]


def test_relays_at_once_send_each_message_once(engine: Engine, tenant: Tenant) -> None:
    """Six relays share five hundred messages; nothing is sent twice, and each relay sends some."""
    put_many(engine, tenant, 500)
    together = threading.Barrier(6, timeout=30)
    sent = [Sent() for _ in range(6)]

    def relay(mine: Sent) -> None:
        def wait_for_the_others(number: int) -> None:
            # With the first batch in hand: all six hold locks at once.
            if not mine.numbers:
                together.wait()

        mine.before = wait_for_the_others
        one = Relay(engine, mine, batch_rows=20)
        while one():
            pass

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(relay, sent))
    assert sorted(number for each in sent for number in each.numbers) == list(range(500))
    assert all(each.numbers for each in sent)
    assert rows(engine) == []


def test_what_another_relay_has_in_flight_is_passed_over(engine: Engine, tenant: Tenant) -> None:
    """A relay neither waits for another one's locks nor sends its messages."""
    put_many(engine, tenant, 1)
    outer, inner = Sent(), Sent()
    outer.before = lambda number: outer.numbers.append(-1) if Relay(engine, inner)() else None
    Relay(engine, outer)()
    assert (outer.numbers, inner.numbers) == ([0], [])


def test_a_refused_message_waits_and_the_others_go_on(
    engine: Engine, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays, is due later, and its class of error is noted; neither row nor log quotes the error."""
    for number in (1, 2, 3):
        put(engine, tenant, number=number)
    counted: list[tuple[str, dict[str, str]]] = []
    sent = Sent()
    sent.before = refuse(2, Refused("the seal is hush"))
    Relay(engine, sent, count=lambda name, labels: counted.append((name, dict(labels))))()
    assert sent.numbers == [1, 3]
    (row,) = rows(engine)
    assert (row["attempts"], row["error"]) == (1, "Refused")
    assert timedelta(0) < row["due_at"] - datetime.now(UTC) <= timedelta(seconds=1)
    assert ("outbox_refused_total", {"actor": "deliver", "error": "Refused"}) in counted
    assert counted.count(("outbox_sent_total", {"actor": "deliver"})) == 2
    assert "hush" not in caplog.text


def test_a_refused_message_is_never_dropped(engine: Engine, tenant: Tenant) -> None:
    """It waits twice as long each time up to five minutes, and goes when it is taken at last."""
    put(engine, tenant, number=1)
    sent, waits_s = Sent(), list[float]()
    sent.before = refuse(1, Refused("no"))

    def longest(low: float, high: float) -> float:
        assert low == high / 2
        waits_s.append(high)
        return 0.0

    relay = Relay(engine, sent, uniform=longest)
    for _ in range(12):
        relay()
    assert waits_s == [1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST_WAIT_S, LONGEST_WAIT_S, LONGEST_WAIT_S]
    assert [row["attempts"] for row in rows(engine)] == [12]
    sent.before = lambda number: None
    relay()
    assert (sent.numbers, rows(engine)) == ([1], [])


def test_who_says_when_to_come_back_is_heard(engine: Engine, tenant: Tenant) -> None:
    """An error that names a time, as a rate limit does, makes the message wait for it."""
    put(engine, tenant, number=1)
    sent = Sent()
    sent.before = refuse(1, TooMany("no"))
    Relay(engine, sent)()
    (row,) = rows(engine)
    assert row["due_at"] - datetime.now(UTC) > timedelta(seconds=3_900)


def test_with_the_broker_away_all_stay_as_they_are(engine: Engine, tenant: Tenant) -> None:
    """What was sent before is gone; the rest is untouched, and charged nothing."""
    for number in (1, 2, 3):
        put(engine, tenant, number=number)
    sent = Sent()
    sent.before = refuse(2, BrokerUnavailable("away"))
    before = rows(engine)[1:]
    with pytest.raises(BrokerUnavailable):
        Relay(engine, sent)()
    assert (sent.numbers, rows(engine)) == ([1], before)


def test_a_broker_that_is_slow_does_not_hold_a_batch_for_ever(engine: Engine, tenant: Tenant) -> None:
    """When a batch's time is over what was sent is deleted, and the rest is another batch."""
    put_many(engine, tenant, 5)
    moment_s = [0.0]
    sent = Sent()

    def take_four_seconds(number: int) -> None:
        moment_s[0] += 4

    sent.before = take_four_seconds
    relay = Relay(engine, sent, clock_s=lambda: moment_s[0])
    assert relay()
    assert (len(sent.numbers), len(rows(engine))) == (3, 2)
    relay()
    assert (sorted(sent.numbers), rows(engine)) == ([0, 1, 2, 3, 4], [])


def test_a_relay_whose_connection_dies_leaves_no_lock(
    engine: Engine, database: Database, tenant: Tenant
) -> None:
    """What it had sent is sent again, under the same id."""
    message_id = put(engine, tenant, number=1)
    doomed = create_engine(database.worker_url, application_name="doomed")
    first, second = Sent(), Sent()
    first.before = lambda number: _kill_all(database, "doomed")
    with pytest.raises(DatabaseUnavailable):
        Relay(doomed, first)()
    doomed.dispose()
    assert first.ids == [str(message_id)]
    Relay(engine, second)()
    assert (second.ids, rows(engine)) == (first.ids, [])


def test_a_message_that_is_no_message_harms_no_other(engine: Engine, tenant: Tenant) -> None:
    """Bytes that cannot be decoded are refused like any other."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        row = {"id": UUID(int=1), "org_id": tenant.org_id, "actor": "deliver", "message": b"\x00"}
        unit.connection.execute(insert(outbox).values(row))
    put(engine, tenant, number=1)
    sent = Sent()
    Relay(engine, sent)()
    assert (sent.numbers, [each["error"] for each in rows(engine)]) == ([1], ["DecodeError"])


def test_the_backlog_reports_what_waits(engine: Engine, tenant: Tenant) -> None:
    """How many, how many of them refused, and for how long the first has been due."""
    relay = Relay(engine, Sent())
    assert relay.backlog() == Backlog(pending=0, refused=0, oldest_age_s=0.0)
    put(engine, tenant, number=1, delay_ms=60_000)
    assert relay.backlog() == Backlog(pending=1, refused=0, oldest_age_s=0.0)
    late = put(engine, tenant, number=2)
    with SystemUnitOfWork(engine) as unit:
        long_ago = func.now() - timedelta(seconds=90)
        unit.connection.execute(update(outbox).where(outbox.c.id == late).values(due_at=long_ago, attempts=1))
    backlog = relay.backlog()
    assert (backlog.pending, backlog.refused) == (2, 1)
    assert 90 <= backlog.oldest_age_s < 120


def test_the_due_ones_are_found_by_their_index(engine: Engine, database: Database, tenant: Tenant) -> None:
    """However many lie there: the index has them in order, and nothing is sorted."""
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(
            text(
                "INSERT INTO outbox (id, org_id, actor, message, due_at) SELECT gen_random_uuid(), :org_id, "
                "'deliver', 'x', now() + n * interval '1 second' FROM generate_series(-200, 20000) AS n"
            ),
            {"org_id": tenant.org_id},
        )
    owner = create_engine(database.owner_url)
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE outbox"))
    owner.dispose()
    with SystemUnitOfWork(engine) as unit:
        compiled = due(100).compile(engine, compile_kwargs={"literal_binds": True})
        plan = "\n".join(unit.connection.scalars(text(f"EXPLAIN {compiled}")))
    assert "Index Scan using ix_outbox_due" in plan
    assert "Sort" not in plan


def test_nothing_is_sent_from_an_open_transaction(engine: Engine, tenant: Tenant) -> None:
    """A message that is not committed yet is not there for a relay."""
    sent = Sent()
    with UnitOfWork(engine, tenant.org_id) as unit:
        an_outbox().send(unit, "deliver", Letter(org_id=tenant.org_id, number=1))
        Relay(engine, sent)()
        assert sent.numbers == []
        assert unit.connection.scalar(select(func.count()).select_from(outbox)) == 1
    Relay(engine, sent)()
    assert sent.numbers == [1]


def _kill_all(database: Database, application_name: str) -> None:
    administrator = create_engine(database.worker_url)
    with administrator.connect() as connection:
        own = pid_of(connection)
        query = text("SELECT pid FROM pg_stat_activity WHERE application_name = :name AND pid <> :own")
        for pid in connection.scalars(query, {"name": application_name, "own": own}).all():
            kill(database.worker_url, pid)
    administrator.dispose()
