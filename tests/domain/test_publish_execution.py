"""The contract of publishing and its rules: keys of posts, and content that follows its intents."""

from uuid import UUID

import pytest
from pydantic import ValidationError

from domain.publish_execution import (
    IntentStatus,
    PublishExecution,
    PublishOutcome,
    content_outcome,
    post_key,
)
from domain.publishing import RetryOptions

from .publish_fakes import INTENT, ORG


def test_keys_are_readable_and_never_another_intents() -> None:
    """Lower-case letters, digits and hyphens; the hash alone where a title has none of them."""
    one, other = UUID(int=1), UUID(int=2)
    assert post_key("Crème brûlée, at home", one) == "creme-brulee-at-home-7ac1b8d7010b"
    assert post_key("Хлеб", one) == "post-7ac1b8d7010b"
    assert post_key("Хлеб", one) != post_key("Хлеб", other)
    assert len(post_key("word " * 100, one)) <= 60 + 1 + 12
    assert "--" not in post_key("x" * 60 + " y", one)


@pytest.mark.parametrize(
    ("intents", "status"),
    [
        (["published"], "published"),
        (["published", "cancelled"], "published"),
        (["published", "failed"], "failed"),
        (["failed", "pending"], None),
        (["published", "publishing"], None),
        (["cancelled"], None),
        ([], None),
    ],
    ids=str,
)
def test_content_follows_its_intents(intents: list[IntentStatus], status: str | None) -> None:
    """Open ones are waited for; then one failure is enough, and what is only cancelled says nothing."""
    assert content_outcome(intents) == status


def test_the_contract_bounds_retries() -> None:
    """At most five, not faster than ten a second; unknown fields are refused."""
    job = PublishExecution.model_validate_json(
        f'{{"org_id": "{ORG}", "intent_id": "{INTENT}", "retry": {{"retries": 5, "backoff_ms": 100}}}}'
    )
    assert job.retry == RetryOptions(retries=5, backoff_ms=100)
    for retry in ({"retries": 6}, {"backoff_ms": 99}, {"times": 1}):
        with pytest.raises(ValidationError):
            PublishExecution.model_validate({"org_id": ORG, "intent_id": INTENT, "retry": retry})


def test_an_outcome_without_warnings_says_nothing_of_them() -> None:
    """What is kept of it is read by builds that know none; what has some keeps them."""
    plain = PublishOutcome(status="published", external_id="7", external_url=None)
    warned = plain.model_copy(update={"warnings": ("no scripts",)})

    assert plain.model_dump(mode="json") == {"status": "published", "external_id": "7", "external_url": None}
    for outcome in (plain, warned):
        assert PublishOutcome.model_validate(outcome.model_dump(mode="json"), strict=False) == outcome
