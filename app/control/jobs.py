"""Jobs: send, list, show and cancel them, and say why one does not run."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from pydantic import JsonValue

from broker.inspection.views import WaitingMessage
from domain.errors import InvalidInput, NotFound
from middleware.cancellation.requests import (
    DEFAULT_KEEP_FOR_MS,
    CancellationClient,
    CancelRequest,
    request_id_of,
)

from .audit import AuditLog, Section, changes, reads
from .caller import Caller, OperatorsOnly, OrgCaller
from .errors import redis_answers
from .inspector import ENDED, MAX_PAGE, Inspector, Job, JobDetails, JobFilter, JobState, JobWhy

#: How far from 0 a priority may be. Each step counts as much as a second of waiting.
MAX_PRIORITY = 1_000


class Jobs(Section):
    """What callers may do with jobs. An org's caller sees its own org's; an operator every org's.

    Parameters:
        audit: keeps who did what.
        inspector: knows the jobs.
        cancellations: asks workers to stop some.

    Raises:
        NotFound: from every method that names a job: there is none, or it is another org's.
        JobError: from every method: something does not answer; `retryable` says so.

    Example:
        >>> control.jobs.list(caller, state="running")
    """

    def __init__(self, audit: AuditLog, inspector: Inspector, cancellations: CancellationClient) -> None:
        super().__init__(audit)
        self._inspector = inspector
        self._cancellations = cancellations

    @changes("jobs.enqueue", "actor")
    def enqueue(
        self, caller: Caller, actor: str, payload: Mapping[str, JsonValue], *, delay_ms: int = 0
    ) -> str:
        """Send a job for the caller's org, or, as an operator, for whichever org the payload names.

        Parameters:
            actor: its name.
            payload: its contract as plain JSON data. An org's caller may leave `org_id` out.
            delay_ms: start no sooner than this, in milliseconds. Default 0.

        Returns:
            The job's id.

        Raises:
            NotFound: the payload names another org than the caller's.
            OperatorsOnly: an org called, and the actor works for no org.
            InvalidInput: no such actor, or the payload does not fit its contract; nothing was sent.
        """
        if isinstance(caller, OrgCaller):
            if not self._inspector.takes_org(actor):
                raise OperatorsOnly(f"enqueueing {actor}")
            mine = str(caller.org_id)
            if str(payload.get("org_id") or mine).lower() != mine:
                raise NotFound("org", payload["org_id"])
            payload = {**payload, "org_id": mine}
        return self._inspector.enqueue(actor, payload, delay_ms=delay_ms)

    @reads("jobs.list", "org_id", "actor", "state")
    def list(
        self,
        caller: Caller,
        *,
        org_id: UUID | None = None,
        actor: str | None = None,
        state: JobState | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Sequence[Job]:
        """A page of jobs by their last attempt, the last started first. Those that wait for their first: `waiting`.

        Parameters:
            org_id: only this org's. Default: the caller's; an operator's, every one.
            actor: only those of this actor. Default any.
            state: only those in this state. Default any.
            after: the `cursor` of the last job of the page before. Default None, from the newest.
            limit: 1 to 1,000. Default 50.

        Raises:
            InvalidInput: `after` is no cursor, or `limit` is out of bounds.
        """
        check_limit(limit)
        which = JobFilter(org_id=caller.org_id or org_id, actor=actor, state=state)
        return self._inspector.list_jobs(which, after=after, limit=limit)

    @reads("jobs.show", "job_id")
    def show(self, caller: Caller, job_id: str) -> JobDetails:
        """Everything that is known of a job: attempts, result, progress, dead letter, and what it waits for."""
        return self._found(caller, job_id)

    @reads("jobs.why", "job_id")
    def why(self, caller: Caller, job_id: str) -> JobWhy:
        """Why a job does not run: the exact cause, and whatever else holds it back at the same time."""
        why = self._inspector.why(job_id, org_id=caller.org_id)
        if why is None:
            raise NotFound("job", job_id)
        return why

    @reads("jobs.waiting", "org_id", "queue", "actor")
    def waiting(
        self,
        caller: Caller,
        *,
        org_id: UUID | None = None,
        queue: str | None = None,
        actor: str | None = None,
        limit: int = 50,
    ) -> Sequence[WaitingMessage]:
        """Jobs that wait in the broker: queue by queue those that are due, then the others by when they are.

        Parameters:
            org_id: only this org's. Default: the caller's; an operator's, every one.
            queue: only those on this queue. Default all.
            actor: only those of this actor. Default any.
            limit: 1 to 1,000. Default 50.

        Raises:
            InvalidInput: `limit` is out of bounds.
        """
        check_limit(limit)
        return self._inspector.waiting(queue, org_id=caller.org_id or org_id, actor=actor, limit=limit)

    @changes("jobs.set_priority", "job_id", "priority")
    def set_priority(self, caller: Caller, job_id: str, priority: int) -> None:
        """Let a job that waits go before or after others of its org, in this and all later attempts.

        Parameters:
            job_id: the job's.
            priority: -1,000 to 1,000; 0 for most. The lower, the sooner: each step counts as a second of waiting.

        Raises:
            NotFound: it does not wait in the broker, or is another org's.
            InvalidInput: a worker has it already, or `priority` is out of bounds.
        """
        if abs(priority) > MAX_PRIORITY:
            raise InvalidInput(f"a priority is -{MAX_PRIORITY} to {MAX_PRIORITY}, not {priority}")
        match self._inspector.set_priority(job_id, priority, org_id=caller.org_id):
            case "unknown":
                raise NotFound("waiting job", job_id)
            case "in_hand":
                raise InvalidInput(f"a worker has job {job_id} already; a priority is for those that wait")
            case "undecodable":
                raise InvalidInput(
                    f"job {job_id} cannot be read; a worker will put it among the dead letters"
                )

    @changes("jobs.cancel", "job_id")
    def cancel(self, caller: Caller, job_id: str) -> str:
        """Stop a job: one that runs at its next checkpoint, one that waits when its turn comes.

        The request is in force for a day beyond the time until which the job is known to wait. One that may wait for
        longer, behind a pause without an end for example, is better dropped: `queues.clean`.

        Parameters:
            job_id: the job's.

        Returns:
            The request's id, to withdraw it by.

        Raises:
            InvalidInput: it has ended, so that there is nothing to stop.
        """
        held_back_ms = self._inspector.held_back_ms(job_id, org_id=caller.org_id)
        if held_back_ms is None:
            state = self._found(caller, job_id).state
            if state in ENDED:
                raise InvalidInput(f"job {job_id} has ended, as {state}; there is nothing to stop")
        keep_for_ms = DEFAULT_KEEP_FOR_MS + (held_back_ms or 0)
        with redis_answers():
            return self._cancellations.cancel(job_id, org=_org(caller), keep_for_ms=keep_for_ms)

    @changes("jobs.cancel_all", "org_id", "actor", "queue")
    def cancel_all(
        self,
        caller: Caller,
        *,
        org_id: UUID | None = None,
        actor: str | None = None,
        queue: str | None = None,
    ) -> str:
        """Stop every job that fits all that is given and was sent until now.

        Parameters:
            org_id: only this org's. Default: the caller's; an operator's, every one.
            actor: only those of this actor. Default any.
            queue: only those on this queue. Default any.

        Returns:
            The request's id, to withdraw it by.

        Raises:
            InvalidInput: an operator named neither org, actor nor queue.
        """
        org = _org(caller) or (None if org_id is None else str(org_id))
        if org is None and actor is None and queue is None:
            raise InvalidInput("name an org, an actor or a queue: nothing would mean every job there is")
        with redis_answers():
            return self._cancellations.cancel_all(actor=actor, org=org, queue=queue)

    @changes("jobs.withdraw", "request_id")
    def withdraw(self, caller: Caller, request_id: str) -> CancelRequest:
        """Take a request to cancel back. What was cancelled meanwhile stays so.

        Parameters:
            request_id: as it was returned; for one job, the job's id will do.

        Raises:
            NotFound: no such request is in force, or it is another org's.
        """
        ids = {request_id, request_id_of(request_id, _org(caller))}
        with redis_answers():
            for request in self._visible(caller):
                if request.request_id in ids and self._cancellations.withdraw(request.request_id):
                    return request
        raise NotFound("request", request_id)

    @reads("jobs.requests", "org_id")
    def requests(self, caller: Caller, *, org_id: UUID | None = None) -> Sequence[CancelRequest]:
        """Requests to cancel that are in force, oldest first.

        Parameters:
            org_id: only this org's. Default: the caller's; an operator's, every one.
        """
        with redis_answers():
            return [each for each in self._visible(caller) if org_id is None or each.org == str(org_id)]

    def _visible(self, caller: Caller) -> Sequence[CancelRequest]:
        org = _org(caller)
        return [each for each in self._cancellations.in_force() if org is None or each.org == org]

    def _found(self, caller: Caller, job_id: str) -> JobDetails:
        details = self._inspector.show(job_id, org_id=caller.org_id)
        if details is None:
            raise NotFound("job", job_id)
        return details


def check_limit(limit: int) -> None:
    """Refuse a page of nothing, or of everything.

    Raises:
        InvalidInput: `limit` is out of bounds.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInput(f"a page has 1 to {MAX_PAGE} entries, not {limit}")


def _org(caller: Caller) -> str | None:
    return None if caller.org_id is None else str(caller.org_id)
