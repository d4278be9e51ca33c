"""A bound on what an org's jobs may cost with providers that charge for tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .errors import QuotaExhausted
from .idea_providers import IdeaGenerator, IdeaRequest, Usage
from .ideas import IdeaDraft


@dataclass(frozen=True, kw_only=True)
class WithinBudget:
    """An idea provider that is passed over when the org has spent its tokens for today.

    What is spent is looked up before each call, so calls that run at once may together pass the budget by what each
    of them costs.

    Parameters:
        generator: the provider.
        budget_tokens: how many tokens of all kinds a day may cost.
        spent_tokens: looks up what today has cost so far.

    Example:
        >>> WithinBudget(generator=first, budget_tokens=100_000, spent_tokens=look_up)
    """

    generator: IdeaGenerator
    budget_tokens: int
    spent_tokens: Callable[[], int]

    @property
    def name(self) -> str:
        return self.generator.name

    def generate(
        self, request: IdeaRequest, *, timeout_s: float | None, on_usage: Callable[[Usage], None]
    ) -> Sequence[IdeaDraft]:
        """See `IdeaGenerator.generate`.

        Raises:
            QuotaExhausted: today's tokens are spent; nobody was asked.
        """
        spent = self.spent_tokens()
        if spent >= self.budget_tokens:
            raise QuotaExhausted(
                f"the org has spent {spent} of its {self.budget_tokens} tokens of today; "
                "they begin anew at 00:00 UTC, or raise PRESSROOM_AI_TOKENS_PER_ORG_AND_DAY"
            )
        return self.generator.generate(request, timeout_s=timeout_s, on_usage=on_usage)
