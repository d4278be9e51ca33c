"""The saga's memory: a lease that is proved before every effect, and drafts that belong to one worker at a time."""

from collections.abc import Callable
from uuid import UUID

from .errors import DatabaseUnavailable, DeadlineExceeded, InvalidInput, LeaseLost, NotFound
from .ports import T, Transactions
from .publish_ports import MAX_DISOWNED, Execution, PublishRepository

#: This part of a lease, and at most so many seconds, are kept back: a call is over before another worker may begin.
MARGIN_PART = 0.2
LONGEST_MARGIN_S = 5.0
#: Bound on a statement of the saga, and on the time for which a frozen worker can keep a row locked.
LONGEST_STATEMENT_S = 10.0


class LeaseJournal:
    """`domain.publishing.Journal` over the repository, each step in a short transaction of its own.

    Parameters:
        transactions: units of work.
        org_id, intent_id: whose execution it is.
        claim: what this attempt drew when it took the lease.
        draft_id: the draft that an earlier attempt remembered.
        lease_s: seconds for which each renewal holds.
        remaining_s: seconds until the job's deadline; None when it has none.
        monotonic: seconds on a clock that never goes back.
    """

    def __init__(
        self,
        transactions: Transactions[PublishRepository],
        *,
        org_id: UUID,
        intent_id: UUID,
        claim: str,
        draft_id: str | None,
        lease_s: float,
        remaining_s: Callable[[], float | None],
        monotonic: Callable[[], float],
    ) -> None:
        self._transactions = transactions
        self._org_id = org_id
        self._intent_id = intent_id
        self._claim = claim
        self._draft_id = draft_id
        self._lease_s = lease_s
        self._remaining_s = remaining_s
        self._monotonic = monotonic

    @property
    def draft_id(self) -> str | None:
        return self._draft_id

    def hold(self) -> float:
        """Renew the lease.

        Raises:
            LeaseLost: another worker has the job by now.
            NotFound, InvalidInput: the intent left the org, or was cancelled; nothing may be published any more.
            DeadlineExceeded: the job has no time left for a call.
            DatabaseUnavailable: also when the renewal took so long that too little of the lease is left.
        """
        # Before the transaction: the lease ends later than counted from here, whichever clock runs.
        asked_at_s = self._monotonic()
        self._do(self._renew)
        margin_s = min(LONGEST_MARGIN_S, self._lease_s * MARGIN_PART)
        lease_left_s = self._lease_s - margin_s - (self._monotonic() - asked_at_s)
        if lease_left_s <= 0:
            raise DatabaseUnavailable(
                "renewing the lease took nearly as long as the lease lasts; see why the database is slow, or set "
                "PRESSROOM_PUBLISH_LEASE_S higher"
            )
        job_left_s = self._remaining_s()
        if job_left_s is None:
            return lease_left_s
        if job_left_s <= 0:
            raise DeadlineExceeded("the job's time is used up; nothing was called")
        return min(lease_left_s, job_left_s)

    def remember(self, draft_id: str) -> None:
        if not self.adopt(draft_id):
            raise LeaseLost(f"draft {draft_id} is being removed by another worker; the job is run again")

    def adopt(self, draft_id: str) -> bool:
        """As `remember`, but False for a draft that is being removed."""

        def work(repository: PublishRepository) -> bool:
            execution = owned(repository, self._intent_id, self._claim)
            if draft_id in execution.state.disowned:
                return False
            repository.keep_state(execution, execution.state.model_copy(update={"draft_id": draft_id}))
            return True

        taken_over = self._do(work)
        if taken_over:
            self._draft_id = draft_id
        return taken_over

    def disown(self, draft_id: str) -> bool:
        def work(repository: PublishRepository) -> bool:
            # Without the lease on purpose: who asks has often lost it.
            execution = repository.execution(self._intent_id)
            if execution is None or _is_in_use(execution, draft_id):
                return False
            given_up = execution.state.disowned
            if draft_id in given_up:
                return True
            if len(given_up) >= MAX_DISOWNED:
                return False
            state = execution.state.model_copy(update={"disowned": (*given_up, draft_id)})
            repository.keep_state(execution, state)
            return True

        return self._do(work)

    def _renew(self, repository: PublishRepository) -> None:
        execution = owned(repository, self._intent_id, self._claim)
        status = repository.intent_status(self._intent_id)
        if status is None:
            raise NotFound("publish intent", self._intent_id)
        if status == "cancelled":
            raise InvalidInput(f"publish intent {self._intent_id} was cancelled while it was being published")
        repository.renew_lease(execution, self._lease_s)

    def _do(self, work: Callable[[PublishRepository], T]) -> T:
        return self._transactions(self._org_id, work, timeout_s=statement_s(self._lease_s))


def owned(repository: PublishRepository, intent_id: UUID, claim: str) -> Execution:
    """The execution, locked.

    Raises:
        LeaseLost: this claim's lease is no longer the last one.
    """
    execution = repository.execution(intent_id)
    if execution is None or not execution.is_held_by(claim):
        raise LeaseLost(
            f"publish intent {intent_id} was taken over by another worker; it will finish the job"
        )
    return execution


def statement_s(lease_s: float) -> float:
    """Bound on one statement of the saga, in seconds: what is frozen in a transaction is undone soon enough."""
    return max(1.0, min(LONGEST_STATEMENT_S, lease_s))


def _is_in_use(execution: Execution, draft_id: str) -> bool:
    published = execution.result.external_id if execution.result else None
    return draft_id in (execution.state.draft_id, published)
