"""Whole units of work, repeated when that helps, bounded by the job's deadline, told in the domain's words."""

from collections.abc import Callable, Iterator
from threading import Barrier, Thread

import pytest
import stamina
from sqlalchemy import ColumnElement, Engine, event, func, insert, select, text, update
from stamina.instrumentation import RetryDetails

from adapters.database.engine import create_engine
from adapters.database.tables import domain_settings
from adapters.database.transactions import ATTEMPTS, SqlTransactions
from adapters.database.unit_of_work import UnitOfWork
from domain.errors import DatabaseUnavailable, DeadlineExceeded, InvalidInput, NotFound
from tests.databases import Database
from tests.tenants import Tenant

from .faults import LostCommits, kill, pid_of

Transact = SqlTransactions[UnitOfWork]


class Interrupt(BaseException):
    """What a time limit raises in the middle of a job."""


@pytest.fixture
def transactions(engine: Engine) -> Transact:
    """Units of work that are their own repository, of a job without a deadline."""
    return SqlTransactions(engine, _itself, _no_deadline)


def test_what_work_returns_is_returned_and_kept(transactions: Transact, tenant: Tenant) -> None:
    """A unit of work commits and gives its result back."""
    assert transactions(tenant.org_id, lambda unit: _write(unit, tenant, "a", 1)) == 1
    assert _read(transactions, tenant) == {"a": 1}


def test_a_deadlock_is_survived_by_both(transactions: Transact, tenant: Tenant) -> None:
    """Of two units that wait for each other the database undoes one, which runs again as a whole."""
    for name in ("a", "b"):
        transactions(tenant.org_id, lambda unit, name=name: _write(unit, tenant, name, 0))  # type: ignore[misc]
    both_hold_one = Barrier(2, timeout=30)
    runs: list[str] = []

    def add_to(first: str, second: str) -> Callable[[UnitOfWork], None]:
        def work(unit: UnitOfWork) -> None:
            runs.append(first)
            _add_one(unit, tenant, first)
            if runs.count(first) == 1:
                both_hold_one.wait()
            _add_one(unit, tenant, second)

        return work

    threads = [
        Thread(target=transactions, args=(tenant.org_id, add_to(*names)))
        for names in (("a", "b"), ("b", "a"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 3
    assert _read(transactions, tenant) == {"a": 2, "b": 2}


def test_a_serialization_failure_runs_the_whole_again(
    engine: Engine, transactions: Transact, tenant: Tenant
) -> None:
    """A unit whose reading went stale reads again before it writes."""
    repeatable = SqlTransactions(
        engine.execution_options(isolation_level="REPEATABLE READ"), _itself, _no_deadline
    )
    transactions(tenant.org_id, lambda unit: _write(unit, tenant, "a", 1))
    seen: list[object] = []

    def double(unit: UnitOfWork) -> None:
        value = _values(unit, tenant)["a"]
        seen.append(value)
        if len(seen) == 1:
            transactions(tenant.org_id, lambda other: _add_one(other, tenant, "a"))
        unit.connection.execute(update(domain_settings).where(_of(tenant)).values(value=value * 2))

    repeatable(tenant.org_id, double)
    assert seen == [1, 2]
    assert _read(transactions, tenant) == {"a": 4}


def test_a_killed_connection_runs_the_whole_again(
    transactions: Transact, database: Database, tenant: Tenant
) -> None:
    """What was written before the connection died is written again, once."""
    pids: list[int] = []

    def work(unit: UnitOfWork) -> None:
        _write(unit, tenant, "a", 1)
        pids.append(pid_of(unit.connection))
        if len(pids) == 1:
            kill(database.worker_url, pids[0])
        _write(unit, tenant, "b", 1)

    transactions(tenant.org_id, work)
    assert len(set(pids)) == 2
    assert _read(transactions, tenant) == {"a": 1, "b": 1}


def test_stale_connections_of_a_pool_are_not_noticed(
    transactions: Transact, engine: Engine, database: Database, tenant: Tenant
) -> None:
    """After a restart of the server every pooled connection is dead, and the next unit of work passes."""
    connections = [engine.connect() for _ in range(5)]
    pids = [pid_of(connection) for connection in connections]
    for connection in connections:
        connection.close()
    for pid in pids:
        kill(database.worker_url, pid)
    assert _read(transactions, tenant) == {}


def test_a_commit_nobody_heard_of_is_run_again(
    database: Database, transactions: Transact, tenant: Tenant
) -> None:
    """A unit whose COMMIT went through unheard runs again, and finds what it did."""
    found: list[dict[str, int]] = []

    def work(unit: UnitOfWork) -> None:
        found.append(_values(unit, tenant))
        if not found[-1]:
            _write(unit, tenant, "a", 1)

    with LostCommits(database.worker_url, losses=1).running() as proxy:
        engine = create_engine(proxy.url)
        SqlTransactions(engine, _itself, _no_deadline)(tenant.org_id, work)
        engine.dispose()
    assert found == [{}, {"a": 1}]
    assert _read(transactions, tenant) == {"a": 1}


def test_a_server_that_stays_away_is_given_up(database: Database, tenant: Tenant) -> None:
    """After the first try and three more the job is told to come back later."""
    with LostCommits(database.worker_url, losses=0).running() as proxy:
        nobody_there = proxy.url
    engine = create_engine(nobody_there)
    tries: list[object] = []
    event.listen(engine, "do_connect", lambda *arguments: tries.append(arguments))
    with pytest.raises(DatabaseUnavailable, match="check that the server runs") as gone:
        SqlTransactions(engine, _itself, _no_deadline)(tenant.org_id, lambda unit: None)
    assert len(tries) == ATTEMPTS == 4
    assert gone.value.retryable


def test_waits_grow_and_vary(database: Database, tenant: Tenant) -> None:
    """Outside of tests the waits are 0.1, 0.2 and 0.4 s, each with up to 0.1 s more."""
    with LostCommits(database.worker_url, losses=0).running() as proxy:
        nobody_there = proxy.url
    waits_s: list[float] = []
    hooks = stamina.instrumentation.get_on_retry_hooks()

    def note(details: RetryDetails) -> None:
        waits_s.append(details.wait_for)

    stamina.instrumentation.set_on_retry_hooks([note])
    try:
        with stamina.set_testing(False), pytest.raises(DatabaseUnavailable):
            SqlTransactions(create_engine(nobody_there), _itself, _no_deadline)(
                tenant.org_id, lambda unit: None
            )
    finally:
        stamina.instrumentation.set_on_retry_hooks(hooks)
    assert [
        0 <= wait_s - least_s <= 0.1 for wait_s, least_s in zip(waits_s, (0.1, 0.2, 0.4), strict=True)
    ] == [True] * 3


def test_no_statement_outlives_the_job(engine: Engine, tenant: Tenant) -> None:
    """A statement is stopped when the job's time is used up, and not tried again."""
    runs: list[object] = []

    def work(unit: UnitOfWork) -> None:
        runs.append(unit)
        unit.connection.execute(text("SELECT pg_sleep(60)"))

    with pytest.raises(DatabaseUnavailable, match="longer than it may"):
        SqlTransactions(engine, _itself, lambda: 0.1)(tenant.org_id, work)
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("timeout_s", "remaining_s", "bound"), [(10, None, "10s"), (10, 60, "10s"), (10, 2.5, "2500ms")]
)
def test_the_shorter_bound_holds(
    engine: Engine, tenant: Tenant, timeout_s: float, remaining_s: float | None, bound: str
) -> None:
    """`statement_timeout` is what the caller allows or what the job has left, whichever is less."""
    transactions = SqlTransactions(engine, _itself, lambda: remaining_s)
    assert transactions(tenant.org_id, _statement_timeout, timeout_s=timeout_s) == bound


def test_each_run_has_what_is_left(engine: Engine, database: Database, tenant: Tenant) -> None:
    """A repeated unit is bounded by what is left then, not by what was left at first."""
    # Asked once for all the runs together, then once a run.
    left_s: Iterator[float] = iter([8, 8, 4])
    bounds: list[str | None] = []

    def work(unit: UnitOfWork) -> None:
        bounds.append(_statement_timeout(unit))
        if len(bounds) == 1:
            kill(database.worker_url, pid_of(unit.connection))
            unit.connection.execute(select(1))

    SqlTransactions(engine, _itself, lambda: next(left_s))(tenant.org_id, work)
    assert bounds == ["8s", "4s"]


def test_nothing_begins_after_the_deadline(engine: Engine, tenant: Tenant) -> None:
    """A job without time left does not even get a connection."""
    with pytest.raises(DeadlineExceeded):
        SqlTransactions(engine, _itself, lambda: 0.0)(tenant.org_id, lambda unit: None)
    assert engine.pool.checkedin() == 1  # type: ignore[attr-defined]  # the one that made the org


def test_the_jobs_own_errors_pass_untouched(transactions: Transact, tenant: Tenant) -> None:
    """An error of the domain is the caller's; the unit is rolled back and not repeated."""
    own = NotFound("thing", 1)
    runs: list[object] = []

    def work(unit: UnitOfWork) -> None:
        runs.append(unit)
        _write(unit, tenant, "a", 1)
        raise own

    with pytest.raises(NotFound) as passed:
        transactions(tenant.org_id, work)
    assert passed.value is own
    assert passed.value.__cause__ is None
    assert len(runs) == 1
    assert _read(transactions, tenant) == {}


def test_an_interrupt_rolls_back_and_passes(transactions: Transact, tenant: Tenant) -> None:
    """A time limit or a shutdown in the middle leaves nothing written, and is not taken for an error."""

    def work(unit: UnitOfWork) -> None:
        _write(unit, tenant, "a", 1)
        raise Interrupt

    with pytest.raises(Interrupt):
        transactions(tenant.org_id, work)
    assert _read(transactions, tenant) == {}


def test_another_orgs_rows_are_out_of_reach(
    transactions: Transact, tenant: Tenant, new_tenant: Callable[[], Tenant]
) -> None:
    """Work for one org finds nothing of another's and writes nothing for it."""
    other = new_tenant()
    transactions(other.org_id, lambda unit: _write(unit, other, "a", 1))
    assert transactions(tenant.org_id, lambda unit: _values(unit, other)) == {}


def test_a_refused_value_is_the_callers(transactions: Transact, tenant: Tenant) -> None:
    """A violated constraint is a permanent error, and not tried again."""
    runs: list[object] = []

    def work(unit: UnitOfWork) -> None:
        runs.append(unit)
        _write(unit, tenant, "a", 1)
        _write(unit, tenant, "a", 2)

    with pytest.raises(InvalidInput, match="pk_domain_settings"):
        transactions(tenant.org_id, work)
    assert len(runs) == 1


def _itself(unit: UnitOfWork) -> UnitOfWork:
    return unit


def _no_deadline() -> None:
    return None


def _of(tenant: Tenant) -> ColumnElement[bool]:
    return domain_settings.c.domain_id == tenant.domain_id


def _write(unit: UnitOfWork, tenant: Tenant, name: str, value: int) -> int:
    row = {"org_id": tenant.org_id, "domain_id": tenant.domain_id, "name": name, "value": value}
    unit.connection.execute(insert(domain_settings).values(row))
    return value


def _add_one(unit: UnitOfWork, tenant: Tenant, name: str) -> None:
    more = text("to_jsonb(value::int + 1)")
    named = domain_settings.c.name == name
    unit.connection.execute(update(domain_settings).where(_of(tenant), named).values(value=more))


def _values(unit: UnitOfWork, tenant: Tenant) -> dict[str, int]:
    rows = unit.connection.execute(select(domain_settings.c.name, domain_settings.c.value).where(_of(tenant)))
    return {name: int(str(value)) for name, value in rows}


def _read(transactions: Transact, tenant: Tenant) -> dict[str, int]:
    return transactions(tenant.org_id, lambda unit: _values(unit, tenant))


def _statement_timeout(unit: UnitOfWork) -> str | None:
    return unit.connection.scalar(select(func.current_setting("statement_timeout")))
