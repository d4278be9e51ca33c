"""What jobs in general need of their surroundings. What one job alone needs stands in that job's file."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

#: The time now, with its zone. Rules never call `datetime.now` themselves.
Clock = Callable[[], datetime]

#: A fresh, time-ordered identifier.
NewId = Callable[[], UUID]

T = TypeVar("T")
RepoT_co = TypeVar("RepoT_co", covariant=True)


class Run(Protocol):
    """The surroundings of one attempt at one job."""

    @property
    def job_id(self) -> UUID:
        """The same for every attempt at the job, so that effects can be keyed by it."""
        ...

    def remaining_s(self) -> float | None:
        """Seconds until the job's deadline, at least 0; None when it has none."""
        ...

    def progress(self, percent: int, note: str) -> None:
        """Tell whoever watches how far the job is (0-100) and what it is doing."""
        ...

    def checkpoint(self) -> None:
        """A place where it is safe to stop.

        Raises:
            Cancelled: somebody asked for this job to stop.
            DeadlineExceeded: its time is used up.
        """
        ...


class Transactions(Protocol[RepoT_co]):
    """Units of work of one org over one repository."""

    def __call__(self, org_id: UUID, work: Callable[[RepoT_co], T], *, timeout_s: float = 30.0) -> T:
        """Run `work` in one transaction that sees and touches only `org_id`'s rows; commit if it returns.

        The whole of `work` is run again after a deadlock, a serialization failure or a lost connection, so
        it may have no effects outside the database.

        Parameters:
            org_id: the org whose rows exist during the transaction.
            work: gets the repository; what it returns is returned.
            timeout_s: bound on every statement, never longer than the job has left. Default 30.

        Raises:
            DatabaseUnavailable: after the retries, or at once when repeating cannot help.
            InvalidInput: the database refused a value.
            PermanentError: it refused access.
            DeadlineExceeded: the job's time is used up; nothing was begun.
        """
        ...


class SystemTransactions(Protocol[RepoT_co]):
    """Units of work that see every org, for the few jobs that work for the platform itself."""

    def __call__(self, work: Callable[[RepoT_co], T], *, timeout_s: float = 30.0) -> T:
        """Run `work` in one transaction of the system role; all else is as for `Transactions`."""
        ...
