"""Hands what is due in the outbox to the broker."""

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, Select, delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from adapters.database.errors import translated
from adapters.database.tables.jobs import outbox
from adapters.database.tables.publishing import MAX_ERROR_CHARS
from adapters.database.unit_of_work import SystemUnitOfWork
from domain.errors import DatabaseUnavailable

#: Messages sent in one transaction.
BATCH_ROWS = 100
#: Bound on a statement, and on the time between two, in seconds: PostgreSQL ends a relay that hangs for longer.
TIMEOUT_S = 60.0
#: How long a batch is sent; what is left then is for the next one. One call of a broker that hangs has to fit into
#: what is left of the time-out, or what was sent before it could not be deleted.
SENDING_S = 10.0
#: How long a message that was refused waits: the first time, then twice as long each time, at most the second.
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 300.0
#: Rows that are counted at most; beyond, there is no need to know.
MAX_COUNTED = 100_000

#: Hands one message to the broker. Raises `BrokerUnavailable` when it could take none at all now; anything else
#: means that this message alone was refused.
SendBytes = Callable[[bytes], None]

#: Adds one to a counter with labels.
Count = Callable[[str, Mapping[str, str]], None]

logger = logging.getLogger(__name__)


class BrokerUnavailable(Exception):
    """The broker takes no message now, whichever it is."""


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """What lies in the outbox."""

    #: Messages, those included that are not due yet.
    pending: int
    #: Those that were refused at least once.
    refused: int
    #: Seconds since the one that waits longest was due; 0 when none is.
    oldest_age_s: float


class Relay:
    """Sends what is due, a batch a call; any number of relays share the work.

    A batch is one transaction: its rows are locked, sent and deleted. Rows that another relay has locked are passed
    over. A relay that dies at any point leaves no lock behind, since locks go with its connection; what it had sent
    and not deleted is sent again, under the same message id.

    A message that is refused for itself is never dropped: it waits, longer each time, its class of error is noted,
    and the others go on. When the broker takes none, all stay as they are.

    Counters: `outbox_sent_total` by actor, `outbox_refused_total` by actor and error.

    Parameters:
        engine: connects as the worker role, which may take the system role.
        send: hands a message to the broker.
        batch_rows: messages a call. Default 100.
        sending_s: seconds after which a batch ends early. Default 10.
        timeout_s: bound on a statement and on the time between two, in seconds. Default 60.
        count: takes the counters. Default: nobody.
        uniform: draws a number between two. Default `random.uniform`.
        clock_s: a clock that only goes forward, in seconds. Default `time.monotonic`.

    Example:
        >>> relay = Relay(engine, send)
        >>> while relay():
        ...     pass
    """

    def __init__(
        self,
        engine: Engine,
        send: SendBytes,
        *,
        batch_rows: int = BATCH_ROWS,
        sending_s: float = SENDING_S,
        timeout_s: float = TIMEOUT_S,
        count: Count = lambda name, labels: None,
        uniform: Callable[[float, float], float] = random.uniform,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._send = send
        self._batch_rows = batch_rows
        self._sending_s = sending_s
        self._timeout_s = timeout_s
        self._count = count
        self._uniform = uniform
        self._clock_s = clock_s

    def __call__(self) -> bool:
        """Send one batch; whether there may be more of it.

        Raises:
            BrokerUnavailable: what was sent before is deleted, the rest stays.
            DatabaseUnavailable, PermanentError: what was sent may be sent again.
        """
        try:
            with SystemUnitOfWork(self._engine, timeout_s=self._timeout_s) as unit:
                more, away = self._relay(unit.connection)
        except SQLAlchemyError as error:
            known = translated(error)
            raise known from (error if isinstance(known, DatabaseUnavailable) else None)
        if away is not None:
            raise away
        return more

    def backlog(self) -> Backlog:
        """What lies in the outbox, of every org.

        Raises:
            DatabaseUnavailable, PermanentError: it cannot be told.
        """
        try:
            with SystemUnitOfWork(self._engine, timeout_s=self._timeout_s) as unit:
                return _backlog(unit.connection)
        except SQLAlchemyError as error:
            raise translated(error) from error

    def _relay(self, connection: Connection) -> tuple[bool, BrokerUnavailable | None]:
        rows = connection.execute(due(self._batch_rows)).all()
        more = len(rows) == self._batch_rows
        sent: list[UUID] = []
        away: BrokerUnavailable | None = None
        until_s = self._clock_s() + self._sending_s
        for row in rows:
            if self._clock_s() >= until_s:
                more = True
                break
            try:
                self._send(row.message)
            except BrokerUnavailable as error:
                away = error
                break
            except Exception as error:  # noqa: BLE001  # one message that cannot be sent must not stop the others
                self._refuse(connection, row, error)
            else:
                sent.append(row.id)
                self._count("outbox_sent_total", {"actor": row.actor})
        if sent:
            connection.execute(delete(outbox).where(outbox.c.id.in_(sent)))
        return more, away

    def _refuse(self, connection: Connection, row: Row[UUID, str, bytes, int], error: Exception) -> None:
        # The class alone: the text of a foreign error may quote what it was given.
        name = type(error).__name__
        self._count("outbox_refused_total", {"actor": row.actor, "error": name})
        logger.warning("Message %s for %s was refused: %s. It will be tried again.", row.id, row.actor, name)
        wait = timedelta(seconds=self._wait_s(row.attempts, error))
        connection.execute(
            update(outbox)
            .where(outbox.c.id == row.id)
            .values(
                attempts=outbox.c.attempts + 1,
                error=name[:MAX_ERROR_CHARS],
                due_at=func.clock_timestamp() + wait,
            )
        )

    def _wait_s(self, attempts: int, error: Exception) -> float:
        ceiling_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(attempts, 30))
        asked_s = getattr(error, "retry_after_s", None)
        # At least half: many that were refused at once should spread, and none come back at once.
        return max(self._uniform(ceiling_s / 2, ceiling_s), asked_s if isinstance(asked_s, float) else 0.0)


def due(limit: int) -> Select[UUID, str, bytes, int]:
    """The messages that are due, the longest due first, locked; those locked by others are passed over."""
    return (
        select(outbox.c.id, outbox.c.actor, outbox.c.message, outbox.c.attempts)
        .where(outbox.c.due_at <= func.now())
        .order_by(outbox.c.due_at, outbox.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


def _backlog(connection: Connection) -> Backlog:
    some = select(outbox.c.due_at, outbox.c.attempts).order_by(outbox.c.due_at).limit(MAX_COUNTED).subquery()
    age_s = func.extract("epoch", func.now() - func.min(some.c.due_at))
    pending, refused, oldest_age_s = connection.execute(
        select(func.count(), func.count().filter(some.c.attempts > 0), age_s).select_from(some)
    ).one()
    return Backlog(pending=pending, refused=refused, oldest_age_s=max(0.0, float(oldest_age_s or 0)))
