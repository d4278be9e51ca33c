"""Queues: which there are, what waits on them and for what, and how it is dropped."""

from collections.abc import Callable, Collection, Iterator, Sequence
from uuid import UUID

from dramatiq import Broker
from dramatiq.errors import BrokerError

from app.bootstrap.redis import NAMESPACE
from broker import FairRedisBroker
from broker.drain.drain import Drained, drain_all, inspect_all
from broker.drain.dramatiq_queues import DramatiqDrain
from broker.inspection.admin import WAITING
from broker.inspection.views import Lane, WaitingState
from domain.errors import InvalidInput, NotFound, ProviderUnavailable

from .audit import AuditLog, Section, changes, reads
from .caller import Caller
from .inspector import QueueInfo, QueueInspector
from .jobs import check_limit


class Queues(Section):
    """What callers may know of queues, and drop. An org's caller sees and drops its own org's jobs.

    Parameters:
        audit: keeps who did what.
        inspector: knows the queues.
        broker: gives the broker with its actors.

    Raises:
        NotFound: from every method that names a queue: nobody works on it, and nothing is in it.
        JobError: from every method: something does not answer; `retryable` says so.

    Example:
        >>> [queue.name for queue in control.queues.list(caller)]
        ['exports', 'ideas', 'maintenance']
    """

    def __init__(self, audit: AuditLog, inspector: QueueInspector, broker: Callable[[], Broker]) -> None:
        super().__init__(audit)
        self._inspector = inspector
        self._broker = broker

    @reads("queues.list", "org_id")
    def list(self, caller: Caller, *, org_id: UUID | None = None) -> Sequence[QueueInfo]:
        """Every queue by name, with what runs and waits on it.

        Parameters:
            org_id: count only this org's jobs; of what is not due, nothing is known then. Default: the
                caller's; an operator's, every one.
        """
        return self._inspector.queues(org_id=caller.org_id or org_id)

    @reads("queues.show", "queue", "org_id")
    def show(self, caller: Caller, queue: str, *, org_id: UUID | None = None) -> QueueInfo:
        """Show a queue. Parameters as for `list`."""
        return self._found(queue, caller.org_id or org_id)

    @reads("queues.lanes", "queue", "org_id")
    def lanes(
        self, caller: Caller, queue: str, *, org_id: UUID | None = None, limit: int = 50
    ) -> Sequence[Lane]:
        """A queue's lanes that are not empty: whose turn is when, how many wait for how long, and what shuts them.

        Parameters:
            queue: its name; with `.<region>`, in that region.
            org_id: only this org's. Default: the caller's; an operator's, every one.
            limit: 1 to 1,000. Default 50.

        Raises:
            InvalidInput: `limit` is out of bounds.
        """
        check_limit(limit)
        wanted = caller.org_id or org_id
        self._found(queue, wanted)
        return self._inspector.lanes(queue, org_id=wanted, limit=limit)

    @changes("queues.clean", "queue", "org_id", "actor", "older_than_ms", "states", "dry_run")
    def clean(
        self,
        caller: Caller,
        queue: str,
        *,
        org_id: UUID | None = None,
        actor: str | None = None,
        older_than_ms: int | None = None,
        states: Collection[WaitingState] = WAITING,
        dry_run: bool = True,
    ) -> int:
        """Drop jobs that wait on a queue, for good: they run no more and are no dead letters. Those in flight stay.

        Parameters:
            queue: its name; with `.<region>`, in that region.
            org_id: only this org's. Default: the caller's; an operator's, every one.
            actor: only those of this actor. Default any.
            older_than_ms: only those that are due for longer than this, or, not being due, were sent before.
                Default any.
            states: only those that are `ready`, `delayed`, `parked` or `held`. Default all.
            dry_run: only count them. Default True.

        Returns:
            How many were dropped, or would be.

        Raises:
            InvalidInput: `older_than_ms` is negative, or there is no such state.
        """
        if older_than_ms is not None and older_than_ms < 0:
            raise InvalidInput(f"older_than_ms must be at least 0, not {older_than_ms}")
        if odd := set(states) - WAITING:
            raise InvalidInput(f"no state {', '.join(sorted(odd))}; there are: {', '.join(sorted(WAITING))}")
        wanted = caller.org_id or org_id
        self._found(queue, wanted)
        return self._inspector.clean(
            queue,
            org_id=wanted,
            actor=actor,
            older_than_ms=older_than_ms,
            states=frozenset(states),
            dry_run=dry_run,
        )

    # What the audit log has called it since 0.1.0.
    @changes("queues.drain_stock", "queues", operators_only=True)
    def drain_dramatiq(
        self,
        caller: Caller,
        *,
        queues: Sequence[str] = (),
        from_namespace: str = NAMESPACE,
        dead: bool = False,
        follow: bool = False,
        silent_s: float | None = None,
        dry_run: bool = False,
    ) -> Iterator[Drained]:
        """Move jobs from Dramatiq's own Redis broker here, while its workers run; after each step how far it is.

        Parameters:
            queues: only these. Default all.
            from_namespace: what the other broker's keys begin with. Default: what ours begin with.
            dead: dead letters, too. Default False.
            follow: go on until workers there hold nothing more. Default False.
            silent_s: also take what workers hold that have been silent for so many seconds. Default: none of it.
            dry_run: only say what is there. Default False.

        Raises:
            ProviderUnavailable: from the iterator: Redis does not answer, or refuses; what was not moved is where it
                was.
        """
        return self._drained(
            from_namespace, queues, dead=dead, follow=follow, silent_s=silent_s, dry_run=dry_run
        )

    def _drained(
        self,
        namespace: str,
        queues: Sequence[str],
        *,
        dead: bool,
        follow: bool,
        silent_s: float | None,
        dry_run: bool,
    ) -> Iterator[Drained]:
        broker = self._broker()
        if not isinstance(broker, FairRedisBroker):
            raise InvalidInput(f"jobs move to a FairRedisBroker, and this one is a {type(broker).__name__}")
        drain = DramatiqDrain(broker, namespace=namespace)
        try:
            if dry_run:
                yield inspect_all(drain, queues)
            else:
                yield from drain_all(drain, queues=queues, dead=dead, follow=follow, silent_s=silent_s)
        except BrokerError as error:
            raise ProviderUnavailable(
                f"{error}; what was not moved is where it was, so run it again"
            ) from None

    def _found(self, queue: str, org_id: UUID | None) -> QueueInfo:
        for each in self._inspector.queues(org_id=org_id):
            if each.name == queue:
                return each
        raise NotFound("queue", queue)
