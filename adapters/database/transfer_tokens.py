"""One org's transfer tokens in PostgreSQL. They are kept hashed, and each change of them is in the audit log."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.errors import ForeignKeyViolation
from sqlalchemy import Interval, Row, Select, cast, func, literal, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError

from domain.transfer_tokens import TokenOrder, TokenRecord

from .audit import add_to_audit_log
from .tables import domain_registry, domain_transfer_tokens
from .unit_of_work import UnitOfWork

#: What the audit log calls it.
ISSUED = "domain_transfer.issue"
REVOKED = "domain_transfer.revoke"
#: Where a token that was revoked says so.
REVOKED_BY = "revoked_by"


class SqlTransferTokens:
    """`domain.transfer_tokens.TokenRepository` within one unit of work.

    Parameters:
        unit: the transaction, and the org.

    Example:
        >>> SqlTransactions(engine, SqlTransferTokens, run.remaining_s)
    """

    def __init__(self, unit: UnitOfWork) -> None:
        self._connection = unit.connection
        self._org_id = unit.org_id

    def has_domain(self, domain_id: UUID) -> bool:
        """True if the org owns this domain."""
        domains = domain_registry.c
        owned = select(domains.id).where(domains.org_id == self._org_id, domains.id == domain_id)
        return self._connection.scalar(owned) is not None

    def add(self, token_id: UUID, hashed: bytes, order: TokenOrder) -> datetime | None:
        """Keep a token; when it expires. None when there is no such receiver. Nothing new when it is there already."""
        tokens = domain_transfer_tokens.c
        try:
            expires_at: datetime | None = self._connection.scalar(
                postgresql.insert(domain_transfer_tokens)
                .values(
                    org_id=self._org_id,
                    id=token_id,
                    token_hash=hashed,
                    domain_id=order.domain_id,
                    receiver_org_id=order.receiver_org_id,
                    issued_by=order.issued_by,
                    expires_at=func.now() + literal(order.valid_for, Interval),
                )
                .on_conflict_do_nothing(index_elements=["org_id", "id"])
                .returning(tokens.expires_at)
            )
        except IntegrityError as error:
            # No org sees the others, but a reference to one that does not exist is refused.
            if isinstance(error.orig, ForeignKeyViolation) and "receiver" in (
                error.orig.diag.constraint_name or ""
            ):
                return None
            raise
        if expires_at is None:  # an earlier run of this unit of work was committed
            return self._connection.scalar(
                select(tokens.expires_at).where(tokens.org_id == self._org_id, tokens.id == token_id)
            )
        add_to_audit_log(
            self._connection,
            actor=order.issued_by,
            action=ISSUED,
            target=f"domain {order.domain_id}",
            org_id=self._org_id,
            reason=order.reason,
            after={
                "token_id": str(token_id),
                "receiver_org_id": order.receiver_org_id and str(order.receiver_org_id),
                "expires_at": expires_at.isoformat(),
            },
        )
        return expires_at

    def page(self, after: UUID | None, limit: int) -> list[TokenRecord]:
        """Tokens by id, which is by age, those after `after`."""
        query = self._records().order_by(domain_transfer_tokens.c.id).limit(limit)
        if after is not None:
            query = query.where(domain_transfer_tokens.c.id > after)
        return [_record(row) for row in self._connection.execute(query)]

    def revoke(self, token_id: UUID, who: str, reason: str) -> TokenRecord | None:
        """Make an open token unusable; how it is afterwards. None when there is none."""
        tokens = domain_transfer_tokens.c
        # A transfer holds the row: it comes first, and then this changes nothing, or second, and is refused.
        revoked = self._connection.execute(
            update(domain_transfer_tokens)
            .where(
                tokens.org_id == self._org_id,
                tokens.id == token_id,
                tokens.used_at.is_(None),
                tokens.expires_at > func.now(),
            )
            .values(
                expires_at=func.now(),
                metadata=tokens.metadata.concat(cast({REVOKED_BY: who}, postgresql.JSONB)),
            )
        )
        if revoked.rowcount:
            add_to_audit_log(
                self._connection,
                actor=who,
                action=REVOKED,
                target=f"transfer token {token_id}",
                org_id=self._org_id,
                reason=reason,
            )
        row = self._connection.execute(self._records().where(tokens.id == token_id)).one_or_none()
        return None if row is None else _record(row)

    def _records(self) -> "Select[tuple[object, ...]]":
        tokens = domain_transfer_tokens.c
        return select(
            domain_transfer_tokens,
            (tokens.expires_at <= func.now()).label("is_expired"),
            tokens.metadata.has_key(REVOKED_BY).label("is_revoked"),
        ).where(tokens.org_id == self._org_id)


def _record(row: "Row[tuple[object, ...]]") -> TokenRecord:
    fields = row._mapping
    status: Literal["open", "used", "expired", "revoked"] = "open"
    if fields["used_at"] is not None:
        status = "used"
    elif fields["is_revoked"]:
        status = "revoked"
    elif fields["is_expired"]:
        status = "expired"
    return TokenRecord(
        token_id=fields["id"],
        domain_id=fields["domain_id"],
        receiver_org_id=fields["receiver_org_id"],
        issued_by=fields["issued_by"],
        created_at=fields["created_at"],
        expires_at=fields["expires_at"],
        used_at=fields["used_at"],
        status=status,
    )
