"""The audit log: who did what to whose things, and why."""

from uuid import UUID

from sqlalchemy import Engine, insert
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
        row = {"actor": actor, "action": action, "target": target[:256], "reason": reason, "org_id": org_id}
        try:
            with SystemUnitOfWork(self._engine) as unit:
                unit.connection.execute(insert(audit_log).values(row))
        except SQLAlchemyError as error:
            known = translated(error)
            raise known from (error if isinstance(known, DatabaseUnavailable) else None)
