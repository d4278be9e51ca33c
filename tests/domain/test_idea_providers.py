"""How drafts are gathered from providers that come and go."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import AuthFailed, Cancelled, DatabaseUnavailable, InvalidReply, ProviderUnavailable
from domain.idea_providers import IDEAS_PER_CALL, REPLIES_PER_CALL, IdeaRequest, Usage, gather_drafts
from domain.ideas import IdeaDraft

from .idea_fakes import FakeGenerator, FakeRun, drafting, saying, titled

USAGE = Usage(provider="fake", model="small-1", prompt_tokens=9, completion_tokens=3)


def request(count: int) -> IdeaRequest:
    return IdeaRequest(
        keywords=("rye",),
        averages=(),
        content_type="article",
        target_audience="general",
        tone="casual",
        count=count,
    )


def gather(count: int, *generators: FakeGenerator, run: FakeRun | None = None) -> list[IdeaDraft]:
    return gather_drafts(generators, request(count), run or FakeRun(), on_usage=lambda usage: None)


@given(
    count=st.integers(min_value=1, max_value=200),
    replies=st.lists(st.lists(st.integers(min_value=0, max_value=60), max_size=60), min_size=1, max_size=8),
)
def test_titles_are_distinct_and_never_too_many(count: int, replies: list[list[int]]) -> None:
    """However often a provider repeats itself, each title comes once and the count is kept."""
    turns = [saying(*(f"Idea {number}" for number in numbers)) for numbers in replies]
    drafts = gather(count, FakeGenerator(*turns), FakeGenerator(drafting("Spare")))
    assert 1 <= len(drafts) <= count
    assert len({draft.title for draft in drafts}) == len(drafts)


def test_titles_that_differ_in_case_are_one_title() -> None:
    """The first spelling stays."""
    drafts = gather(2, FakeGenerator(saying("Rye bread", "RYE BREAD")))
    assert [draft.title for draft in drafts] == ["Rye bread"]


def test_more_than_asked_for_is_cut() -> None:
    """A provider that ignores the count does not decide it."""
    assert len(gather(3, FakeGenerator(lambda asked: drafting()(request(50))))) == 3


def test_a_failed_provider_is_not_asked_again() -> None:
    """One failure ends a provider's part in this job."""
    failing = FakeGenerator(drafting("First"), ProviderUnavailable("down"), drafting("Again"))
    drafts = gather(150, failing, FakeGenerator(drafting("Second")))
    assert len(failing.asked) == 2
    assert {draft.title.split()[0] for draft in drafts} == {"First", "Second"}


def test_a_provider_without_ideas_is_a_failure() -> None:
    """An empty reply asks the next provider, and is a permanent error when there is none."""
    silent = FakeGenerator(saying())
    assert len(gather(1, silent, FakeGenerator(drafting()))) == 1
    with pytest.raises(InvalidReply, match="fake returned no ideas"):
        gather(1, silent)


def test_a_refused_key_asks_the_next_provider() -> None:
    """The operator hears of it in the log; the ideas come all the same."""
    spare = FakeGenerator(drafting("Spare"))
    assert len(gather(1, FakeGenerator(AuthFailed("the key was revoked")), spare)) == 1


def test_a_provider_that_only_repeats_itself_is_not_asked_again() -> None:
    """What it says a second time it would say a third time, and every call costs."""
    parrot = FakeGenerator(saying("Rye bread"))
    assert len(gather(200, parrot)) == 1
    assert len(parrot.asked) == 2


def test_a_cancelled_job_asks_nobody_any_more() -> None:
    """It stops between two calls."""
    provider = FakeGenerator(drafting())
    with pytest.raises(Cancelled):
        gather(IDEAS_PER_CALL + 1, provider, run=FakeRun(cancelled_at=2))
    assert len(provider.asked) == 1


def test_one_idea_at_a_time_ends_early() -> None:
    """A provider that hands over one idea a call is not paid for five hundred calls."""
    slow = FakeGenerator(lambda asked: [titled(f"Idea {len(asked.known_titles)}")])
    drafts = gather(500, slow)
    assert len(slow.asked) == len(drafts) == REPLIES_PER_CALL * 500 // IDEAS_PER_CALL


@pytest.mark.parametrize(("providers", "expected_s"), [(1, [60.0]), (3, [30.0, 40.0, 60.0])])
def test_a_hanging_provider_leaves_time_for_the_rest(providers: int, expected_s: list[float]) -> None:
    """Each provider may use its share of what is left, one share being kept for the writing."""
    generators = [FakeGenerator(ProviderUnavailable("down")) for _ in range(providers - 1)]
    generators.append(FakeGenerator(drafting()))
    gather(1, *generators, run=FakeRun(remaining_s=120.0))
    assert [generator.timeouts_s[0] for generator in generators] == expected_s


def test_without_a_deadline_there_is_no_time_limit() -> None:
    """No deadline is passed on as none."""
    provider = FakeGenerator(drafting())
    gather(1, provider)
    assert provider.timeouts_s == [None]


def test_no_providers_at_all_is_reported() -> None:
    """An empty list is an outage of the platform's own making, and says so."""
    with pytest.raises(ProviderUnavailable, match="none is configured"):
        gather(1)


def test_every_failure_is_reported_by_name() -> None:
    """The last error lists what each provider said."""
    with pytest.raises(ProviderUnavailable, match=r"first: down.*second: garbage"):
        gather(
            1,
            FakeGenerator(ProviderUnavailable("down"), name="first"),
            FakeGenerator(InvalidReply("garbage"), name="second"),
        )


def test_a_failover_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Operators see which provider failed and why."""
    caplog.set_level(logging.WARNING)
    gather(1, FakeGenerator(ProviderUnavailable("down"), name="first"), FakeGenerator(drafting()))
    assert "first failed (down)" in caplog.text


@pytest.mark.parametrize(
    ("waits_s", "expected_s"),
    [([60.0, 20.0], 20.0), ([60.0, None], None), ([None], None), ([5.0], 5.0)],
)
def test_the_job_is_put_off_until_the_first_provider_is_back(
    waits_s: list[float | None], expected_s: float | None
) -> None:
    """The shortest time counts, and none where an outage named no time."""
    generators = [FakeGenerator(ProviderUnavailable("down", retry_after_s=wait_s)) for wait_s in waits_s]
    with pytest.raises(ProviderUnavailable) as caught:
        gather(1, *generators)
    assert caught.value.retry_after_s == expected_s


def test_a_failing_database_is_not_blamed_on_the_provider() -> None:
    """Usage that cannot be recorded fails the job as what it is, without asking the next provider."""

    def fail(usage: Usage) -> None:
        raise DatabaseUnavailable("no answer")

    spare = FakeGenerator(drafting())
    with pytest.raises(DatabaseUnavailable):
        gather_drafts([FakeGenerator(drafting(), usage=USAGE), spare], request(1), FakeRun(), on_usage=fail)
    assert spare.asked == []
