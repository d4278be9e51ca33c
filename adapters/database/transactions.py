"""The domain's ports `Transactions` and `SystemTransactions` on PostgreSQL: units of work repeated as a whole."""

from collections.abc import Callable
from typing import Generic, TypeVar
from uuid import UUID

import stamina
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import DatabaseUnavailable, DeadlineExceeded

from .errors import WorthRepeating, translated
from .unit_of_work import TIMEOUT_S, SystemUnitOfWork, UnitOfWork

#: The first run and three more.
ATTEMPTS = 4
#: Wait before the second run; twice as long before each that follows.
WAIT_INITIAL_S = 0.1
#: At most so much is added to each wait, so that two that collided do not collide again.
WAIT_JITTER_S = 0.1
WAIT_MAX_S = 5.0

T = TypeVar("T")
RepoT = TypeVar("RepoT")


UnitT = TypeVar("UnitT", UnitOfWork, SystemUnitOfWork)


class SqlTransactions(Generic[RepoT]):
    """Units of work of one org over one repository.

    After a deadlock, a serialization failure, or a lost or refused connection the whole unit is run again: up to
    three times, 0.1 s after the first failure, then twice as long each time, with jitter, never past the job's
    deadline. A connection that is lost during COMMIT leaves open whether the unit was written; it is run again as
    well, so work must be a no-op when it finds itself done: its idempotency key, or the ids it made beforehand,
    tell. In stamina's testing mode nothing waits.

    Parameters:
        engine: connects as the worker role.
        repository: makes the repository of one unit of work.
        remaining_s: seconds until the job's deadline; None when it has none.

    Example:
        >>> ideas = SqlTransactions(engine, partial(SqlIdeas, limits=limits), run.remaining_s)
        >>> ideas(org_id, lambda repository: repository.ping())
    """

    def __init__(
        self,
        engine: Engine,
        repository: Callable[[UnitOfWork], RepoT],
        remaining_s: Callable[[], float | None],
    ) -> None:
        self._engine = engine
        self._repository = repository
        self._remaining_s = remaining_s

    def __call__(self, org_id: UUID, work: Callable[[RepoT], T], *, timeout_s: float = TIMEOUT_S) -> T:
        """Run `work` in one transaction that sees and touches only `org_id`'s rows; commit if it returns.

        Parameters:
            org_id: the org whose rows exist during the transaction.
            work: gets the repository; what it returns is returned. Its own errors pass as they are.
            timeout_s: bound on every statement, never longer than the job has left. Default 30.

        Raises:
            DatabaseUnavailable: after the retries, or at once when repeating cannot help.
            InvalidInput: a constraint or a type refused a value; the message names it and no value.
            PermanentError: row-level security or a missing grant refused access.
            DeadlineExceeded: the job's time is used up; nothing was begun.
        """
        return _repeated(
            lambda bound_s: UnitOfWork(self._engine, org_id, timeout_s=bound_s),
            lambda unit: work(self._repository(unit)),
            timeout_s,
            self._remaining_s,
        )


class SqlSystemTransactions(Generic[RepoT]):
    """Units of work of the system role, which sees every org; repeated as `SqlTransactions` repeats its own.

    For a named few: maintenance, cron jobs, the relay, dead letters, the history and domain transfers.

    Parameters:
        engine, repository, remaining_s: as for `SqlTransactions`.

    Example:
        >>> SqlSystemTransactions(engine, SqlMaintenance, run.remaining_s)(lambda repository: ...)
    """

    def __init__(
        self,
        engine: Engine,
        repository: Callable[[SystemUnitOfWork], RepoT],
        remaining_s: Callable[[], float | None],
    ) -> None:
        self._engine = engine
        self._repository = repository
        self._remaining_s = remaining_s

    def __call__(self, work: Callable[[RepoT], T], *, timeout_s: float = TIMEOUT_S) -> T:
        """Run `work` in one transaction that sees every org; all else is as for `SqlTransactions`."""
        return _repeated(
            lambda bound_s: SystemUnitOfWork(self._engine, timeout_s=bound_s),
            lambda unit: work(self._repository(unit)),
            timeout_s,
            self._remaining_s,
        )


def _repeated(
    begin: Callable[[float], UnitT],
    work: Callable[[UnitT], T],
    timeout_s: float,
    remaining_s: Callable[[], float | None],
) -> T:
    repeat = stamina.RetryingCaller(
        attempts=ATTEMPTS,
        timeout=_left_s(remaining_s),
        wait_initial=WAIT_INITIAL_S,
        wait_jitter=WAIT_JITTER_S,
        wait_max=WAIT_MAX_S,
    )
    return repeat(WorthRepeating, _once, begin, work, timeout_s, remaining_s)


def _once(
    begin: Callable[[float], UnitT],
    work: Callable[[UnitT], T],
    timeout_s: float,
    remaining_s: Callable[[], float | None],
) -> T:
    left_s = _left_s(remaining_s)
    try:
        with begin(timeout_s if left_s is None else min(timeout_s, left_s)) as unit:
            return work(unit)
    except SQLAlchemyError as error:
        known = translated(error)
        # PostgreSQL's words about a refused value quote the row; those about an outage help.
        raise known from (error if isinstance(known, DatabaseUnavailable) else None)


def _left_s(remaining_s: Callable[[], float | None]) -> float | None:
    left_s = remaining_s()
    if left_s is not None and left_s <= 0:
        raise DeadlineExceeded("the job's time is used up; give it a longer time limit or less to do")
    return left_s
