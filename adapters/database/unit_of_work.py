"""One transaction that sees one org, or, for a named few, every org."""

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import PermanentError

#: Default bound on a statement.
TIMEOUT_S = 30.0
#: The most that PostgreSQL's settings of milliseconds can hold.
MAX_TIMEOUT_MS = 2**31 - 1

#: All of a transaction's settings in one round trip. `idle_in_transaction_session_timeout` frees the locks of work
#: that hangs between two statements.
_BEGIN = text(
    "SELECT set_config(:name, :value, true), set_config('statement_timeout', :timeout_ms, true), "
    "set_config('idle_in_transaction_session_timeout', :timeout_ms, true)"
)

logger = logging.getLogger(__name__)


class _Transaction:
    def __init__(self, engine: Engine, name: str, value: str, timeout_s: float) -> None:
        self._engine = engine
        self._settings = {"name": name, "value": value, "timeout_ms": str(timeout_ms(timeout_s))}
        self._connection: Connection | None = None
        self._after_commit: list[Callable[[], None]] = []

    @property
    def connection(self) -> Connection:
        """Runs statements in this transaction.

        Raises:
            RuntimeError: the unit of work has not begun, or is over.
        """
        if self._connection is None:
            raise RuntimeError("a unit of work has a connection only inside its `with` block")
        return self._connection

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Have something done once the transaction is committed; after a rollback it is not.

        Nor is it when the answer to COMMIT got lost: so it may only hurry on what would happen anyway.

        Parameters:
            callback: called without a transaction, in the order of the calls. What it raises is logged: the work is
                written, and must not look as if it were not.
        """
        self._after_commit.append(callback)

    def __enter__(self) -> Self:
        if self._connection is not None:
            raise RuntimeError("a unit of work is one transaction; make another one for the next")
        connection = self._engine.connect()
        try:
            connection.execute(_BEGIN, self._settings)
        except BaseException:  # an interrupt, too, must not keep a connection from the pool
            connection.close()
            raise
        self._connection = connection
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self.connection, None
        try:
            if error is None:
                _refuse_aborted(connection)
                connection.commit()
            else:
                _roll_back(connection)
        finally:
            connection.close()
        if error is None:
            for callback in self._after_commit:
                _call(callback)


class UnitOfWork(_Transaction):
    """A transaction in which only one org's rows exist: row-level security holds for every statement.

    Commits when the block ends, rolls back when it raises, whatever it raises.

    Parameters:
        engine: connects as the worker role.
        org_id: whose rows.
        timeout_s: bound on every statement, and on the time between two. Default 30.

    Example:
        >>> with UnitOfWork(engine, org_id) as unit:
        ...     unit.connection.execute(select(content_items))
    """

    def __init__(self, engine: Engine, org_id: UUID, *, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__(engine, "app.org", str(org_id), timeout_s)
        #: Whose rows exist.
        self.org_id = org_id


class SystemUnitOfWork(_Transaction):
    """A transaction as the system role, in which every org's rows exist.

    For a named few: the history, dead letters, the relay, cron jobs, maintenance and domain transfers. The role is
    taken for the transaction alone, so a pooled connection never carries it to a tenant's.

    Parameters:
        engine: as for `UnitOfWork`.
        timeout_s: as for `UnitOfWork`.

    Example:
        >>> with SystemUnitOfWork(engine) as unit:
        ...     unit.connection.execute(delete(cron_ticks))
    """

    def __init__(self, engine: Engine, *, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__(engine, "role", "pressroom_system", timeout_s)


def timeout_ms(timeout_s: float) -> int:
    """Seconds as PostgreSQL takes a time-out: never 0, which would be none, and never too large to set.

    Example:
        >>> timeout_ms(2.5)
        2500
    """
    return min(max(1, int(timeout_s * 1000)), MAX_TIMEOUT_MS)


def _refuse_aborted(connection: Connection) -> None:
    driver = connection.connection.driver_connection
    # PostgreSQL answers COMMIT of an aborted transaction with a quiet ROLLBACK.
    if isinstance(driver, psycopg.Connection) and driver.info.transaction_status == TransactionStatus.INERROR:
        raise PermanentError(
            "the work went on after the database had refused a statement; nothing was written. Let the error pass, "
            "or put the statement into a savepoint (connection.begin_nested())"
        )


def _call(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:
        logger.exception("What was to follow a commit failed; the commit stands.")


def _roll_back(connection: Connection) -> None:
    try:
        connection.rollback()
    except SQLAlchemyError:
        # The server rolls back what it loses the connection of, and the first error is the one to tell.
        connection.invalidate()
