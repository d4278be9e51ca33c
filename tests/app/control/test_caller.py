"""Who may call the control API, and what has to be said for it."""

from uuid import uuid4

import pytest

from app.control.caller import MAX_REASON_CHARS, MAX_WHO_CHARS, Operator, OrgCaller
from domain.errors import InvalidInput


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_nobody_calls_without_name_and_reason(blank: str) -> None:
    """The message says why both are asked for."""
    for who, reason, what in ((blank, "why", "who is empty"), ("ann", blank, "reason is empty")):
        with pytest.raises(InvalidInput, match=f"{what}.*audit log"):
            Operator(who=who, reason=reason)
        with pytest.raises(InvalidInput, match=f"{what}.*audit log"):
            OrgCaller(org_id=uuid4(), who=who, reason=reason)


def test_what_the_audit_log_would_refuse_is_refused_at_once() -> None:
    """With the bounds; what is as long as they allow is taken."""
    longest = Operator(who="a" * MAX_WHO_CHARS, reason="b" * MAX_REASON_CHARS)
    with pytest.raises(InvalidInput, match="256 characters and reason 2000"):
        Operator(who=longest.who + "a", reason="b")
    with pytest.raises(InvalidInput, match="256 characters and reason 2000"):
        OrgCaller(org_id=uuid4(), who="a", reason=longest.reason + "b")


def test_an_operator_acts_for_no_org() -> None:
    """Of which there is exactly one way to be."""
    assert Operator(who="olga", reason="incident 12").org_id is None
