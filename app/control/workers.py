"""Worker processes: which there are, what each has in flight, and having one take nothing more. For operators."""

from collections.abc import Sequence

from broker.inspection.views import WorkerView
from domain.errors import NotFound

from .audit import AuditLog, Section, changes, reads
from .caller import Caller
from .inspector import Fleet


class Workers(Section):
    """What operators may do with worker processes.

    Parameters:
        audit: keeps who did what.
        fleet: knows them.

    Raises:
        OperatorsOnly: from every method: an org called.
        NotFound: from every method that names a worker: there is none of that name.
        JobError: from every method: Redis does not answer; nothing was done.

    Example:
        >>> control.workers.quiet(operator, "web-7:4711")
    """

    def __init__(self, audit: AuditLog, fleet: Fleet) -> None:
        super().__init__(audit)
        self._fleet = fleet

    @reads("workers.list", operators_only=True)
    def list(self, caller: Caller) -> Sequence[WorkerView]:
        """All worker processes, by host and process; of each what it has in flight, the longest first."""
        return sorted(self._fleet.workers(), key=lambda each: (each.host or "", each.pid or 0, each.id))

    @changes("workers.quiet", "worker", operators_only=True)
    def quiet(self, caller: Caller, worker: str) -> WorkerView:
        """Have a worker process fetch nothing more, until it is resumed or ends. What it has in flight it runs.

        Parameters:
            worker: its id, or `<host>:<process>`, as `list` has them.
        """
        found = self._found(worker)
        if not self._fleet.quiet(found.id):
            raise NotFound("worker", worker)
        return found

    @changes("workers.resume", "worker", operators_only=True)
    def resume(self, caller: Caller, worker: str) -> WorkerView:
        """Let it fetch again, within some seconds; no effect when it does. Parameters as for `quiet`."""
        found = self._found(worker)
        self._fleet.unquiet(found.id)
        return found

    def _found(self, worker: str) -> WorkerView:
        for each in self._fleet.workers():
            if worker in (each.id, each.place):
                return each
        raise NotFound("worker", worker)
