"""What the database can answer, in the domain's words.

    WorthRepeating       deadlock, serialization failure, lost or refused connection: the same work may pass at once
    DatabaseUnavailable  time-out, no room, a schema that is behind: it may pass later
    InvalidInput         a constraint or a type refused a value
    PermanentError       row-level security, a missing grant, a fault of ours

Messages name constraints, tables and SQLSTATEs, never a value: PostgreSQL's own quote whole rows.
"""

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from domain.errors import DatabaseUnavailable, InvalidInput, JobError, PermanentError

#: Classes of SQLSTATEs: connection exceptions, transactions rolled back by the server.
_REPEATABLE_CLASSES = ("08", "40")
#: The server shuts down, crashed or starts; it has no free connection; it ended an idle transaction.
_REPEATABLE = ("57P01", "57P02", "57P03", "53300", "25P03")
#: Out of resources, operator intervention and time-outs, system errors, internal errors.
_PASSING_CLASSES = ("53", "57", "58", "XX")
#: A lock that was not to be waited for; a transaction that took too long.
_PASSING = ("55P03", "25P04")
#: A table, column or function that is not there yet.
_SCHEMA_BEHIND = ("42P01", "42703", "42883")
#: Data exceptions, violated constraints, violated view conditions, values too large for an index or a type.
_REFUSED_CLASSES = ("22", "23", "44", "54")
_INSUFFICIENT_PRIVILEGE = "42501"
_QUERY_CANCELED = "57014"


class WorthRepeating(DatabaseUnavailable):
    """The unit of work was undone by something that may be over already: the whole of it can be run again."""


def translated(error: SQLAlchemyError) -> JobError:
    """The domain's error for one of SQLAlchemy's.

    Parameters:
        error: as it was caught; the caller decides whether to chain it.

    Example:
        >>> raise translated(error) from None
    """
    if isinstance(error, PoolTimeout):
        return DatabaseUnavailable(
            "no free database connection in time; give the worker a larger pool or fewer threads"
        )
    if not isinstance(error, DBAPIError) or not isinstance(error.orig, psycopg.Error):
        return PermanentError(
            f"the work uses the database in a way it does not offer ({type(error).__name__})"
        )
    cause = error.orig
    state = cause.sqlstate or ""
    if _is_repeatable(cause, state):
        return WorthRepeating(
            f"the database did not finish the unit of work ({_described(cause, state)}), also when it was run again; "
            "check that the server runs, is reachable and is not overloaded"
        )
    if state == _QUERY_CANCELED:
        return DatabaseUnavailable(
            "a statement took longer than it may, or than the job has left, and was stopped; nothing was written"
        )
    if state[:2] in _PASSING_CLASSES or state in _PASSING:
        return DatabaseUnavailable(
            f"the database cannot do it now ({_described(cause, state)}); nothing was written"
        )
    if state in _SCHEMA_BEHIND:
        return DatabaseUnavailable(
            f"the database lacks something this build needs ({_described(cause, state)}); migrate it to the "
            "newest revision"
        )
    if state[:2] in _REFUSED_CLASSES or isinstance(cause, psycopg.DataError | psycopg.IntegrityError):
        return InvalidInput(f"the database refused a value ({_described(cause, state)}); nothing was written")
    if state == _INSUFFICIENT_PRIVILEGE:
        return PermanentError(
            f"the database refused access ({_described(cause, state)}): a row of another org, or a missing grant"
        )
    return PermanentError(
        f"the database refused a statement ({_described(cause, state)}); this is a fault of the program"
    )


def _is_repeatable(cause: psycopg.Error, state: str) -> bool:
    if state[:2] in _REPEATABLE_CLASSES or state in _REPEATABLE:
        return True
    # Without a SQLSTATE it came from libpq, not from the server: refused, reset, timed out.
    return not state and isinstance(cause, psycopg.OperationalError)


def _described(cause: psycopg.Error, state: str) -> str:
    where = (
        ("constraint", cause.diag.constraint_name),
        ("table", cause.diag.table_name),
        ("column", cause.diag.column_name),
    )
    named = ", ".join(f"{kind} {name}" for kind, name in where if name)
    what = f"{type(cause).__name__} {state}".rstrip()
    return f"{what}, {named}" if named else what
