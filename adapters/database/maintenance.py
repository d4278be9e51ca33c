"""What daily maintenance removes, in PostgreSQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    RowMapping,
    Select,
    Table,
    delete,
    func,
    select,
    true,
    tuple_,
)

from domain.database_maintenance import Aged, ExpiredExport
from domain.domain_export import DomainExport

from .tables import audit_log, domain_exports, idempotency_keys, job_attempts, publishing_dlq
from .unit_of_work import SystemUnitOfWork


@dataclass(frozen=True, kw_only=True)
class _Kind:
    table: Table
    #: What its age is counted from.
    since: Column[object]
    #: Which of its rows; None for all.
    only: ColumnElement[bool] | None = None


_KINDS: Mapping[Aged, tuple[_Kind, ...]] = {
    "dead_letters": (_Kind(table=publishing_dlq, since=publishing_dlq.c.created_at),),
    "idempotency_keys": (_Kind(table=idempotency_keys, since=idempotency_keys.c.expires_at),),
    "attempts": (
        _Kind(table=job_attempts, since=job_attempts.c.finished_at),
        # Its worker died, and nobody was left to say so.
        _Kind(table=job_attempts, since=job_attempts.c.started_at, only=job_attempts.c.outcome == "running"),
    ),
    "audit": (_Kind(table=audit_log, since=audit_log.c.at),),
    "failed_exports": (
        _Kind(
            table=domain_exports,
            since=domain_exports.c.finished_at,
            only=domain_exports.c.status.in_(("failed", "cancelled")),
        ),
    ),
}


class SqlMaintenance:
    """`domain.database_maintenance.MaintenanceRepository` within one unit of work of the system role.

    Parameters:
        unit: the transaction.

    Example:
        >>> SqlSystemTransactions(engine, SqlMaintenance, run.remaining_s)
    """

    def __init__(self, unit: SystemUnitOfWork) -> None:
        self._connection = unit.connection

    def expired_exports(self, after: UUID | None, limit: int) -> list[ExpiredExport]:
        """Completed exports past their expiry, by id, those after `after`."""
        exports = domain_exports.c
        query = (
            select(domain_exports)
            .where(
                exports.location.is_not(None),
                exports.expires_at <= func.now(),
                exports.id > after if after is not None else true(),
            )
            .order_by(exports.id)
            .limit(limit)
        )
        return [_expired(row) for row in self._connection.execute(query).mappings()]

    def forget_exports(self, export_ids: list[UUID]) -> int:
        """Delete their rows; how many there were."""
        statement = delete(domain_exports).where(domain_exports.c.id.in_(export_ids))
        return self._connection.execute(statement).rowcount

    def delete_aged(self, what: Aged, older_than: timedelta, limit: int) -> int:
        """Delete rows of one kind that are older, at most `limit`; how many there were."""
        gone = 0
        for kind in _KINDS[what]:
            if gone < limit:
                gone += self._delete_aged(kind, older_than, limit - gone)
        return gone

    def _delete_aged(self, kind: _Kind, older_than: timedelta, limit: int) -> int:
        key = list(kind.table.primary_key)
        old = (
            select(*key)
            .where(kind.since <= func.now() - older_than, true() if kind.only is None else kind.only)
            .order_by(kind.since)
            .limit(limit)
        )
        statement = delete(kind.table).where(_in(key, old))
        return self._connection.execute(statement).rowcount


def _in(key: list[Column[object]], rows: "Select[tuple[object, ...]]") -> ColumnElement[bool]:
    return tuple_(*key).in_(rows) if len(key) > 1 else key[0].in_(rows)


def _expired(row: RowMapping) -> ExpiredExport:
    # Whoever has the domain now: its file lies where it was written.
    job = {"org_id": row["written_for"], "domain_id": row["domain_id"], "format": row["format"]}
    return ExpiredExport(
        export_id=row["id"],
        job=DomainExport.model_validate({**job, "destination": _destination(row)}),
    )


def _destination(row: RowMapping) -> dict[str, str]:
    """What the job had asked for, from where the file went."""
    if row["destination"] == "local":
        return {"type": "local", "path": row["location"].removeprefix(f"{row['written_for']}/")}
    if row["destination"] == "s3":
        bucket, _, key = row["location"].removeprefix("s3://").partition("/")
        return {"type": "s3", "bucket": bucket, "key": key}
    return {"type": "download"}
