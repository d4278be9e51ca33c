"""Publishing what is due: content whose time has come gets an intent for each target, and a job for each intent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Protocol
from uuid import UUID

from .contract import Model
from .errors import Cancelled, DeadlineExceeded, InvalidInput, PermanentError
from .ports import Run, SystemTransactions

#: Items decided in one transaction: short locks, and little to do again after a crash.
CHUNK_ITEMS = 100
#: Items that a report lists; it counts all of them.
MAX_LISTED = 100
#: What is said of content that has nowhere to go.
NO_TARGET = "its domain has no enabled publish target; add one, and schedule the content again"


@dataclass(frozen=True, kw_only=True)
class DueItem:
    """Content whose time has come."""

    org_id: UUID
    content_id: UUID
    domain_id: UUID
    publish_at: datetime


class ScheduledItem(Model):
    """What became of one item."""

    org_id: UUID
    content_id: UUID
    error: str | None = None
    """Why it failed; None when it is being published."""


class SchedulerReport(Model):
    """What a run did. A chunk whose COMMIT nobody heard of is done, and not in here."""

    processed: int
    """Items that are being published."""
    failed: int
    """Items that cannot be."""
    items: tuple[ScheduledItem, ...]
    """The first of them, failed ones before the others."""


class SchedulingRepository(Protocol):
    """Every org's content, within one transaction of the system role."""

    def due(self, after: DueItem | None, limit: int) -> Sequence[DueItem]:
        """Content to be published, the longest due first, those behind `after`; locked for this transaction.

        What another scheduler has locked is left to it.
        """

    def schedule(self, item: DueItem, *, run_id: UUID) -> int:
        """Open an intent at each enabled target of the item's domain, have each published when this transaction
        commits, and mark the item as publishing.

        An intent that is open already stays the only one.

        Returns:
            How many intents are open now; 0, and nothing is written, when there is no target.

        Raises:
            InvalidInput: this item cannot be published as it is. Nothing of it was written.
            PermanentError: it cannot, for a fault of the platform's. Nothing of it was written.
            DatabaseUnavailable: the transaction is over.
        """

    def fail(self, item: DueItem) -> None:
        """Mark the item as failed. Raises as `schedule`."""


@dataclass(kw_only=True)
class _Chunk:
    seen: list[DueItem] = field(default_factory=list)
    items: list[ScheduledItem] = field(default_factory=list)
    stopped: Cancelled | DeadlineExceeded | None = None


@dataclass(frozen=True, kw_only=True)
class ScheduleContent:
    """The handler. Any number of runs may be under way at once: no item is taken twice.

    Parameters:
        run: the surroundings of this attempt.
        transactions: units of work of the system role.
    """

    run: Run
    transactions: SystemTransactions[SchedulingRepository]

    def __call__(self) -> SchedulerReport:
        """Have everything published that is due, chunk by chunk.

        An item that cannot be published is marked as failed and stops none; one that cannot for a fault of the
        platform's is reported, and left for the next run.

        Raises:
            DatabaseUnavailable: chunks that were committed stay done.
            Cancelled, DeadlineExceeded: before the next item; what was decided by then is committed.
        """
        items: list[ScheduledItem] = []
        after: DueItem | None = None
        while True:
            chunk = self.transactions(partial(self._chunk, after))
            items += chunk.items
            if chunk.stopped is not None:
                raise chunk.stopped
            if len(chunk.seen) < CHUNK_ITEMS:
                break
            after = chunk.seen[-1]
            self.run.progress(50, f"{len(items)} items decided")
        report = _report(items)
        self.run.progress(100, f"{report.processed} items are being published, {report.failed} failed")
        return report

    def _chunk(self, after: DueItem | None, repository: SchedulingRepository) -> _Chunk:
        # All of it is made here, since the whole is run again after a deadlock.
        chunk = _Chunk(seen=list(repository.due(after, CHUNK_ITEMS)))
        for item in chunk.seen:
            try:
                self.run.checkpoint()
            except (Cancelled, DeadlineExceeded) as stop:
                # Raised here it would undo what was decided; it is raised after the commit.
                chunk.stopped = stop
                break
            error = self._decide(repository, item)
            chunk.items.append(ScheduledItem(org_id=item.org_id, content_id=item.content_id, error=error))
        return chunk

    def _decide(self, repository: SchedulingRepository, item: DueItem) -> str | None:
        """Why the item is not being published; None when it is."""
        try:
            problem = None if repository.schedule(item, run_id=self.run.job_id) else NO_TARGET
        except InvalidInput as error:
            problem = str(error)
        except PermanentError as error:
            return str(error)
        if problem is not None:
            try:
                repository.fail(item)
            except PermanentError as error:
                return f"{problem}; nor can it be marked as failed: {error}"
        return problem


def _report(items: Sequence[ScheduledItem]) -> SchedulerReport:
    failed = [item for item in items if item.error is not None]
    fine = [item for item in items if item.error is None]
    return SchedulerReport(
        processed=len(fine), failed=len(failed), items=tuple([*failed, *fine][:MAX_LISTED])
    )
