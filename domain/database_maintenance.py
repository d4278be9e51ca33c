"""Daily maintenance: removes what is past its retention, in small batches, and reports how much."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol
from uuid import UUID

from .contract import Model
from .domain_export import DomainExport
from .errors import JobError
from .limits import Limits
from .ports import Run, SystemTransactions

#: Rows removed in one transaction: short locks, and a place to stop in between.
BATCH_ROWS = 500

#: What goes by age alone.
Aged = Literal["dead_letters", "idempotency_keys", "attempts", "audit", "failed_exports"]


@dataclass(frozen=True, kw_only=True)
class ExpiredExport:
    """An export whose file is no longer kept."""

    export_id: UUID
    job: DomainExport


class MaintenanceReport(Model):
    """How many of each were removed."""

    exports: int
    failed_exports: int
    dead_letters: int
    idempotency_keys: int
    attempts: int
    audit: int
    errors: tuple[str, ...]
    """Exports whose files could not be removed; the next run tries them again."""


class MaintenanceRepository(Protocol):
    """Every org's old rows, within one transaction of the system role."""

    def expired_exports(self, after: UUID | None, limit: int) -> list[ExpiredExport]:
        """Completed exports past their expiry, by id, those after `after`."""

    def forget_exports(self, export_ids: list[UUID]) -> int:
        """Delete their rows; how many there were."""

    def delete_aged(self, what: Aged, older_than: timedelta, limit: int) -> int:
        """Delete rows of one kind that are older, at most `limit`; how many there were."""


class ExportFiles(Protocol):
    """The files that exports left."""

    def discard(self, export_id: UUID, job: DomainExport) -> None:
        """Remove an export's file, unless somebody else's lies there by now; fine when there is none.

        Raises:
            StorageUnavailable: it may be there still.
        """


@dataclass(frozen=True, kw_only=True)
class MaintainDatabase:
    """The handler. Every step may be repeated: what is gone already is fine.

    Parameters:
        run: the surroundings of this attempt.
        transactions: units of work of the system role.
        files: where exports went.
        limits: how long each kind is kept.
    """

    run: Run
    transactions: SystemTransactions[MaintenanceRepository]
    files: ExportFiles
    limits: Limits

    def __call__(self) -> MaintenanceReport:
        """Remove what is past its retention.

        Raises:
            DatabaseUnavailable: what was removed by then stays removed.
            Cancelled, DeadlineExceeded: between two batches.
        """
        exports, errors = self._exports()
        self.run.progress(40, f"{exports} expired exports removed")
        kept: dict[Aged, int] = {
            "failed_exports": self.limits.attempt_retention_days,
            "dead_letters": self.limits.dead_letter_retention_days,
            "idempotency_keys": 0,  # their age counts from their expiry
            "attempts": self.limits.attempt_retention_days,
            "audit": self.limits.audit_retention_days,
        }
        counts: dict[Aged, int] = {}
        for what, kept_days in kept.items():
            counts[what] = self._aged(what, timedelta(days=kept_days))
            self.run.progress(50 + 10 * len(counts), f"{counts[what]} {what} removed")
        return MaintenanceReport(exports=exports, errors=tuple(errors), **counts)

    def _exports(self) -> tuple[int, list[str]]:
        removed, errors = 0, list[str]()
        after: UUID | None = None
        while True:
            self.run.checkpoint()
            batch = self._expired(after)
            if not batch:
                return removed, errors
            after = batch[-1].export_id
            gone = [each.export_id for each in batch if self._discard(each, errors)]
            # Rows after files: a crash in between leaves a row that leads to nothing, never a file nobody knows.
            removed += self._forget(gone)

    def _expired(self, after: UUID | None) -> list[ExpiredExport]:
        return self.transactions(lambda repository: repository.expired_exports(after, BATCH_ROWS))

    def _forget(self, export_ids: list[UUID]) -> int:
        return self.transactions(lambda repository: repository.forget_exports(export_ids))

    def _discard(self, export: ExpiredExport, errors: list[str]) -> bool:
        try:
            self.files.discard(export.export_id, export.job)
        except JobError as error:
            errors.append(f"{export.export_id}: {error}")
            return False
        return True

    def _aged(self, what: Aged, older_than: timedelta) -> int:
        removed = 0
        while True:
            self.run.checkpoint()
            count = self.transactions(lambda repository: repository.delete_aged(what, older_than, BATCH_ROWS))
            removed += count
            if count < BATCH_ROWS:
                return removed
