"""The history of attempts on PostgreSQL, written and read across orgs as the system role."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Engine,
    Select,
    false,
    func,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import Insert, insert
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


def _record() -> Insert:
    statement = insert(job_attempts)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=[job_attempts.c.id],
        set_={column.name: new[column.name] for column in job_attempts.c if column.name != "id"},
        # Batches may come twice and out of order: what has ended never runs again.
        where=(job_attempts.c.outcome == "running") & (new.outcome != "running"),
    )


_RECORD = _record()


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
        """Keep them all in one transaction.

        One that is known already, by its id, stays as it is, unless it was running and has ended.

        Raises:
            DatabaseUnavailable: it may pass later; nothing was written, or all of it was.
            InvalidInput: the table refuses a value.
            PermanentError: it refuses access.
        """
        if attempts:
            rows = [_row(each) for each in attempts]
            with self._connection() as connection:
                connection.execute(_RECORD, rows)

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
            outcome: only those that ended so, or that run. Default None.
            before: `(started_at, id)` of the last one of the page before. Default None: the first page.
            limit: how many, 1 to 1,000. Default 100.

        Raises:
            ValueError: `limit` is out of bounds.
            DatabaseUnavailable: it may pass later.
        """
        return self._found(_page(org, actor, outcome, before, limit))

    def latest(
        self,
        *,
        org: str | None = None,
        actor: str | None = None,
        outcome: str | None = None,
        before: tuple[datetime, UUID] | None = None,
        limit: int = 100,
    ) -> list[RecordT]:
        """The last attempt at each message, newest first. Parameters and errors as for `recent`."""
        return self._found(_page(org, actor, outcome, before, limit).where(~_later_attempt()))

    def running_by_queue(self, *, org: str | None = None) -> dict[str, int]:
        """How many attempts run, by the name of their queue; those that died with their worker among them.

        Parameters:
            org: only this org's. Default None: every org's.

        Raises:
            DatabaseUnavailable: it may pass later.
        """
        columns = job_attempts.c
        query = select(columns.queue, func.count()).where(_RUNNING, _is_of(org)).group_by(columns.queue)
        with self._connection() as connection:
            return dict(connection.execute(query).all())

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


#: Not as a parameter: the index of the running ones is found for this very condition.
_RUNNING = literal_column("job_attempts.outcome = 'running'", Boolean)


def _page(
    org: str | None, actor: str | None, outcome: str | None, before: tuple[datetime, UUID] | None, limit: int
) -> Select[Any]:
    if not 1 <= limit <= MAX_PAGE:
        raise ValueError(f"limit must be 1 to {MAX_PAGE}, not {limit}")
    columns = job_attempts.c
    query = select(job_attempts).where(_is_of(org))
    if actor is not None:
        query = query.where(columns.actor == actor)
    if outcome is not None:
        query = query.where(_RUNNING if outcome == "running" else columns.outcome == outcome)
    if before is not None:
        query = query.where(tuple_(columns.started_at, columns.id) < tuple_(*before))
    return query.order_by(columns.started_at.desc(), columns.id.desc()).limit(limit)


def _later_attempt() -> ColumnElement[bool]:
    later, this = job_attempts.alias("later").c, job_attempts.c
    return (
        select(later.id)
        .where(
            later.message_id == this.message_id,
            tuple_(later.started_at, later.id) > tuple_(this.started_at, this.id),
            # Ids are made by whoever sends: another org's message with this one's id hides nothing.
            later.org_id.is_not_distinct_from(this.org_id),
        )
        .exists()
    )


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
