"""Schedules in PostgreSQL: an org's own, every org's for operators, and those that are due."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    Text,
    any_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import DatabaseUnavailable
from domain.schedules import Schedule

from .errors import translated
from .tables.schedules import schedules
from .unit_of_work import SystemUnitOfWork, UnitOfWork

#: Bound on a statement that a person waits for, in seconds.
TIMEOUT_S = 10.0

#: Puts a schedule's message into the outbox within a unit of work of the system role.
SendTick = Callable[[SystemUnitOfWork, Schedule, UUID], object]


class SqlSchedules:
    """`domain.schedule_keeping.ScheduleRepository` within one unit of work of an org.

    Parameters:
        unit: the transaction, and the org.

    Example:
        >>> SqlTransactions(engine, SqlSchedules, remaining_s)
    """

    def __init__(self, unit: UnitOfWork) -> None:
        self._connection = unit.connection
        self._org_id = unit.org_id

    def now(self) -> datetime:
        """The database's time."""
        return _now(self._connection)

    def lock(self) -> None:
        """Keep other transactions from adding to the org's schedules until this one is over."""
        key = func.hashtextextended(f"schedules:{self._org_id}", 0)
        self._connection.execute(select(func.pg_advisory_xact_lock(key)))

    def count(self) -> int:
        """How many the org has."""
        own = select(func.count()).where(schedules.c.org_id == self._org_id)
        return self._connection.scalar(own) or 0

    def named(self, name: str) -> Schedule | None:
        """The one with that name."""
        return _one(
            self._connection,
            select(schedules).where(schedules.c.org_id == self._org_id, schedules.c.name == name),
        )

    def get(self, schedule_id: UUID) -> Schedule | None:
        """The one with that id, locked."""
        return _one(
            self._connection,
            select(schedules)
            .where(schedules.c.org_id == self._org_id, schedules.c.id == schedule_id)
            .with_for_update(),
        )

    def add(self, schedule: Schedule) -> Schedule:
        """Keep a new one; it, with the time it was made."""
        row = {name: getattr(schedule, name) for name in _WRITTEN}
        added = self._connection.execute(
            insert(schedules).values({**row, "org_id": self._org_id}).returning(schedules)
        )
        return _schedule(added.mappings().one())

    def set_paused(self, schedule_id: UUID, *, paused: bool, next_due_at: datetime) -> None:
        """Pause or resume it; what it was paused for is forgotten."""
        self._connection.execute(
            update(schedules)
            .where(schedules.c.org_id == self._org_id, schedules.c.id == schedule_id)
            .values(paused=paused, error=None, next_due_at=next_due_at)
        )

    def remove(self, schedule_id: UUID) -> bool:
        """Delete it; whether it was there."""
        own = delete(schedules).where(schedules.c.org_id == self._org_id, schedules.c.id == schedule_id)
        return self._connection.execute(own).rowcount > 0


class SqlScheduleLists:
    """Schedules to look at: an org's, as that org; every org's, as the system role, for operators.

    Parameters:
        engine: connects as the worker role, which may take the system role.

    Raises:
        DatabaseUnavailable: from every method; it may pass later.

    Example:
        >>> SqlScheduleLists(engine).page(org_id=org_id, after=None, limit=50)
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def page(self, *, org_id: UUID | None, after: UUID | None, limit: int) -> list[Schedule]:
        """Schedules in the order they were made, those after `after`; with `org_id`, that org's alone."""
        query = (
            select(schedules)
            .where(_of(org_id), schedules.c.id > after if after is not None else true())
            .order_by(schedules.c.id)
            .limit(limit)
        )
        with self._connection(org_id) as connection:
            return [_schedule(row) for row in connection.execute(query).mappings()]

    def find(self, schedule_id: UUID, *, org_id: UUID | None) -> Schedule | None:
        """The one with that id; with `org_id`, only if it is that org's."""
        with self._connection(org_id) as connection:
            return _one(connection, select(schedules).where(_of(org_id), schedules.c.id == schedule_id))

    @contextmanager
    def _connection(self, org_id: UUID | None) -> Iterator[Connection]:
        unit = (
            SystemUnitOfWork(self._engine, timeout_s=TIMEOUT_S)
            if org_id is None
            else UnitOfWork(self._engine, org_id, timeout_s=TIMEOUT_S)
        )
        try:
            with unit:
                yield unit.connection
        except SQLAlchemyError as error:
            known = translated(error)
            raise known from (error if isinstance(known, DatabaseUnavailable) else None)


class SqlDueSchedules:
    """`domain.schedules.DueSchedules` within one unit of work of the system role.

    Parameters:
        unit: the transaction.
        send: puts a message into the outbox.
    """

    def __init__(self, unit: SystemUnitOfWork, send: SendTick) -> None:
        self._unit = unit
        self._connection = unit.connection
        self._send = send

    def now(self) -> datetime:
        """The database's time, the same throughout the transaction."""
        return _now(self._connection)

    def due(self, limit: int, *, known: Collection[str], patience: timedelta) -> list[Schedule]:
        """Those that are due and not paused, the longest due first, locked; those locked by others are passed over.

        Those of actors that are not `known` only when they are late by more than `patience`.
        """
        columns = schedules.c
        query = (
            select(schedules)
            .where(
                columns.next_due_at <= func.now(),
                ~columns.paused,
                or_(
                    columns.actor == any_(bindparam("known", list(known), ARRAY(Text))),
                    columns.next_due_at < func.now() - patience,
                ),
            )
            .order_by(columns.next_due_at, columns.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return [_schedule(row) for row in self._connection.execute(query).mappings()]

    def send(self, schedule: Schedule, message_id: UUID) -> None:
        """Have its message sent once the transaction is committed."""
        self._send(self._unit, schedule, message_id)

    def advance(
        self, schedule: Schedule, *, next_due_at: datetime, fired: datetime | None, message_id: UUID | None
    ) -> None:
        """Keep when it is due next and, unless None, what was fired."""
        last = {} if fired is None else {"last_due_at": fired, "last_message_id": message_id}
        self._update(schedule, {"next_due_at": next_due_at, **last})

    def pause_for(self, schedule: Schedule, error: str) -> None:
        """Pause it, and keep why."""
        self._update(schedule, {"paused": True, "error": error[:2000]})

    def _update(self, schedule: Schedule, values: dict[str, object]) -> None:
        own = (schedules.c.org_id == schedule.org_id, schedules.c.id == schedule.id)
        self._connection.execute(update(schedules).where(*own).values(values))


#: What of a schedule is written when it is added; the rest is the database's.
_WRITTEN = (
    "id",
    "name",
    "actor",
    "expression",
    "tz",
    "payload",
    "missed",
    "paused",
    "next_due_at",
    "created_by",
)


def _of(org_id: UUID | None) -> ColumnElement[bool]:
    return true() if org_id is None else schedules.c.org_id == org_id


def _now(connection: Connection) -> datetime:
    now: datetime = connection.execute(select(func.now())).scalar_one()
    return now


def _one(connection: Connection, query: "Select[object]") -> Schedule | None:
    row = connection.execute(query).mappings().first()
    return None if row is None else _schedule(row)


def _schedule(row: RowMapping) -> Schedule:
    return Schedule(**row)
