"""Dead letters on PostgreSQL: written as the system role, read and replayed as the org whose they are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, delete, false, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import DatabaseUnavailable, InvalidInput

from .dead_letter_rows import instant, place, record_of, row_of, row_of_bytes
from .errors import translated
from .tables.operations import publishing_dlq
from .unit_of_work import SystemUnitOfWork, UnitOfWork

#: Most letters in one page.
MAX_PAGE = 1_000
#: Letters in one INSERT or DELETE.
BATCH = 500
#: Bound on a statement, in seconds.
TIMEOUT_S = 30.0


class Letter(Protocol):
    """What the store needs of a letter."""

    def as_record(self) -> dict[str, object]:
        """The letter as plain JSON data."""


LetterT = TypeVar("LetterT", bound=Letter)


class SqlDeadLetters(Generic[LetterT]):
    """Keeps dead letters in `publishing_dlq`.

    A letter whose org is no UUID is kept without one: operators see it, no org does. What JSONB cannot hold, a NUL
    say, is kept as the bytes of its JSON, and read back the same.

    Parameters:
        engine: connects as the worker role, which may take the system role.
        from_record: makes a letter of what its `as_record` gave.

    Example:
        >>> store = SqlDeadLetters(engine, DeadLetter.from_record)
        >>> store.of_org(str(org_id)).list(limit=10)
    """

    def __init__(self, engine: Engine, from_record: Callable[[Mapping[str, object]], LetterT]) -> None:
        self._engine = engine
        self._from_record = from_record

    def put(self, letters: Sequence[LetterT]) -> int:
        """Keep letters, each batch in one transaction; one that is there already stays as it is.

        Returns:
            How many were new.

        Raises:
            DatabaseUnavailable: it may pass later; what was written stays, and may be put again.
            InvalidInput: the table refuses a letter, however it is written.
        """
        new = 0
        for at in range(0, len(letters), BATCH):
            batch = letters[at : at + BATCH]
            try:
                new += self._insert([row_of(each.as_record()) for each in batch])
            except InvalidInput:
                new += sum(self._insert_single(each) for each in batch)
        return new

    def of_org(self, org: str) -> "SqlDeadLetterBox[LetterT]":
        """The letters of an org.

        Raises:
            ValueError: `org` is no UUID.
        """
        return SqlDeadLetterBox(self._engine, self._from_record, UUID(org))

    def of_every_org(self) -> "SqlDeadLetterBox[LetterT]":
        """All letters, for operators."""
        return SqlDeadLetterBox(self._engine, self._from_record, None)

    def _insert_single(self, letter: LetterT) -> int:
        try:
            return self._insert([row_of(letter.as_record())])
        except InvalidInput:
            return self._insert([row_of_bytes(letter.as_record())])

    def _insert(self, rows: list[dict[str, object]]) -> int:
        statement = (
            insert(publishing_dlq).values(rows).on_conflict_do_nothing().returning(publishing_dlq.c.id)
        )
        with _connection(self._engine, None) as connection:
            return len(connection.execute(statement).all())


class SqlDeadLetterBox(Generic[LetterT]):
    """The letters of one org, or all; made by `SqlDeadLetters`. Every method may raise `DatabaseUnavailable`."""

    def __init__(
        self,
        engine: Engine,
        from_record: Callable[[Mapping[str, object]], LetterT],
        org_id: UUID | None,
    ) -> None:
        self._engine = engine
        self._from_record = from_record
        self._org_id = org_id

    def list(self, *, after: str | None = None, limit: int = 100) -> Sequence[LetterT]:
        """A page of letters, the newest first; `after` is the cursor of the last one of the page before."""
        return self._page([], after, limit)

    def list_by_category(
        self, category: str, *, after: str | None = None, limit: int = 100
    ) -> Sequence[LetterT]:
        """A page of the letters of one category, as `list`."""
        return self._page([publishing_dlq.c.error_category == category], after, limit)

    def search(
        self,
        *,
        category: str | None = None,
        actor: str | None = None,
        fingerprint: str | None = None,
        replayed: bool | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Sequence[LetterT]:
        """A page of the letters that fit, as `list`.

        Parameters:
            category, actor, fingerprint: as the letters have them. Default any.
            replayed: only those whose message was sent again, or only the others. Default both.
            after: the cursor of the last one of the page before. Default None, from the newest.
            limit: 1 to 1,000. Default 100.

        Raises:
            ValueError: `after` is no cursor.
        """
        again = publishing_dlq.c.replayed_as
        wanted = _matching(category, actor, fingerprint)
        if replayed is not None:
            wanted.append(again.is_not(None) if replayed else again.is_(None))
        return self._page(wanted, after, limit)

    def get(self, letter_id: str) -> LetterT | None:
        """The letter; None when there is none, or it is another org's."""
        query = select(publishing_dlq).where(*self._visible(), *_is(letter_id))
        with self._connection() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else self._from_record(record_of(dict(row)))

    def mark_replayed(
        self,
        letter_id: str,
        message_id: str | None,
        *,
        at_ms: int,
        instead_of: str | None,
        changes: Sequence[Mapping[str, object]] = (),
    ) -> bool:
        """Note which message repeats the letter, if it is marked with `instead_of` until now."""
        columns = publishing_dlq.c
        marked = (
            update(publishing_dlq)
            .where(*self._visible(), *_is(letter_id), columns.replayed_as.is_not_distinct_from(instead_of))
            .values(
                replayed_as=message_id,
                replayed_at=None if message_id is None else instant(at_ms),
                changes=[dict(each) for each in changes],
            )
        )
        with self._connection() as connection:
            return bool(connection.execute(marked).rowcount)

    def delete(self, letter_id: str) -> bool:
        """Remove one letter; False when there is none, or it is another org's."""
        with self._connection() as connection:
            found = connection.execute(delete(publishing_dlq).where(*self._visible(), *_is(letter_id)))
            return bool(found.rowcount)

    def purge(self, before_ms: int) -> int:
        """Remove what was given up before a time, in small transactions; tells how many letters."""
        columns, gone = publishing_dlq.c, 0
        old = (
            select(columns.id)
            .where(*self._visible(), columns.created_at < instant(before_ms))
            .order_by(columns.created_at, columns.id)
            .limit(BATCH)
        )
        while True:
            with self._connection() as connection:
                removed = connection.execute(
                    delete(publishing_dlq).where(*self._visible(), columns.id.in_(old))
                ).rowcount
            gone += removed
            if removed < BATCH:
                return gone

    def stats(self) -> dict[str, dict[str, int]]:
        """How many letters there are by category, region, actor and fingerprint, counted in one pass."""
        return {
            by: {value: sum(each) for value, each in values.items()} for by, values in self.counts().items()
        }

    def counts(
        self, *, category: str | None = None, actor: str | None = None, fingerprint: str | None = None
    ) -> dict[str, dict[str, tuple[int, int]]]:
        """How many of the letters that fit are open, and how many were replayed; counted as by `stats`."""
        columns = publishing_dlq.c
        by = {
            "category": columns.error_category,
            "region": columns.region,
            "actor": columns.actor,
            "fingerprint": columns.fingerprint,
        }
        # COUNT of a column passes over what is NULL: those that are open.
        query = (
            select(func.grouping(*by.values()), *by.values(), func.count(), func.count(columns.replayed_as))
            .where(*self._visible(), *_matching(category, actor, fingerprint))
            .group_by(func.grouping_sets(*(tuple_(each) for each in by.values())))
        )
        counts: dict[str, dict[str, tuple[int, int]]] = {name: {} for name in by}
        with self._connection() as connection:
            for grouped, *values, count, replayed in connection.execute(query):
                # One bit for each column that this row is not grouped by, the first one highest.
                at = next(index for index in range(len(by)) if not grouped & 1 << len(by) - 1 - index)
                if values[at] is not None:
                    counts[list(by)[at]][values[at]] = (count - replayed, replayed)
        return counts

    def open_by_queue(self) -> dict[str, int]:
        """How many letters of each queue are open: neither replayed nor removed. A queue without any is left out."""
        columns = publishing_dlq.c
        query = (
            select(columns.queue, func.count().label("count_open"))
            .where(*self._visible(), columns.replayed_as.is_(None))
            .group_by(columns.queue)
        )
        with self._connection() as connection:
            return {row.queue: row.count_open for row in connection.execute(query)}

    def _page(
        self, wanted: Sequence[ColumnElement[bool]], after: str | None, limit: int
    ) -> Sequence[LetterT]:
        if not 1 <= limit <= MAX_PAGE:
            raise ValueError(f"limit must be 1 to {MAX_PAGE}, not {limit}")
        columns = publishing_dlq.c
        query = (
            select(publishing_dlq)
            .where(*self._visible(), *wanted)
            .order_by(columns.created_at.desc(), columns.id.desc())
            .limit(limit)
        )
        if after is not None:
            query = query.where(tuple_(columns.created_at, columns.id) < tuple_(*place(after)))
        with self._connection() as connection:
            return [self._from_record(record_of(dict(row))) for row in connection.execute(query).mappings()]

    def _visible(self) -> Sequence[ColumnElement[bool]]:
        # Row-level security says the same; said here, too, the planner finds the org's index.
        return () if self._org_id is None else (publishing_dlq.c.org_id == self._org_id,)

    def _connection(self) -> AbstractContextManager[Connection]:
        return _connection(self._engine, self._org_id)


@contextmanager
def _connection(engine: Engine, org_id: UUID | None) -> Iterator[Connection]:
    if org_id is None:
        unit: SystemUnitOfWork | UnitOfWork = SystemUnitOfWork(engine, timeout_s=TIMEOUT_S)
    else:
        unit = UnitOfWork(engine, org_id, timeout_s=TIMEOUT_S)
    try:
        with unit:
            yield unit.connection
    except SQLAlchemyError as error:
        known = translated(error)
        # PostgreSQL's words about a refused value quote the row; those about an outage help.
        raise known from (error if isinstance(known, DatabaseUnavailable) else None)


def _matching(category: str | None, actor: str | None, fingerprint: str | None) -> list[ColumnElement[bool]]:
    columns = publishing_dlq.c
    wanted = ((columns.error_category, category), (columns.actor, actor), (columns.fingerprint, fingerprint))
    return [column == value for column, value in wanted if value is not None]


def _is(letter_id: str) -> Sequence[ColumnElement[bool]]:
    try:
        return (publishing_dlq.c.id == UUID(letter_id),)
    except ValueError:
        return (false(),)
