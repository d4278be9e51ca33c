"""Content that is due, and its publish intents, in PostgreSQL."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from sqlalchemy import func, select, text, true, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from adapters.ids import uuid7
from domain.content_scheduler import DueItem
from domain.errors import DatabaseUnavailable
from domain.limits import Limits
from domain.publish_execution import PublishExecution

from .errors import WorthRepeating, translated
from .tables import content_items, publish_intents, publish_targets
from .unit_of_work import SystemUnitOfWork

#: The job that publishes an intent, and how long an attempt of a scheduled one may take, in milliseconds.
PUBLISH_ACTOR = "publish_execution"
PUBLISH_TIME_LIMIT_MS = 30_000

#: Words of partial indexes, as literals: PostgreSQL plans a statement that it has prepared without its parameters, and
#: would not see that the index fits.
_OPEN = text("publish_intents.status IN ('pending', 'publishing')")
_SCHEDULED = text("content_items.status = 'scheduled'")

T = TypeVar("T")


class Outbox(Protocol):
    """Sends with the transaction; `adapters.outbox.SqlOutbox`."""

    def send(
        self,
        unit: SystemUnitOfWork,
        actor_name: str,
        contract: PublishExecution,
        *,
        concurrency: tuple[str, int] | None = None,
        time_limit_ms: int | None = None,
        message_id: UUID | None = None,
    ) -> UUID:
        """Have the message sent when the unit is committed."""
        ...


class SqlScheduling:
    """`domain.content_scheduler.SchedulingRepository` within one unit of work of the system role.

    Of the publishes of one run `max_concurrent_publishes` are in flight at once *for each org of the run*: keys of
    concurrency are an org's own, so that no org's slow site holds up another's publishes.

    Parameters:
        unit: the transaction.
        outbox: sends the publishing jobs with it.
        limits: `max_concurrent_publishes`.
        new_id: makes ids of intents, which are the ids of their messages too. Default `uuid7`.

    Example:
        >>> SqlSystemTransactions(engine, partial(SqlScheduling, outbox=outbox, limits=limits), run.remaining_s)
    """

    def __init__(
        self,
        unit: SystemUnitOfWork,
        *,
        outbox: Outbox,
        limits: Limits,
        new_id: Callable[[], UUID] = uuid7,
    ) -> None:
        self._unit = unit
        self._connection = unit.connection
        self._outbox = outbox
        self._limits = limits
        self._new_id = new_id

    def due(self, after: DueItem | None, limit: int) -> list[DueItem]:
        """Content to be published, the longest due first, locked; what is locked by others is passed over."""
        items = content_items.c
        place = tuple_(items.publish_at, items.id)
        query = (
            select(items.org_id, items.id, items.domain_id, items.publish_at)
            .where(
                _SCHEDULED,
                items.publish_at <= func.now(),
                true() if after is None else place > tuple_(after.publish_at, after.content_id),
            )
            .order_by(items.publish_at, items.id)
            .limit(limit)
            # Not against those who only refer to the content: writing its statistics must not hide it.
            .with_for_update(skip_locked=True, key_share=True)
        )
        return [
            DueItem(org_id=org_id, content_id=content_id, domain_id=domain_id, publish_at=publish_at)
            for org_id, content_id, domain_id, publish_at in self._connection.execute(query)
        ]

    def schedule(self, item: DueItem, *, run_id: UUID) -> int:
        """Open intents, send their jobs, mark the item as publishing; how many intents are open."""
        return self._own_errors(lambda: self._schedule(item, run_id))

    def fail(self, item: DueItem) -> None:
        """Mark the item as failed."""
        self._own_errors(lambda: self._mark(item, "failed"))

    def _schedule(self, item: DueItem, run_id: UUID) -> int:
        targets = self._targets(item)
        if not targets:
            return 0
        intents = self._open_intents(item, targets)
        for intent_id in intents:
            self._outbox.send(
                self._unit,
                PUBLISH_ACTOR,
                PublishExecution(org_id=item.org_id, intent_id=intent_id),
                concurrency=(f"run:{run_id}", self._limits.max_concurrent_publishes),
                time_limit_ms=PUBLISH_TIME_LIMIT_MS,
                # One message for an intent, however often somebody finds that it should be sent.
                message_id=intent_id,
            )
        self._mark(item, "publishing")
        return len(intents)

    def _targets(self, item: DueItem) -> Sequence[UUID]:
        targets = publish_targets.c
        query = select(targets.id).where(
            targets.org_id == item.org_id, targets.domain_id == item.domain_id, targets.enabled
        )
        return self._connection.scalars(query.order_by(targets.id)).all()

    def _open_intents(self, item: DueItem, targets: Sequence[UUID]) -> Sequence[UUID]:
        rows = [
            {
                "org_id": item.org_id,
                "id": self._new_id(),
                "domain_id": item.domain_id,
                "content_id": item.content_id,
                "target_id": target_id,
                "status": "pending",
            }
            for target_id in targets
        ]
        self._connection.execute(
            insert(publish_intents)
            .values(rows)
            .on_conflict_do_nothing(
                index_elements=["org_id", "content_id", "target_id"],
                index_where=text("status IN ('pending', 'publishing')"),
            )
        )
        intents = publish_intents.c
        found = self._connection.scalars(
            select(intents.id)
            .where(
                intents.org_id == item.org_id,
                intents.content_id == item.content_id,
                intents.target_id.in_(targets),
                _OPEN,
            )
            .order_by(intents.id)
        ).all()
        if len(found) < len(targets):
            raise WorthRepeating(
                "an open intent was closed while it was looked for; the chunk is decided again"
            )
        return found

    def _mark(self, item: DueItem, status: str) -> None:
        items = content_items.c
        self._connection.execute(
            update(content_items)
            .where(items.org_id == item.org_id, items.id == item.content_id)
            .values(status=status, updated_at=func.now())
        )

    def _own_errors(self, work: Callable[[], T]) -> T:
        """In a savepoint: what the database refuses of one item does not undo the others."""
        try:
            with self._connection.begin_nested():
                return work()
        except SQLAlchemyError as error:
            known = translated(error)
            if isinstance(known, DatabaseUnavailable):
                raise
            raise known from None
