"""Pauses: what is held back, by whom and until when. An org may hold back its own; operators anything."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from dramatiq import Broker

from domain.errors import InvalidInput, NotFound
from middleware import Pause, PauseControl
from middleware.pauses.pauses import PauseStore, PauseTarget

from .audit import AuditLog, Section, changes, reads
from .caller import Caller, Operator, OperatorsOnly
from .errors import redis_answers
from .orgs import OrgRepository

#: The level of what orgs have paused themselves: they resume that, and nothing that an operator has paused.
ORG_LEVEL = "org"


class Pauses(Section):
    """What callers may hold back: an org its own jobs, all or one actor's; operators also a queue or an actor.

    Jobs that wait are held within a second or so; what runs goes on. See the guard `Pauses`.

    Parameters:
        audit: keeps who did what.
        store: where the workers' guard looks.
        broker: gives the broker with its actors.
        orgs: finds them.

    Raises:
        JobError: from every method: Redis does not answer; doing it again is harmless.

    Example:
        >>> control.pauses.pause(operator, queue="publishing", for_ms=600_000)
        >>> control.pauses.resume(operator, queue="publishing")
    """

    def __init__(
        self, audit: AuditLog, store: PauseStore, broker: Callable[[], Broker], orgs: OrgRepository
    ) -> None:
        super().__init__(audit)
        self._operators = PauseControl(store)
        self._orgs_own = PauseControl(store, level=ORG_LEVEL)
        self._broker = broker
        self._orgs = orgs

    @reads("pauses.list", "org_id")
    def list(self, caller: Caller, *, org_id: UUID | None = None) -> Sequence[Pause]:
        """What is paused, the oldest first: an org's own jobs, by itself or by an operator.

        Parameters:
            org_id: only this org's. Default: the caller's; an operator's, everything.
        """
        wanted = caller.org_id or org_id
        with redis_answers():
            found = self._operators.in_force()
        return [each for each in found if wanted is None or each.what.org == str(wanted)]

    @changes("pauses.pause", "queue", "actor", "org_id")
    def pause(
        self,
        caller: Caller,
        *,
        queue: str | None = None,
        actor: str | None = None,
        org_id: UUID | None = None,
        for_ms: int | None = None,
    ) -> Pause:
        """Hold back a queue, an actor, an org, or an org's actor; the caller's reason is shown to whoever waits.

        Parameters:
            queue: its name; for operators.
            actor: its name. An org's caller means its own org's jobs of this actor.
            org_id: whose. Default: an org's caller's own.
            for_ms: when it ends by itself, in milliseconds from now. Default: never.

        Returns:
            The pause. The caller's earlier one of the same is replaced.

        Raises:
            OperatorsOnly: an org named a queue.
            NotFound: there is no such org.
            InvalidInput: no such queue or actor, none of the four kinds, or `for_ms` is out of bounds.
        """
        what = self._what("pausing", caller, queue, actor, org_id)
        self._check_names(what)
        if isinstance(caller, Operator) and org_id is not None and self._orgs.get(org_id) is None:
            raise NotFound("org", org_id)
        switch = self._operators if isinstance(caller, Operator) else self._orgs_own
        with _asking():
            return switch.pause(
                queue=what.queue,
                actor=what.actor,
                org=what.org,
                who=caller.who,
                reason=caller.reason,
                for_ms=for_ms,
            )

    @changes("pauses.resume", "queue", "actor", "org_id")
    def resume(
        self,
        caller: Caller,
        *,
        queue: str | None = None,
        actor: str | None = None,
        org_id: UUID | None = None,
    ) -> None:
        """Let jobs run again; an operator also ends what an org has paused. Parameters as for `pause`.

        Raises:
            OperatorsOnly: an org named a queue.
            NotFound: it is not paused.
            InvalidInput: an operator paused it, whom an org has to ask; or it is none of the four kinds.
        """
        what = self._what("resuming", caller, queue, actor, org_id)
        switches = [self._orgs_own]
        if isinstance(caller, Operator):
            switches.append(self._operators)
        with _asking():
            ended = [each.resume(queue=what.queue, actor=what.actor, org=what.org) for each in switches]
            if any(ended):
                return
            if any(each.what == what for each in self._operators.in_force()):
                raise InvalidInput(f"{what} was paused by an operator; ask them to resume it")
        raise NotFound("pause of", what)

    def _what(
        self, doing: str, caller: Caller, queue: str | None, actor: str | None, org_id: UUID | None
    ) -> PauseTarget:
        if queue is not None and not isinstance(caller, Operator):
            raise OperatorsOnly(f"{doing} a queue")
        org = caller.org_id or org_id
        return PauseTarget(queue=queue, actor=actor, org=None if org is None else str(org))

    def _check_names(self, what: PauseTarget) -> None:
        # Only when pausing: what was paused under a name that is gone can still be resumed.
        actors = self._broker().actors
        queues = {each.queue_name for each in actors.values()}
        if what.actor is not None and what.actor not in actors:
            raise InvalidInput(f"no actor {what.actor}; there are: {', '.join(sorted(actors))}")
        if what.queue is not None and not {what.queue, what.queue.rpartition(".")[0]} & queues:
            raise InvalidInput(
                f"no queue {what.queue}; there are: {', '.join(sorted(queues))}, each also with .<region>"
            )


@contextmanager
def _asking() -> Iterator[None]:
    with redis_answers():
        try:
            yield
        except ValueError as error:
            raise InvalidInput(str(error)) from None
