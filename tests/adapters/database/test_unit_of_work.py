"""One transaction, one org: what it sets, what it leaves, how it ends."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event, func, insert, select, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from adapters.database.tables import domain_settings, orgs
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork, timeout_ms
from domain.errors import PermanentError
from tests.databases import Database
from tests.tenants import Tenant

from .faults import kill, pid_of

SETTINGS = text(
    "SELECT current_setting('app.org', true), current_setting('statement_timeout'), "
    "current_setting('idle_in_transaction_session_timeout'), current_user::text"
)


class Interrupt(BaseException):
    """What a time limit raises in the middle of a job."""


@pytest.fixture
def statements(engine: Engine) -> Iterator[list[str]]:
    """Statements as they go to the driver."""
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def test_settings_hold_for_the_transaction_only(engine: Engine, tenant: Tenant) -> None:
    """Org and time-outs are set inside and gone after, on the same connection."""
    with UnitOfWork(engine, tenant.org_id, timeout_s=2.5) as unit:
        assert unit.org_id == tenant.org_id
        inside = unit.connection.execute(SETTINGS).one()
    with engine.connect() as connection:
        after = connection.execute(SETTINGS).one()
    assert inside == (str(tenant.org_id), "2500ms", "2500ms", "pressroom_worker")
    assert after == ("", "0", "0", "pressroom_worker")


def test_the_system_role_is_taken_for_the_transaction_only(engine: Engine) -> None:
    """The system's unit of work is the system role inside and the worker role after."""
    with SystemUnitOfWork(engine, timeout_s=60) as unit:
        inside = unit.connection.execute(SETTINGS).one()
    with engine.connect() as connection:
        after = connection.execute(SETTINGS).one()
    assert inside[1:] == ("1min", "1min", "pressroom_system")
    assert after[1:] == ("0", "0", "pressroom_worker")


@pytest.mark.parametrize(("timeout_s", "set_to_ms"), [(0.0001, 1), (2.5, 2500), (1e9, 2147483647)])
def test_time_outs_stay_in_postgresqls_range(engine: Engine, timeout_s: float, set_to_ms: int) -> None:
    """No bound becomes zero, which would mean no bound, and none is too large to set."""
    assert timeout_ms(timeout_s) == set_to_ms
    with engine.connect() as connection:
        connection.execute(text(f"SET statement_timeout = {timeout_ms(1e9)}"))


def test_all_settings_take_one_round_trip(engine: Engine, tenant: Tenant, statements: list[str]) -> None:
    """Beginning costs one statement."""
    with UnitOfWork(engine, tenant.org_id):
        assert len(statements) == 1


def test_a_clean_end_commits(engine: Engine, tenant: Tenant) -> None:
    """What was written is there afterwards."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        _write(unit, tenant)
    assert _written(engine, tenant) == 1


@pytest.mark.parametrize("error", [ValueError("no"), Interrupt()])
def test_an_error_rolls_back_and_passes(engine: Engine, tenant: Tenant, error: BaseException) -> None:
    """Whatever ends the block early, an interrupt too, nothing is written and the connection goes back."""
    with pytest.raises(type(error)) as passed, UnitOfWork(engine, tenant.org_id) as unit:  # noqa: PT012
        _write(unit, tenant)
        raise error
    assert passed.value is error
    assert _written(engine, tenant) == 0
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_an_error_is_reported_also_when_the_connection_is_gone(
    engine: Engine, database: Database, tenant: Tenant
) -> None:
    """A rollback that cannot reach the server does not hide why it was wanted."""
    with pytest.raises(ValueError, match="the reason"), UnitOfWork(engine, tenant.org_id) as unit:  # noqa: PT012
        kill(database.worker_url, pid_of(unit.connection))
        raise ValueError("the reason")
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert _written(engine, tenant) == 0


def test_a_swallowed_error_is_not_taken_for_success(engine: Engine, tenant: Tenant) -> None:
    """Work that goes on after a refused statement fails, since the database would quietly undo all of it."""
    with pytest.raises(PermanentError, match="savepoint"), UnitOfWork(engine, tenant.org_id) as unit:  # noqa: PT012
        _write(unit, tenant)
        with pytest.raises(ProgrammingError):
            unit.connection.execute(text("SELECT nothing_like_it"))
    assert _written(engine, tenant) == 0


def test_a_savepoint_keeps_the_rest(engine: Engine, tenant: Tenant) -> None:
    """A statement that may be refused can be tried in a savepoint."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        _write(unit, tenant)
        with pytest.raises(ProgrammingError), unit.connection.begin_nested():
            unit.connection.execute(text("SELECT nothing_like_it"))
    assert _written(engine, tenant) == 1


def test_a_unit_that_cannot_begin_keeps_no_connection(engine: Engine, tenant: Tenant) -> None:
    """An error while the settings are made does not keep the connection from the pool."""

    def fail(*arguments: object) -> None:
        raise ValueError("the reason")

    event.listen(engine, "before_cursor_execute", fail)
    with pytest.raises(ValueError, match="the reason") as passed:
        UnitOfWork(engine, tenant.org_id).__enter__()
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert passed.tb is not None  # it keeps all that it passed through alive, the connection too


def test_a_unit_is_used_inside_its_block(engine: Engine, tenant: Tenant) -> None:
    """There is no connection before, after, or twice."""
    unit = UnitOfWork(engine, tenant.org_id)
    with pytest.raises(RuntimeError, match="inside"):
        _ = unit.connection
    with unit, pytest.raises(RuntimeError, match="another one"):
        unit.__enter__()


def test_what_follows_a_commit_follows_it(engine: Engine, tenant: Tenant) -> None:
    """Callbacks are called in order, when others can see what was written and the connection is given back."""
    seen: list[tuple[str, int | None, int]] = []

    def look(name: str) -> None:
        seen.append((name, _written(engine, tenant), engine.pool.checkedout()))  # type: ignore[attr-defined]

    with UnitOfWork(engine, tenant.org_id) as unit:
        unit.after_commit(lambda: look("first"))
        unit.after_commit(lambda: look("second"))
        _write(unit, tenant)
        assert seen == []
    assert seen == [("first", 1, 0), ("second", 1, 0)]


@pytest.mark.parametrize("error", [ValueError("no"), Interrupt()])
def test_nothing_follows_a_rollback(engine: Engine, tenant: Tenant, error: BaseException) -> None:
    """Whatever ends the block early, no callback is called."""
    called: list[str] = []
    with pytest.raises(type(error)), UnitOfWork(engine, tenant.org_id) as unit:  # noqa: PT012
        unit.after_commit(lambda: called.append("it"))
        raise error
    assert called == []


def test_a_commit_that_fails_is_not_followed(engine: Engine, database: Database, tenant: Tenant) -> None:
    """A COMMIT that does not go through calls no callback."""
    called: list[str] = []
    with pytest.raises(OperationalError), UnitOfWork(engine, tenant.org_id) as unit:  # noqa: PT012
        unit.after_commit(lambda: called.append("it"))
        _write(unit, tenant)
        kill(database.worker_url, pid_of(unit.connection))
    assert (called, _written(engine, tenant)) == ([], 0)


def test_a_commit_stands_whatever_follows_it(
    engine: Engine, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    """What a callback raises is logged and reaches neither the caller nor the next callback."""
    called: list[str] = []

    def fail() -> None:
        raise ValueError("the reason")

    with UnitOfWork(engine, tenant.org_id) as unit:
        _write(unit, tenant)
        unit.after_commit(fail)
        unit.after_commit(lambda: called.append("it"))
    assert (called, _written(engine, tenant)) == (["it"], 1)
    assert "the reason" in caplog.text


def _write(unit: UnitOfWork, tenant: Tenant) -> None:
    unit.connection.execute(
        insert(domain_settings).values(org_id=tenant.org_id, domain_id=tenant.domain_id, name="a", value=1)
    )


def _written(engine: Engine, tenant: Tenant) -> int | None:
    with SystemUnitOfWork(engine) as unit:
        of_org = domain_settings.c.org_id == tenant.org_id
        assert unit.connection.scalar(select(func.count()).where(orgs.c.id == tenant.org_id)) == 1
        return unit.connection.scalar(select(func.count()).select_from(domain_settings).where(of_org))
