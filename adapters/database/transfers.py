"""Domains that change hands, in PostgreSQL: one UPDATE moves a domain, and foreign keys everything below it."""

from datetime import datetime
from uuid import UUID

from psycopg.errors import UniqueViolation
from sqlalchemy import Connection, Table, func, select, update
from sqlalchemy.exc import IntegrityError

from domain.domain_transfer import DomainTransfer, HeldDomain, HeldToken

from .audit import add_to_audit_log
from .tables import (
    content_items,
    domain_registry,
    domain_transfer_tokens,
    orgs,
    publish_intents,
    publish_targets,
)
from .unit_of_work import SystemUnitOfWork

#: What the audit log calls it, with the giver and with the receiver.
GIVEN = "domain.given"
RECEIVED = "domain.received"

#: What a cancelled intent says.
CHANGED_HANDS = "the domain changed hands before this was published; schedule the content again"


class SqlTransfers:
    """`domain.domain_transfer.TransferRepository` within one unit of work of the system role.

    Parameters:
        unit: the transaction.

    Example:
        >>> SqlSystemTransactions(engine, SqlTransfers, run.remaining_s)
    """

    def __init__(self, unit: SystemUnitOfWork) -> None:
        self._connection = unit.connection

    def hold_token(self, hashed: bytes) -> HeldToken | None:
        """Keep everybody else away from this token, whether or not it exists, and read it."""
        # Two tokens that share a lock wait for each other needlessly, once in 2**64.
        lock = func.pg_advisory_xact_lock(int.from_bytes(hashed[:8], "big", signed=True))
        self._connection.execute(select(lock))
        tokens = domain_transfer_tokens.c
        row = self._connection.execute(
            select(
                tokens.id,
                tokens.org_id,
                tokens.domain_id,
                tokens.receiver_org_id,
                # Not the time this transaction began: a token may be revoked while it is waited for here.
                (tokens.expires_at <= func.clock_timestamp()).label("is_expired"),
                tokens.used_by,
                tokens.used_at.is_not(None).label("is_used"),
            )
            .where(tokens.token_hash == hashed)
            .with_for_update()
        ).one_or_none()
        if row is None:
            return None
        return HeldToken(
            token_id=row.id,
            org_id=row.org_id,
            domain_id=row.domain_id,
            receiver_org_id=row.receiver_org_id,
            is_expired=row.is_expired,
            used_by=row.used_by,
            is_used=row.is_used,
        )

    def hold_domain(self, org_id: UUID, domain_id: UUID) -> HeldDomain | None:
        """Keep everybody else away from the org's domain, and read it; None when the org has no such domain."""
        domains = domain_registry.c
        row = self._connection.execute(
            select(domains.host, domains.transferred_at, domains.transferred_from)
            .where(domains.org_id == org_id, domains.id == domain_id)
            .with_for_update()
        ).one_or_none()
        if row is None:
            return None
        return HeldDomain(
            host=row.host, transferred_at=row.transferred_at, transferred_from=row.transferred_from
        )

    def org_exists(self, org_id: UUID) -> bool:
        """True if there is such an org."""
        return self._connection.scalar(select(orgs.c.id).where(orgs.c.id == org_id)) is not None

    def use(self, token: HeldToken, job_id: UUID) -> bool:
        """Note the job as the token's user; False when it has one."""
        tokens = domain_transfer_tokens.c
        used = self._connection.execute(
            update(domain_transfer_tokens)
            .where(tokens.org_id == token.org_id, tokens.id == token.token_id, tokens.used_at.is_(None))
            .values(used_at=func.now(), used_by=str(job_id))
        )
        return used.rowcount == 1

    def move(self, token: HeldToken, domain_id: UUID, job: DomainTransfer) -> datetime | None:
        """Make the domain the receiver's, with everything below it, and write that into both orgs' audit logs; when.

        None when the receiver has a domain of that host; nothing of the transaction may be kept then.
        """
        giver, receiver = token.org_id, job.org_id
        domains = domain_registry.c
        try:
            moved_at: datetime | None = self._connection.scalar(
                update(domain_registry)
                .where(domains.org_id == giver, domains.id == domain_id)
                .values(org_id=receiver, transferred_at=func.now(), transferred_from=giver)
                .returning(domains.transferred_at)
            )
        except IntegrityError as error:
            if _violates(error, "uq_domain_registry_org_id_host"):
                return None
            raise
        stopped = _stop(self._connection, receiver, domain_id)
        self._audit(token, domain_id, job, stopped)
        return moved_at

    def _audit(self, token: HeldToken, domain_id: UUID, job: DomainTransfer, stopped: dict[str, int]) -> None:
        before = {"org_id": str(token.org_id)}
        after: dict[str, object] = {"org_id": str(job.org_id), "token_id": str(token.token_id), **stopped}
        for action, org_id, more in (
            (GIVEN, token.org_id, {}),
            (RECEIVED, job.org_id, {} if job.metadata is None else {"metadata": job.metadata}),
        ):
            add_to_audit_log(
                self._connection,
                actor=job.requested_by,
                action=action,
                target=f"domain {domain_id}",
                org_id=org_id,
                reason=f"transfer token {token.token_id}",
                before=before,
                after={**after, **more},
            )


def _stop(connection: Connection, org_id: UUID, domain_id: UUID) -> dict[str, int]:
    """What would go on as if the domain were the giver's still."""

    def end(table: Table, open_: tuple[str, ...], **values: object) -> int:
        statement = update(table).where(
            table.c.org_id == org_id, table.c.domain_id == domain_id, table.c.status.in_(open_)
        )
        return connection.execute(statement.values(updated_at=func.now(), **values)).rowcount

    targets = publish_targets.c
    disabled = connection.execute(
        update(publish_targets)
        .where(targets.org_id == org_id, targets.domain_id == domain_id, targets.enabled)
        .values(enabled=False, updated_at=func.now())
    )
    return {
        "targets_disabled": disabled.rowcount,
        "intents_cancelled": end(
            publish_intents, ("pending", "publishing"), status="cancelled", error=CHANGED_HANDS
        ),
        "content_failed": end(content_items, ("publishing",), status="failed"),
    }


def _violates(error: IntegrityError, constraint: str) -> bool:
    return isinstance(error.orig, UniqueViolation) and error.orig.diag.constraint_name == constraint
