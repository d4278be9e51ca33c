"""An org that has spent its tokens for today asks no provider that charges for them."""

import pytest

from domain.errors import QuotaExhausted
from domain.idea_providers import IdeaRequest, gather_drafts
from domain.token_budget import WithinBudget

from .idea_fakes import FakeGenerator, FakeRun, drafting

REQUEST = IdeaRequest(
    keywords=("rye",), averages=(), content_type="article", target_audience="all", tone="casual", count=60
)


def test_the_budget_is_looked_up_before_each_call() -> None:
    """The call that passes it is the last one; what it brought is kept."""
    spent = iter([90, 110])
    paid = FakeGenerator(drafting("Paid"))
    bounded = WithinBudget(generator=paid, budget_tokens=100, spent_tokens=lambda: next(spent))
    drafts = gather_drafts([bounded], REQUEST, FakeRun(), on_usage=lambda usage: None)

    assert (len(drafts), len(paid.asked)) == (50, 1)


def test_the_next_provider_serves_when_it_is_spent() -> None:
    """One that costs nothing has no budget."""
    paid = FakeGenerator(drafting("Paid"))
    bounded = WithinBudget(generator=paid, budget_tokens=100, spent_tokens=lambda: 100)
    drafts = gather_drafts(
        [bounded, FakeGenerator(drafting("Free"))], REQUEST, FakeRun(), on_usage=lambda usage: None
    )

    assert (len(drafts), paid.asked) == (60, [])


def test_without_another_the_job_ends_and_says_when_tokens_are_back() -> None:
    """Nothing is retried: nothing would come of it today."""
    bounded = WithinBudget(generator=FakeGenerator(drafting()), budget_tokens=100, spent_tokens=lambda: 120)
    with pytest.raises(QuotaExhausted, match="00:00 UTC") as caught:
        gather_drafts([bounded], REQUEST, FakeRun(), on_usage=lambda usage: None)

    assert not caught.value.retryable
