"""The history of attempts on PostgreSQL, written and read across orgs as the system role."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, false, select, true, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import DatabaseUnavailable

from .errors import translated
from .tables.jobs import job_attempts
from .tables.publishing import ERROR_CATEGORIES
from .unit_of_work import SystemUnitOfWork

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    RecordT = TypeVar("RecordT", bound=DataclassInstance)
else:
    RecordT = TypeVar("RecordT")

#: Bound on a statement, in seconds. Nothing waits for the history but the history.
TIMEOUT_S = 10.0

#: The most attempts that one call gives.
MAX_PAGE = 1_000

#: Lengths that the table holds its text to. A longer name loses its end, not its row.
_MAX_CHARS = {
    "message_id": 200,
    "actor": 200,
    "queue": 200,
    "error_class": 200,
    "fingerprint": 128,
    "cause": 200,
    "worker": 200,
    "trace_id": 64,
}


class SqlHistoryStore(Generic[RecordT]):
    """Keeps attempts in `job_attempts` and finds them again.

    An org that is no UUID is kept as none, a category that the table does not know as `unknown`.

    Parameters:
        engine: connects as the worker role, which may take the system role.
        record_type: a dataclass with the table's columns as fields, and `org` for `org_id`: the history's own.

    Example:
        >>> store = SqlHistoryStore(engine, AttemptRecord)
        >>> store.attempts(message_id)
    """

    def __init__(self, engine: Engine, record_type: Callable[..., RecordT]) -> None:
        self._engine = engine
        self._record_type = record_type

    def record(self, attempts: Sequence[RecordT]) -> None:
        """Keep them all in one transaction; one that is known already, by its id, stays as it is.

        Raises:
            DatabaseUnavailable: it may pass later; nothing was written, or all of it was.
            InvalidInput: the table refuses a value.
            PermanentError: it refuses access.
        """
        if attempts:
            rows = [_row(each) for each in attempts]
            with self._connection() as connection:
                connection.execute(insert(job_attempts).on_conflict_do_nothing(), rows)

    def attempts(self, message_id: str, *, org: str | None = None) -> list[RecordT]:
        """Every attempt at a message, oldest first; with `org`, none unless the message is that org's.

        Raises:
            DatabaseUnavailable: it may pass later.
        """
        columns = job_attempts.c
        query = select(job_attempts).where(columns.message_id == message_id, _is_of(org))
        return self._found(query.order_by(columns.started_at, columns.id))

    def recent(
        self,
        *,
        org: str | None = None,
        actor: str | None = None,
        outcome: str | None = None,
        before: tuple[datetime, UUID] | None = None,
        limit: int = 100,
    ) -> list[RecordT]:
        """The attempts that fit, by the time they started, newest first.

        Parameters:
            org: only this org's. Default None: every org's.
            actor: only this actor's. Default None.
            outcome: only those that ended so. Default None.
            before: `(started_at, id)` of the last one of the page before. Default None: the first page.
            limit: how many, 1 to 1,000. Default 100.

        Raises:
            ValueError: `limit` is out of bounds.
            DatabaseUnavailable: it may pass later.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise ValueError(f"limit must be 1 to {MAX_PAGE}, not {limit}")
        columns = job_attempts.c
        newest_first = (columns.started_at.desc(), columns.id.desc())
        query = select(job_attempts).where(_is_of(org)).order_by(*newest_first).limit(limit)
        if actor is not None:
            query = query.where(columns.actor == actor)
        if outcome is not None:
            query = query.where(columns.outcome == outcome)
        if before is not None:
            query = query.where(tuple_(columns.started_at, columns.id) < tuple_(*before))
        return self._found(query)

    def _found(self, query: Any) -> list[RecordT]:
        with self._connection() as connection:
            return [self._record_type(**_fields(row)) for row in connection.execute(query).mappings()]

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with SystemUnitOfWork(self._engine, timeout_s=TIMEOUT_S) as unit:
                yield unit.connection
        except SQLAlchemyError as error:
            known = translated(error)
            # PostgreSQL's words about a refused value quote the row; those about an outage help.
            raise known from (error if isinstance(known, DatabaseUnavailable) else None)


def _is_of(org: str | None) -> ColumnElement[bool]:
    if org is None:
        return true()
    org_id = _uuid(org)
    # What is no org's is not the attempts' without one, either.
    return false() if org_id is None else job_attempts.c.org_id == org_id


def _row(record: "DataclassInstance") -> dict[str, object]:
    row = {each.name: getattr(record, each.name) for each in dataclasses.fields(record)}
    for name, max_chars in _MAX_CHARS.items():
        if row[name] is not None:
            row[name] = str(row[name]).replace("\x00", "")[:max_chars]
    row["org_id"] = _uuid(row.pop("org"))
    if row["error_category"] is not None and row["error_category"] not in ERROR_CATEGORIES:
        row["error_category"] = "unknown"
    return row


def _fields(row: Mapping[Any, Any]) -> dict[str, object]:
    fields = {str(name): value for name, value in row.items()}
    org_id = fields.pop("org_id")
    return {**fields, "org": None if org_id is None else str(org_id)}


def _uuid(org: object) -> UUID | None:
    try:
        return None if org is None else UUID(str(org))
    except ValueError:
        return None
