"""The order that guards stand in is each guard's own word; nobody keeps a list of them."""

from itertools import pairwise
from typing import Any

import dramatiq.middleware
import pytest
from dramatiq.middleware import Middleware

from middleware import (
    Callbacks,
    Cancellation,
    Contracts,
    Deadlines,
    Draining,
    Guard,
    Idempotency,
    LogContext,
    Metrics,
    MisplacedGuard,
    Pauses,
    Retries,
    Tracing,
)
from middleware.base.stack import Position, check_order, in_order, position_of
from middleware.cancellation.memory import MemoryCancellationStore
from middleware.idempotency.memory import MemoryIdempotencyStore
from middleware.pauses.memory import MemoryPauseStore
from tests.middleware.base.order_table import PAGE, guards_at, page


class Stranger(Middleware):
    """Says nothing about where it stands."""


class Curfew(Guard):
    """A guard of somebody else's, which stands where what it is like stands."""

    position = Position.PAUSE


def test_a_stack_is_sorted_by_where_each_stands() -> None:
    """Dramatiq's own too, which say nothing themselves."""
    right: list[Middleware] = [
        LogContext(),
        Tracing(),
        Metrics(sample_every_s=None),
        Contracts(),
        Cancellation(MemoryCancellationStore()),
        Pauses(MemoryPauseStore()),
        Idempotency(MemoryIdempotencyStore()),
        Deadlines(),
        Draining(),
        dramatiq.middleware.CurrentMessage(),
        Callbacks(),
        Retries(),
    ]

    assert in_order(reversed(right)) == right
    assert in_order(right) == right


def test_what_stands_at_one_position_keeps_its_order() -> None:
    """Whoever made the stack had a reason, or none."""
    first, second = Curfew(), Pauses(MemoryPauseStore())

    assert in_order([first, Contracts(), second])[1:] == [first, second]
    assert in_order([second, Contracts(), first])[1:] == [second, first]


def test_strangers_stay_behind_the_one_they_followed() -> None:
    """And those that came first stay first."""
    outermost, behind_retries, contracts, retries = Stranger(), Stranger(), Contracts(), Retries()

    sorted_stack = in_order([outermost, retries, behind_retries, contracts])

    assert sorted_stack == [outermost, contracts, retries, behind_retries]


def test_a_guard_of_somebody_elses_has_a_position_too() -> None:
    """One that cannot work is found at boot, as for any guard."""
    with pytest.raises(MisplacedGuard, match=r"Contracts must stand before Curfew; .*: Contracts, Curfew"):
        check_order([Curfew(), Contracts()])


def test_strangers_and_dramatiqs_own_may_stand_anywhere() -> None:
    """Their order is their owner's business."""
    check_order([dramatiq.middleware.Retries(), Stranger(), Contracts(), Stranger(), Curfew(), Guard()])


@pytest.mark.parametrize(("outer", "inner"), list(pairwise(Position)))
def test_every_neighbouring_pair_that_stands_the_wrong_way_round_is_refused(
    outer: Position, inner: Position
) -> None:
    """Whatever the two are."""
    above, below = _at(outer), _at(inner)

    check_order([above, below])
    with pytest.raises(MisplacedGuard):
        check_order([below, above])


def test_every_position_is_somebodys_and_has_a_reason() -> None:
    """One that nobody takes any more is deleted."""
    assert all(guards_at().values())
    assert all(position.reason for position in Position)


def test_dramatiqs_own_are_known_by_their_exact_class() -> None:
    """A subclass may be about something else; ours say where they stand themselves."""

    class Own(dramatiq.middleware.Retries):
        pass

    assert position_of(dramatiq.middleware.Retries()) is Position.RETRY
    assert position_of(Own()) is None


def test_the_page_has_the_order_of_today() -> None:
    """After a change, `python -m tests.middleware.base.order_table` writes docs/guards/README.md anew."""
    text = PAGE.read_text()

    assert text == page(text), "out of date; run `python -m tests.middleware.base.order_table`"


def _at(position: Position) -> Guard:
    made: Any = type(position.name.title(), (Guard,), {"position": position})
    guard: Guard = made()
    return guard
