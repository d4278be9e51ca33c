"""Content ideas for a domain: keyword context in, a batch of ideas out, at most once for an idempotency key."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal, Protocol
from uuid import UUID

from pydantic import AfterValidator, Field

from .contract import IdempotencyKey, Label, Model, TenantJob
from .errors import NotFound
from .idea_providers import Drafts, IdeaGenerator, IdeaRequest, KeywordAverages, Usage, gather_drafts
from .ideas import ContentType, Idea, Tone, idea_from_draft
from .ports import NewId, Run, T, Transactions

#: Days of keyword metrics that go into the prompt.
KEYWORD_WINDOW_DAYS = 30
#: How long an idempotency key refuses a second batch.
IDEMPOTENCY_WINDOW = timedelta(hours=24)
#: Remarks on providers' replies that a result holds.
MAX_REMARKS = 20
#: Bound on the writing transaction.
WRITE_TIMEOUT_S = 10.0


def _without_repeats(keywords: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(keywords))


class ContentIdeaGeneration(TenantJob):
    """Ask for a batch of content ideas.

    Example:
        >>> ContentIdeaGeneration(org_id=org, domain_id=domain, keywords=("sourdough",), content_type="article")
    """

    domain_id: UUID
    """The domain the ideas are for."""
    keywords: Annotated[
        tuple[Label, ...], Field(strict=False, min_length=1, max_length=50), AfterValidator(_without_repeats)
    ]
    """1-50 keywords, the primary one first; repeats are dropped."""
    content_type: ContentType
    """What kind of content the ideas are for."""
    target_audience: Label = "general"
    """Who the content is for."""
    tone: Tone = "professional"
    """How it should sound."""
    max_ideas: int = Field(default=10, ge=1, le=500)
    """How many ideas at most."""
    idempotency_key: IdempotencyKey | None = None
    """Two jobs with one key write one batch; without it the job's own id is the key."""


class IdeaBatch(Model):
    """What came of it."""

    status: Literal["completed", "already_processed"]
    batch_id: UUID
    """This job's batch, or the first one written under the same key."""
    ideas: tuple[Idea, ...] = ()
    remarks: tuple[str, ...] = ()
    """Which of the ideas that providers gave were mended or dropped, and why; at most 20."""


class IdeaRepository(Protocol):
    """The keywords of an org, its idempotency keys and ideas, within one transaction."""

    def ping(self) -> None:
        """Prove that the database answers."""

    def domain_exists(self, domain_id: UUID) -> bool:
        """True if the org owns this domain."""

    def batch_for_key(self, key: str) -> UUID | None:
        """The batch that holds the key, as long as its window lasts."""

    def keyword_averages(
        self, domain_id: UUID, keywords: Sequence[str], days: int
    ) -> Sequence[KeywordAverages]:
        """Average clicks and position over the last `days`; keywords without metrics are left out."""

    def claim_key(self, key: str, batch_id: UUID, window: timedelta) -> UUID:
        """Take the key for `batch_id`; the batch that holds it afterwards, which may be an earlier one."""

    def insert_ideas(self, domain_id: UUID, batch_id: UUID, key: str, ideas: Sequence[Idea]) -> None:
        """Write the ideas in multi-row statements of at most `batch_insert_size` rows."""

    def tokens_spent_today(self) -> int:
        """Tokens of all kinds that the org's jobs have cost on this day, in UTC."""

    def record_usage(self, usage_id: UUID, job_id: UUID, usage: Usage) -> None:
        """Keep what a provider charged for; nothing happens when this usage is kept already."""


@dataclass(frozen=True, kw_only=True)
class GenerateIdeas:
    """The handler.

    Parameters:
        run: the surroundings of this attempt.
        transactions: units of work over the org's ideas.
        generators: providers in the order they are tried.
        new_id: identifiers for the batch and its ideas.

    Example:
        >>> GenerateIdeas(run=run, transactions=db, generators=[template], new_id=uuid7)(job).status
        'completed'
    """

    run: Run
    transactions: Transactions[IdeaRepository]
    generators: Sequence[IdeaGenerator]
    new_id: NewId

    def __call__(self, job: ContentIdeaGeneration) -> IdeaBatch:
        """Generate and store one batch.

        Parameters:
            job: what is asked for.

        Raises:
            NotFound: the org has no such domain.
            DatabaseUnavailable: the health check or a transaction failed, also when repeated.
            ProviderUnavailable: no provider serves. Nothing was written.
            InvalidReply, AuthFailed: every provider answers with something that does not parse, or refuses our
                key. Nothing was written.
            QuotaExhausted: no provider's account has quota or credit left, or the org's tokens for today are spent.
                Nothing was written.
            Cancelled, DeadlineExceeded: between two steps. Nothing was written.
        """
        key = job.idempotency_key or str(self.run.job_id)
        self._do(job, lambda repository: repository.ping())
        first_batch, averages = self._do(job, lambda repository: _context(repository, job, key))
        self.run.progress(20, "keyword context read")
        if first_batch is not None:
            # Found early, the duplicate costs no provider call; the claim below is what guarantees it.
            self.run.progress(100, "already processed")
            return IdeaBatch(status="already_processed", batch_id=first_batch)

        drafts = gather_drafts(
            self.generators,
            IdeaRequest(
                keywords=job.keywords,
                averages=tuple(averages),
                content_type=job.content_type,
                target_audience=job.target_audience,
                tone=job.tone,
                count=job.max_ideas,
            ),
            self.run,
            on_usage=self._usage_recorder(job),
        )
        ideas = tuple(
            idea_from_draft(draft, job.content_type, job.keywords, self.new_id()) for draft in drafts
        )
        self.run.checkpoint()
        self.run.progress(80, f"{len(ideas)} ideas to write")

        batch_id = self.new_id()
        holder = self._do(job, lambda repository: _write(repository, job, key, batch_id, ideas))
        self.run.progress(100, "done")
        if holder != batch_id:
            return IdeaBatch(status="already_processed", batch_id=holder)
        return IdeaBatch(status="completed", batch_id=batch_id, ideas=ideas, remarks=_remarks(drafts))

    def _do(self, job: ContentIdeaGeneration, work: Callable[[IdeaRepository], T]) -> T:
        return self.transactions(job.org_id, work, timeout_s=WRITE_TIMEOUT_S)

    def _usage_recorder(self, job: ContentIdeaGeneration) -> Callable[[Usage], None]:
        # Tokens are spent whatever becomes of the job, so they are kept in a transaction of their own.
        def record(usage: Usage) -> None:
            usage_id = self.new_id()  # made before, so that a repeated transaction counts it once
            self._do(job, lambda repository: repository.record_usage(usage_id, self.run.job_id, usage))

        return record


def _remarks(drafts: Drafts) -> tuple[str, ...]:
    remarks = [blemish.remark for blemish in drafts.blemishes]
    if len(remarks) > MAX_REMARKS:
        remarks[MAX_REMARKS - 1 :] = [f"and {len(remarks) - MAX_REMARKS + 1} more"]
    return tuple(remarks)


def _context(
    repository: IdeaRepository, job: ContentIdeaGeneration, key: str
) -> tuple[UUID | None, Sequence[KeywordAverages]]:
    if not repository.domain_exists(job.domain_id):
        raise NotFound("domain", job.domain_id)
    first_batch = repository.batch_for_key(key)
    if first_batch is not None:
        return first_batch, ()
    return None, repository.keyword_averages(job.domain_id, job.keywords, KEYWORD_WINDOW_DAYS)


def _write(
    repository: IdeaRepository,
    job: ContentIdeaGeneration,
    key: str,
    batch_id: UUID,
    ideas: Sequence[Idea],
) -> UUID:
    holder = repository.claim_key(key, batch_id, IDEMPOTENCY_WINDOW)
    if holder == batch_id:
        repository.insert_ideas(job.domain_id, batch_id, key, ideas)
    return holder
