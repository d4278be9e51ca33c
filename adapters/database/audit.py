"""The audit log: who did what to whose things, and why."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import Connection, Engine, insert
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import DatabaseUnavailable

from .errors import translated
from .tables.operations import audit_log
from .unit_of_work import SystemUnitOfWork


class SqlAuditLog:
    """Adds to `audit_log`; nobody changes what is in it.

    Parameters:
        engine: connects as the worker role, which may take the system role.

    Example:
        >>> SqlAuditLog(engine).record("ann", "dead_letters.delete", "0a4c...", reason="ticket 12")
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(
        self, actor: str, action: str, target: str, *, reason: str | None = None, org_id: UUID | None = None
    ) -> None:
        """Write down what is about to be done.

        Parameters:
            actor: who does it; at most 256 characters.
            action: what, like `dead_letters.retry`.
            target: to what; what is over 256 characters is cut off.
            reason: why. Default None.
            org_id: whose thing it is. Default None: the platform's, or several orgs'.

        Raises:
            DatabaseUnavailable: it may pass later; nothing was written.
            InvalidInput: a text is too long.
        """
        try:
            with SystemUnitOfWork(self._engine) as unit:
                add_to_audit_log(
                    unit.connection, actor=actor, action=action, target=target, reason=reason, org_id=org_id
                )
        except SQLAlchemyError as error:
            known = translated(error)
            raise known from (error if isinstance(known, DatabaseUnavailable) else None)


def add_to_audit_log(
    connection: Connection,
    *,
    actor: str,
    action: str,
    target: str,
    org_id: UUID | None,
    reason: str | None = None,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Write down what this transaction does, as part of it: both are kept, or neither is.

    Parameters:
        connection: of the transaction; in an org's own, only that org may be named.
        actor, action, target, org_id, reason: as for `SqlAuditLog.record`.
        before, after: what it changes, as plain JSON up to 64 KiB each. Default None.

    Example:
        >>> add_to_audit_log(unit.connection, actor="ann", action="a.b", target="t", org_id=unit.org_id)
    """
    connection.execute(
        insert(audit_log).values(
            actor=actor,
            action=action,
            target=target[:256],
            org_id=org_id,
            reason=reason,
            before=before,
            after=after,
        )
    )
