"""The saga's memory: leases that are proved before every call, drafts that belong to one worker at a time."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from domain.errors import DatabaseUnavailable, DeadlineExceeded, InvalidInput, LeaseLost, NotFound
from domain.publish_journal import LeaseJournal, statement_s
from domain.publish_ports import MAX_DISOWNED, SagaState

from .publish_fakes import INTENT, LEASE_S, ORG, FakeTransactions, Steps, World, claimed


def journal_of(
    world: World,
    claim: str,
    *,
    draft_id: str | None = None,
    remaining_s: float | None = None,
    lease_s: float = LEASE_S,
    monotonic: Callable[[], float] | None = None,
) -> LeaseJournal:
    """The journal of whoever drew this claim."""
    return LeaseJournal(
        FakeTransactions(Steps(world)),
        org_id=ORG,
        intent_id=INTENT,
        claim=claim,
        draft_id=draft_id,
        lease_s=lease_s,
        remaining_s=lambda: remaining_s,
        monotonic=monotonic or (lambda: world.now_s),
    )


def test_holding_renews_the_lease() -> None:
    """It counts anew from now."""
    world = claimed("mine")
    world.now_s += LEASE_S - 1

    journal_of(world, "mine").hold()

    assert world.rows.lease_until_s == world.now_s + LEASE_S


@pytest.mark.parametrize(
    ("lease_s", "remaining_s", "bound_s"),
    [(60.0, None, 55.0), (2.0, None, 1.6), (60.0, 7.0, 7.0), (60.0, 0.5, 0.5), (60.0, 99.0, 55.0)],
)
def test_a_call_gets_less_than_the_lease_and_than_the_job_has_left(
    lease_s: float, remaining_s: float | None, bound_s: float
) -> None:
    """It is over before another worker may begin."""
    journal = journal_of(claimed("mine"), "mine", lease_s=lease_s, remaining_s=remaining_s)
    assert journal.hold() == pytest.approx(bound_s)


def test_what_the_renewal_took_is_taken_off() -> None:
    """Counted from before the transaction; what is left of the lease may not last for a call."""
    world = claimed("mine")
    for took_s, left_s in ((10.0, 45.0), (54.0, 1.0)):
        clock = iter([100.0, 100.0 + took_s])
        assert journal_of(world, "mine", monotonic=lambda clock=clock: next(clock)).hold() == left_s  # type: ignore[misc]

    clock = iter([100.0, 155.0])
    with pytest.raises(DatabaseUnavailable, match="PRESSROOM_PUBLISH_LEASE_S"):
        journal_of(world, "mine", monotonic=lambda: next(clock)).hold()


def test_a_lease_that_ran_out_and_nobody_took_is_renewed() -> None:
    """Slow is not dead."""
    world = claimed("mine")
    world.lease_runs_out()
    journal_of(world, "mine").hold()
    assert world.rows.lease_until_s == world.now_s + LEASE_S


def test_whoever_lost_the_lease_is_reported_before_the_next_call() -> None:
    """Neither does it renew the other one's lease, nor change what that one remembers."""
    world = claimed("theirs")
    rows = world.rows

    for use in (LeaseJournal.hold, lambda journal: journal.remember("7"), lambda journal: journal.adopt("7")):
        with pytest.raises(LeaseLost):
            use(journal_of(world, "mine"))

    assert world.rows == rows


def test_an_execution_that_ended_is_no_longer_held() -> None:
    """Also by the one that ended it."""
    world = claimed("mine")
    world.rows.execution = replace(world.execution, status="pending")
    with pytest.raises(LeaseLost):
        journal_of(world, "mine").hold()


def test_an_intent_is_asked_about_before_every_call() -> None:
    """Cancelled, or gone with its domain, nothing more is published."""
    world = claimed("mine")
    world.rows.intent = replace(world.intent, status="cancelled")
    with pytest.raises(InvalidInput, match="was cancelled"):
        journal_of(world, "mine").hold()
    world.rows.intent = None
    with pytest.raises(NotFound):
        journal_of(world, "mine").hold()


def test_a_job_without_time_calls_nobody() -> None:
    """It ends as one whose time is up."""
    with pytest.raises(DeadlineExceeded):
        journal_of(claimed("mine"), "mine", remaining_s=0.0).hold()


def test_a_draft_is_remembered() -> None:
    """By this worker and by whoever comes after it."""
    world = claimed("mine")
    journal = journal_of(world, "mine")
    journal.remember("7")
    assert journal.draft_id == world.execution.state.draft_id == "7"


def test_a_draft_of_an_earlier_attempt_is_known() -> None:
    """Before anything was asked or called."""
    assert journal_of(World(), "mine", draft_id="7").draft_id == "7"


def test_a_remembered_draft_is_not_disowned() -> None:
    """Whoever asks, with or without the lease, and also once it is published."""
    world = claimed("theirs", SagaState(claim="theirs", draft_id="7"))
    assert not journal_of(world, "mine").disown("7")
    assert not journal_of(world, "theirs").disown("7")
    assert world.execution.state.disowned == ()


def test_a_disowned_draft_is_never_remembered() -> None:
    """It may be gone already: neither adopted, nor remembered."""
    world = claimed("theirs")
    assert journal_of(world, "mine").disown("7")

    assert not journal_of(world, "theirs").adopt("7")
    with pytest.raises(LeaseLost, match="is being removed"):
        journal_of(world, "theirs").remember("7")
    assert world.execution.state.draft_id is None


def test_a_draft_is_disowned_once_however_often_it_is_asked() -> None:
    """The removal may have to be repeated."""
    world = claimed("mine")
    assert [journal_of(world, "mine").disown("7") for _ in range(3)] == [True] * 3
    assert world.execution.state.disowned == ("7",)


def test_not_more_drafts_are_disowned_than_can_be_kept() -> None:
    """A removal that would not be remembered is not made."""
    many = tuple(str(number) for number in range(MAX_DISOWNED))
    world = claimed("mine", SagaState(claim="mine", disowned=many))
    assert not journal_of(world, "mine").disown("more")
    assert journal_of(world, "mine").disown("0")


def test_nothing_is_disowned_without_an_execution() -> None:
    """Where nothing can be written down, nothing may be removed."""
    assert not journal_of(World(), "mine").disown("7")


def test_statements_are_shorter_than_leases_but_not_hopeless() -> None:
    """What is frozen in a transaction keeps its locks no longer than that."""
    assert [statement_s(lease_s) for lease_s in (0.1, 2.0, 60.0)] == [1.0, 2.0, 10.0]
