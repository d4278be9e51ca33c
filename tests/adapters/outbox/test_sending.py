"""What is sent with a transaction, and what is not."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import dramatiq
import pytest
from sqlalchemy import Engine

from adapters.database.engine import create_engine
from adapters.database.transactions import SqlTransactions
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from adapters.outbox import SqlOutbox
from app.bootstrap.worker.outbox import MessageEncoder
from domain.errors import InvalidInput, PermanentError
from tests.adapters.database.faults import LostCommits
from tests.databases import Database
from tests.tenants import Tenant

from .letters import Letter, a_broker, an_outbox, rows


@pytest.fixture
def outbox() -> SqlOutbox:
    """One that knows the actor `deliver`."""
    return an_outbox()


def test_committed_is_sent(engine: Engine, outbox: SqlOutbox, tenant: Tenant) -> None:
    """The whole message lies in the outbox after the commit: actor, payload as plain JSON, org, options and id."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        message_id = outbox.send(
            unit,
            "deliver",
            Letter(org_id=tenant.org_id, number=7),
            concurrency=("run:1", 5),
            time_limit_ms=30_000,
        )
    (row,) = rows(engine)
    assert (row["id"], row["org_id"], row["actor"]) == (message_id, tenant.org_id, "deliver")
    message = dramatiq.Message.decode(row["message"])
    assert (message.message_id, message.queue_name) == (str(message_id), "default")
    assert message.args == ({"org_id": str(tenant.org_id), "number": 7, "seal": None},)
    assert message.options == {
        "concurrency": ["run:1", 5],
        "time_limit": 30_000,
        "org": str(tenant.org_id),
        "contract_version": 1,
        "idempotent": True,
    }


def test_rolled_back_never_was(engine: Engine, outbox: SqlOutbox, tenant: Tenant) -> None:
    """What a transaction sent is gone with it."""
    with pytest.raises(ZeroDivisionError), UnitOfWork(engine, tenant.org_id) as unit:
        outbox.send(unit, "deliver", Letter(org_id=tenant.org_id, number=1)).int / 0
    assert rows(engine) == []


def test_a_bad_payload_is_refused_at_the_door(engine: Engine, outbox: SqlOutbox, tenant: Tenant) -> None:
    """The error names the field and quotes nothing; the transaction goes on without the message."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        with pytest.raises(InvalidInput, match="number: Input should be a valid integer") as refused:
            outbox.send(unit, "deliver", {"org_id": str(tenant.org_id), "number": "hush"})
        with pytest.raises(InvalidInput, match="surplus: Extra inputs"):
            outbox.send(unit, "deliver", {"org_id": str(tenant.org_id), "number": 1, "surplus": "hush"})
    assert "hush" not in str(refused.value)
    assert rows(engine) == []


def test_an_actor_that_is_not_there(engine: Engine, outbox: SqlOutbox, tenant: Tenant) -> None:
    """Is a fault of the program's, told with what to do."""
    with UnitOfWork(engine, tenant.org_id) as unit, pytest.raises(PermanentError, match="import actors"):
        outbox.send(unit, "delivr", Letter(org_id=tenant.org_id, number=1))


@pytest.mark.parametrize(
    "options",
    [
        {"delay_ms": -1},
        {"delay_ms": 366 * 24 * 3_600_000},
        {"concurrency": ("", 1)},
        {"concurrency": ("k", 0)},
        {"time_limit_ms": 0},
    ],
    ids=str,
)
def test_bad_options_are_refused_at_the_door(
    engine: Engine, outbox: SqlOutbox, tenant: Tenant, options: dict[str, int]
) -> None:
    """Where the caller can be told, not in a relay."""
    with UnitOfWork(engine, tenant.org_id) as unit, pytest.raises(InvalidInput, match=next(iter(options))):
        outbox.send(unit, "deliver", Letter(org_id=tenant.org_id, number=1), **options)  # type: ignore[arg-type]


def test_an_org_sends_for_itself(
    engine: Engine, outbox: SqlOutbox, tenant: Tenant, new_tenant: Callable[[], Tenant]
) -> None:
    """A contract of another org is refused; the system's transaction takes the contract's org."""
    other = new_tenant()
    with UnitOfWork(engine, tenant.org_id) as unit, pytest.raises(InvalidInput, match="another org's"):
        outbox.send(unit, "deliver", Letter(org_id=other.org_id, number=1))
    with SystemUnitOfWork(engine) as system:
        outbox.send(system, "deliver", Letter(org_id=other.org_id, number=1))
    assert [row["org_id"] for row in rows(engine)] == [other.org_id]


def test_one_id_is_one_message(engine: Engine, outbox: SqlOutbox, tenant: Tenant) -> None:
    """The second message with an id is left out, in the same transaction as in the next."""
    message_id = uuid4()
    for _ in range(2):
        with UnitOfWork(engine, tenant.org_id) as unit:
            for number in (1, 2):
                letter = Letter(org_id=tenant.org_id, number=number)
                assert outbox.send(unit, "deliver", letter, message_id=message_id) == message_id
    (row,) = rows(engine)
    assert dramatiq.Message.decode(row["message"]).args[0]["number"] == 1


def test_a_commit_nobody_heard_of_sends_once(database: Database, engine: Engine, tenant: Tenant) -> None:
    """Work that brings its own id is run again as a whole, and sends one message."""
    outbox, message_id, runs = an_outbox(), uuid4(), []

    def work(unit: UnitOfWork) -> None:
        runs.append(unit)
        outbox.send(unit, "deliver", Letter(org_id=tenant.org_id, number=1), message_id=message_id)

    with LostCommits(database.worker_url, losses=1).running() as row:
        lossy = create_engine(row.url)
        SqlTransactions(lossy, lambda unit: unit, lambda: None)(tenant.org_id, work)
        lossy.dispose()
    assert len(runs) == 2
    assert [row["id"] for row in rows(engine)] == [message_id]


def test_a_delay_counts_from_the_transaction(engine: Engine, outbox: SqlOutbox, tenant: Tenant) -> None:
    """The message is due so many milliseconds after the transaction began, by the database's clock."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        outbox.send(unit, "deliver", Letter(org_id=tenant.org_id, number=1), delay_ms=90_000)
    (row,) = rows(engine)
    assert row["due_at"] - row["created_at"] == timedelta(seconds=90)


def test_a_relay_is_poked_after_the_commit(engine: Engine, tenant: Tenant) -> None:
    """Not before it, not after a rollback, and not for what is due later."""
    broker, seen = a_broker(), list[int]()
    outbox = SqlOutbox(MessageEncoder(lambda: broker), poke=lambda: seen.append(len(rows(engine))))
    letter = Letter(org_id=tenant.org_id, number=1)
    with pytest.raises(ZeroDivisionError), UnitOfWork(engine, tenant.org_id) as unit:
        outbox.send(unit, "deliver", letter).int / 0
    with UnitOfWork(engine, tenant.org_id) as unit:
        outbox.send(unit, "deliver", letter, delay_ms=1_000)
    assert seen == []
    with UnitOfWork(engine, tenant.org_id) as unit:
        outbox.send(unit, "deliver", letter)
        assert seen == []
    assert seen == [2]
