"""Publishing as a saga: claim in one transaction, call the remote service outside any, record in another."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from .closing import close_reliably
from .errors import InvalidInput, JobError, LeaseHeld, LeaseLost, NotFound
from .ports import NewId, Run, T, Transactions
from .publish_execution import PublishExecution, PublishOutcome, content_outcome, post_key
from .publish_journal import LeaseJournal, owned, statement_s
from .publish_ports import Execution, Intent, PublishFailure, PublishRepository, SagaState
from .publishing import (
    MAX_EXTERNAL_ID_CHARS,
    MAX_URL_CHARS,
    MAX_WARNING_CHARS,
    MAX_WARNINGS,
    Found,
    Post,
    Publishers,
    RetryOptions,
)


@dataclass(frozen=True, kw_only=True)
class ExecutePublish:
    """The handler.

    Of any number of workers with one intent, one holds its lease; the fence, raised with every lease, refuses the
    writes of one that lost it. A worker that dies leaves the lease to run out and whoever comes next asks the far
    side what there is before it calls again. A worker that fails gives the lease back. Sagas: H. Garcia-Molina,
    K. Salem, "Sagas" (1987); fencing: M. Kleppmann, "How to do distributed locking" (2016).

    A job that is cancelled before its post is public does not make it public; a draft that was made by then stays
    at the remote service, where no reader sees it, and is taken up again if the intent is published after all.

    Parameters:
        run: the surroundings of this attempt.
        transactions: units of work over the org's intents.
        closing: the same with a few seconds of their own, so that a job whose time is up can still write how
            it ended.
        publishers: ways to remote services.
        is_final: whether this attempt is the last when it ends with that exception.
        new_id: fresh identifiers.
        monotonic: seconds on a clock that never goes back.
        lease_s: seconds after which another worker may take over from one that shows no sign of life.
    """

    run: Run
    transactions: Transactions[PublishRepository]
    closing: Transactions[PublishRepository]
    publishers: Publishers
    is_final: Callable[[BaseException], bool]
    new_id: NewId
    monotonic: Callable[[], float]
    lease_s: float

    def __call__(self, job: PublishExecution) -> PublishOutcome:
        """Publish one intent.

        Raises:
            NotFound: the org has no such intent. Nothing was written.
            InvalidInput: the intent was cancelled, another one is open for its content and target, the target is
                disabled or may not be called, the content bears a date to come, or its image is too large.
            AuthFailed, InvalidReply: the remote service refuses us, or cannot be understood. The intent is `failed`.
            ProviderUnavailable, DatabaseUnavailable: worth another attempt; after the last the intent is `failed`.
            LeaseHeld: another worker does it. Nothing was written; the job is parked, without using a retry.
            LeaseLost: another worker took it over. Nothing was written; the job is parked, at no charge.
            Cancelled, DeadlineExceeded: between two steps. The post is not public; a draft of it may stay.
        """
        attempt = _Attempt(job=job, claim=str(self.new_id()), row_id=self.new_id())
        try:
            outcome = self._attempt(attempt)
        except (LeaseHeld, LeaseLost):
            raise
        except BaseException as error:  # interrupts too must not leave the lease behind
            close_reliably(lambda reason: self._close(attempt, reason), error)
            raise
        self.run.progress(100, outcome.status)
        return outcome

    def _attempt(self, attempt: "_Attempt") -> PublishOutcome:
        claimed = self._do(attempt, lambda repository: self._claim(repository, attempt))
        if isinstance(claimed, PublishOutcome):
            return claimed
        self.run.progress(10, "taken in hand")
        attempt.public = self._publish(attempt, *claimed)
        self.run.progress(90, "public")
        return self._do(attempt, lambda repository: _record(repository, attempt))

    def _claim(
        self, repository: PublishRepository, attempt: "_Attempt"
    ) -> PublishOutcome | tuple[Intent, SagaState]:
        intent_id = attempt.job.intent_id
        intent = repository.intent(intent_id)
        if intent is None:
            raise NotFound("publish intent", intent_id)
        execution = repository.execution(intent_id)
        if execution is None:
            execution = repository.add_execution(intent_id, self.run.job_id, self.new_id())
        if execution.status == "succeeded" and execution.result:
            return _already(execution.result)
        if execution.is_held_by(attempt.claim):
            # This transaction is run again, after a COMMIT nobody heard of.
            return intent, execution.state
        if execution.lease_left_s > 0:
            raise LeaseHeld(
                f"publish intent {intent_id} is in another worker's hands; it is looked at again when the lease ends",
                wait_s=execution.lease_left_s,
            )
        done = _done(repository, intent)
        if done is not None:
            repository.record_published(intent_id, execution, attempt.row_id, done)
            _settle_content(repository, intent, done.external_url)
            return done
        _refuse(repository, intent)
        state = execution.state.model_copy(
            update={
                "claim": attempt.claim,
                "key": execution.state.key or post_key(intent.title, intent_id),
                "resumed": execution.attempts > 0 or intent.status != "pending",
            }
        )
        repository.take_lease(execution, state, self.run.job_id, self.lease_s)
        repository.mark_publishing(intent_id)
        return intent, state

    def _publish(self, attempt: "_Attempt", intent: Intent, state: SagaState) -> Found:
        if not intent.is_enabled:
            raise InvalidInput(
                f"publish target {intent.target.target_id} is disabled; enable it and send the job again"
            )
        if intent.is_dated_ahead:
            raise InvalidInput(
                f"content {intent.content_id} bears a date to come; take it out and schedule the content with "
                "publish_at"
            )
        post = Post(key=state.key, title=intent.title, body=intent.body, details=intent.details)
        publisher = self.publishers(intent.target, attempt.job.retry or RetryOptions())
        journal = LeaseJournal(
            self.transactions,
            org_id=attempt.job.org_id,
            intent_id=intent.intent_id,
            claim=attempt.claim,
            draft_id=state.draft_id,
            lease_s=self.lease_s,
            remaining_s=self.run.remaining_s,
            monotonic=self.monotonic,
        )
        if state.resumed:
            found = publisher.find(post, journal)
            if found is not None and found.is_public:
                return found  # before the checkpoint: what is public is recorded, cancelled or not
            if found is not None and journal.draft_id is None:
                journal.adopt(found.external_id)
            self.run.progress(30, "asked what there is")
        self.run.checkpoint()
        return publisher.publish(post, journal)

    def _close(self, attempt: "_Attempt", error: BaseException) -> None:
        def work(repository: PublishRepository) -> None:
            intent = repository.intent(attempt.job.intent_id)
            execution = repository.execution(attempt.job.intent_id)
            if execution is None or not execution.is_held_by(attempt.claim):
                return  # never ours, no longer ours, or closed before a COMMIT nobody heard of
            if attempt.public is not None and intent is not None:
                _record(repository, attempt)
            elif is_final:
                _record_failure(repository, attempt, intent, execution, error)
            else:
                repository.release_lease(execution)

        try:
            is_final = self.is_final(error)
            self.closing(attempt.job.org_id, work)
        except Exception as second:  # noqa: BLE001  # the first error is the one that explains the job's end
            error.add_note(f"clean-up failed as well: {second}")

    def _do(self, attempt: "_Attempt", work: Callable[[PublishRepository], T]) -> T:
        return self.transactions(attempt.job.org_id, work, timeout_s=statement_s(self.lease_s))


@dataclass(kw_only=True)
class _Attempt:
    """One call of the handler, and what it knows."""

    job: PublishExecution
    #: Drawn before the first transaction, so that the attempt recognises its own lease.
    claim: str
    #: The id of the row that says how it ended.
    row_id: UUID
    #: The post, once readers see it.
    public: Found | None = None


def _record(repository: PublishRepository, attempt: _Attempt) -> PublishOutcome:
    """Write down that the post is public; again the same when it is written already."""
    intent = repository.intent(attempt.job.intent_id)
    if intent is None or attempt.public is None:
        raise NotFound("publish intent", attempt.job.intent_id)
    execution = repository.execution(intent.intent_id)
    if execution is not None and execution.status == "succeeded" and execution.result:
        is_own = execution.state.claim == attempt.claim
        return execution.result if is_own else _already(execution.result)
    execution = owned(repository, intent.intent_id, attempt.claim)
    outcome = _outcome(attempt.public)
    repository.record_published(intent.intent_id, execution, attempt.row_id, outcome)
    _settle_content(repository, intent, outcome.external_url)
    return outcome


def _record_failure(
    repository: PublishRepository,
    attempt: _Attempt,
    intent: Intent | None,
    execution: Execution,
    error: BaseException,
) -> None:
    failure = PublishFailure(
        category=str(getattr(error, "category", "unknown")),
        # Texts of foreign errors may quote what they were given; only ours are known not to.
        message=str(error) if isinstance(error, JobError) else type(error).__name__,
    )
    if intent is None or intent.status == "cancelled":
        repository.record_failed(None, execution, attempt.row_id, failure)
        return
    repository.record_failed(intent.intent_id, execution, attempt.row_id, failure)
    _settle_content(repository, intent, None)


def _settle_content(repository: PublishRepository, intent: Intent, url: str | None) -> None:
    status = content_outcome(repository.last_words(intent.content_id))
    if status is not None:
        repository.mark_content(intent.content_id, status, url)


def _done(repository: PublishRepository, intent: Intent) -> PublishOutcome | None:
    """What is known of a success that the execution does not know of, as after a domain changed hands."""
    if intent.status == "published":
        return PublishOutcome(
            status="already_published", external_id=intent.external_id, external_url=intent.external_url
        )
    success = repository.success(intent.intent_id)
    return success and _already(success)


def _refuse(repository: PublishRepository, intent: Intent) -> None:
    if intent.status == "cancelled":
        raise InvalidInput(
            f"publish intent {intent.intent_id} is cancelled; make a new one to publish after all"
        )
    sibling = repository.open_sibling(intent) if intent.status == "failed" else None
    if sibling is not None:
        raise InvalidInput(
            f"publish intent {sibling} is open for the same content and target; wait for its end, or cancel it "
            f"and send {intent.intent_id} again"
        )


def _already(outcome: PublishOutcome) -> PublishOutcome:
    return outcome.model_copy(update={"status": "already_published"})


def _outcome(public: Found) -> PublishOutcome:
    # A remote service's word is not to be refused by the database once readers see the post.
    url = public.url if public.url and len(public.url) <= MAX_URL_CHARS and "\x00" not in public.url else None
    return PublishOutcome(
        status="published",
        external_id=public.external_id.replace("\x00", "")[:MAX_EXTERNAL_ID_CHARS],
        external_url=url,
        warnings=tuple(
            each.replace("\x00", "")[:MAX_WARNING_CHARS] for each in public.warnings[:MAX_WARNINGS]
        ),
    )
