"""Queues: which there are, who works on them, and how much runs."""

from collections.abc import Sequence
from uuid import UUID

from .audit import AuditLog, Section, reads
from .caller import Caller
from .inspector import Inspector, QueueInfo


class Queues(Section):
    """What callers may know of queues. How much waits on them, stock brokers do not tell.

    Parameters:
        audit: keeps who did what.
        inspector: knows the jobs.

    Example:
        >>> [queue.name for queue in control.queues.list(caller)]
        ['exports', 'ideas', 'maintenance']
    """

    def __init__(self, audit: AuditLog, inspector: Inspector) -> None:
        super().__init__(audit)
        self._inspector = inspector

    @reads("queues.list", "org_id")
    def list(self, caller: Caller, *, org_id: UUID | None = None) -> Sequence[QueueInfo]:
        """Every queue by name, with how much runs on it.

        Parameters:
            org_id: count only this org's jobs. Default: the caller's; an operator's, every one.

        Raises:
            JobError: the database does not answer.
        """
        return self._inspector.queues(org_id=caller.org_id or org_id)
