"""What the job `content_idea_generation` promises, over plain stand-ins for its ports."""

from uuid import UUID, uuid4

import pytest

from domain.content_idea_generation import IDEMPOTENCY_WINDOW, ContentIdeaGeneration, GenerateIdeas, IdeaBatch
from domain.errors import (
    AuthFailed,
    Cancelled,
    DatabaseUnavailable,
    InvalidReply,
    JobError,
    NotFound,
    ProviderUnavailable,
)
from domain.idea_providers import Blemish, Drafts, KeywordAverages, Usage

from .idea_fakes import FakeGenerator, FakeRun, FakeTransactions, Rows, Turn, drafting, saying

ORG = uuid4()
DOMAIN = uuid4()
USAGE = Usage(provider="fake", model="small-1", prompt_tokens=90, completion_tokens=30)


def make_job(
    *,
    domain_id: UUID = DOMAIN,
    keywords: tuple[str, ...] = ("sourdough", "rye"),
    max_ideas: int = 3,
    idempotency_key: str | None = "monday",
) -> ContentIdeaGeneration:
    return ContentIdeaGeneration(
        org_id=ORG,
        domain_id=domain_id,
        keywords=keywords,
        content_type="article",
        max_ideas=max_ideas,
        idempotency_key=idempotency_key,
    )


def database(**how: bool) -> FakeTransactions:
    transactions = FakeTransactions(**how)
    transactions.orgs[ORG] = Rows(domains={DOMAIN})
    return transactions


def handle(
    job: ContentIdeaGeneration,
    transactions: FakeTransactions,
    *generators: FakeGenerator,
    run: FakeRun | None = None,
) -> IdeaBatch:
    handler = GenerateIdeas(
        run=run or FakeRun(),
        transactions=transactions,
        generators=generators or (FakeGenerator(drafting()),),
        new_id=uuid4,
    )
    return handler(job)


def test_a_batch_is_generated_and_stored() -> None:
    """What comes back is what was written: one batch of ideas with ids of their own, under the caller's key."""
    db = database()
    batch = handle(make_job(), db)
    assert batch.status == "completed"
    assert [idea.title for idea in batch.ideas] == ["Idea 0", "Idea 1", "Idea 2"]
    assert len({batch.batch_id, *(idea.id for idea in batch.ideas)}) == 4
    assert db.orgs[ORG].ideas == [(DOMAIN, batch.batch_id, "monday", idea) for idea in batch.ideas]
    assert db.orgs[ORG].keys == {"monday": batch.batch_id}
    assert db.orgs[ORG].windows == [IDEMPOTENCY_WINDOW]


def test_providers_get_the_keywords_averages() -> None:
    """The prompt's context is the averages of this job's keywords, as far as there are any."""
    db = database()
    measured = KeywordAverages(keyword="rye", clicks=3.0, position=14.2)
    other = KeywordAverages(keyword="cake", clicks=3.0, position=14.2)
    db.orgs[ORG].averages = [measured, other]
    provider = FakeGenerator(drafting())
    handle(make_job(), db, provider)
    [asked] = provider.asked
    assert (asked.keywords, asked.averages) == (("sourdough", "rye"), (measured,))
    assert (asked.count, asked.tone, asked.target_audience) == (3, "professional", "general")


def test_a_second_job_with_the_key_writes_nothing() -> None:
    """The first batch's id comes back, no provider is asked, and watchers see the end."""
    db = database()
    first = handle(make_job(), db)
    provider, run = FakeGenerator(drafting()), FakeRun()
    second = handle(make_job(), db, provider, run=run)
    assert second == IdeaBatch(status="already_processed", batch_id=first.batch_id)
    assert provider.asked == []
    assert len(db.orgs[ORG].ideas) == 3
    assert run.percents[-1] == 100


def test_of_two_jobs_at_once_one_writes() -> None:
    """A job that saw no key and loses the claim writes nothing and names the winner's batch."""
    db = database(hides_keys=True)
    winner = handle(make_job(), db)
    loser = handle(make_job(), db)
    assert loser == IdeaBatch(status="already_processed", batch_id=winner.batch_id)
    assert {batch_id for _, batch_id, _, _ in db.orgs[ORG].ideas} == {winner.batch_id}


def test_another_key_is_another_batch() -> None:
    """Keys keep batches apart."""
    db = database()
    first = handle(make_job(idempotency_key="monday"), db)
    second = handle(make_job(idempotency_key="tuesday"), db)
    assert second.status == "completed"
    assert first.batch_id != second.batch_id


def test_without_a_key_the_jobs_id_is_the_key() -> None:
    """A job delivered twice writes one batch even when its sender gave no key."""
    db, run = database(), FakeRun()
    first = handle(make_job(idempotency_key=None), db, run=run)
    again = handle(make_job(idempotency_key=None), db, run=run)
    assert db.orgs[ORG].keys == {str(run.job_id): first.batch_id}
    assert again.status == "already_processed"


def test_an_unknown_domain_is_not_found() -> None:
    """A domain that does not exist costs no provider call."""
    provider = FakeGenerator(drafting())
    with pytest.raises(NotFound, match="domain"):
        handle(make_job(domain_id=uuid4()), database(), provider)
    assert provider.asked == []


def test_another_orgs_domain_is_not_found() -> None:
    """A domain of another org looks exactly like one that does not exist."""
    db = database()
    theirs = uuid4()
    db.orgs[uuid4()] = Rows(domains={theirs})
    with pytest.raises(NotFound):
        handle(make_job(domain_id=theirs), db)


def test_an_unhealthy_database_costs_no_provider_call() -> None:
    """The health check comes first, and its failure can be retried."""
    provider = FakeGenerator(drafting())
    with pytest.raises(DatabaseUnavailable) as caught:
        handle(make_job(), database(healthy=False), provider)
    assert caught.value.retryable
    assert provider.asked == []


@pytest.mark.parametrize("checkpoint", [1, 2, 3])
def test_a_cancelled_job_writes_nothing(checkpoint: int) -> None:
    """Cancelled before a call, between two, or before the writing, the job leaves neither ideas nor key."""
    db = database()
    with pytest.raises(Cancelled):
        handle(make_job(max_ideas=100), db, run=FakeRun(cancelled_at=checkpoint))
    assert (db.orgs[ORG].ideas, db.orgs[ORG].keys) == ([], {})


@pytest.mark.parametrize(
    "fault",
    [
        ProviderUnavailable("connection refused"),
        ProviderUnavailable("answered 500"),
        ProviderUnavailable("did not answer in time"),
        InvalidReply("garbage"),
        AuthFailed("answered 401"),
    ],
    ids=str,
)
def test_the_next_provider_serves(fault: JobError) -> None:
    """Whatever is wrong with the first provider, the job succeeds with the second."""
    down, up = FakeGenerator(fault), FakeGenerator(drafting("Second"))
    batch = handle(make_job(), database(), down, up)
    assert [idea.title for idea in batch.ideas] == ["Second 0", "Second 1", "Second 2"]
    assert len(down.asked) == 1


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        ([ProviderUnavailable("down"), ProviderUnavailable("down")], ProviderUnavailable),
        ([ProviderUnavailable("down"), InvalidReply("garbage")], ProviderUnavailable),
        ([InvalidReply("garbage"), ProviderUnavailable("down")], ProviderUnavailable),
        ([AuthFailed("401"), InvalidReply("garbage")], InvalidReply),
        ([InvalidReply("garbage"), AuthFailed("401")], AuthFailed),
    ],
)
def test_without_a_provider_nothing_is_written(faults: list[JobError], error: type[JobError]) -> None:
    """One outage among the failures makes the job worth retrying; without any it is permanent."""
    db = database()
    with pytest.raises(error) as caught:
        handle(make_job(), db, *(FakeGenerator(fault) for fault in faults))
    assert caught.value.retryable == (error is ProviderUnavailable)
    assert (db.orgs[ORG].ideas, db.orgs[ORG].keys) == ([], {})


@pytest.mark.parametrize(
    ("turn", "writes_fail"),
    [(InvalidReply("garbage"), False), (drafting(), True)],
    ids=["provider", "database"],
)
def test_tokens_spent_are_kept_when_the_job_fails(turn: Turn, writes_fail: bool) -> None:
    """What a provider charged for is recorded under the job's id, whatever becomes of the job."""
    db, run = database(fails_at_write=writes_fail), FakeRun()
    with pytest.raises(JobError):
        handle(make_job(), db, FakeGenerator(turn, usage=USAGE), run=run)
    assert db.orgs[ORG].usages == [(run.job_id, USAGE)]
    assert (db.orgs[ORG].ideas, db.orgs[ORG].keys) == ([], {})


def test_large_batches_are_asked_for_in_calls_of_fifty() -> None:
    """Each call asks for at most fifty ideas and names all titles there are already."""
    provider = FakeGenerator(drafting())
    batch = handle(make_job(max_ideas=120), database(), provider)
    assert [request.count for request in provider.asked] == [50, 50, 20]
    assert [len(request.known_titles) for request in provider.asked] == [0, 50, 100]
    assert len({idea.title for idea in batch.ideas}) == 120


def test_fewer_ideas_are_still_a_batch() -> None:
    """A provider that runs dry ends the job with what there is."""
    batch = handle(make_job(), database(), FakeGenerator(saying("Only one")))
    assert batch.status == "completed"
    assert [idea.title for idea in batch.ideas] == ["Only one"]


def test_what_was_wrong_with_ideas_is_in_the_result() -> None:
    """Twenty remarks at most, and no second call for ideas that came and were no good."""
    blemishes = [Blemish(remark=f"idea {number}", missing=1) for number in range(30)]
    spotty = FakeGenerator(lambda asked: Drafts(drafting()(asked)[:10], blemishes))
    batch = handle(make_job(max_ideas=40), database(), spotty)

    assert (len(batch.ideas), len(spotty.asked)) == (10, 1)
    assert (len(batch.remarks), batch.remarks[0], batch.remarks[-1]) == (20, "idea 0", "and 11 more")


@pytest.mark.parametrize("max_ideas", [1, 50, 51, 500])
def test_progress_never_goes_backwards(max_ideas: int) -> None:
    """Watchers see a number that grows to 100."""
    run = FakeRun()
    handle(make_job(max_ideas=max_ideas), database(), run=run)
    assert run.percents == sorted(run.percents)
    assert (run.percents[0], run.percents[-1]) == (20, 100)


def test_progress_never_goes_backwards_through_a_failover() -> None:
    """A provider that fails half way takes nothing back."""
    run = FakeRun()
    half = FakeGenerator(drafting("First"), ProviderUnavailable("down"))
    batch = handle(make_job(max_ideas=100), database(), half, FakeGenerator(drafting("Second")), run=run)
    assert run.percents == sorted(run.percents)
    assert [batch.ideas[0].title, batch.ideas[-1].title] == ["First 0", "Second 99"]
