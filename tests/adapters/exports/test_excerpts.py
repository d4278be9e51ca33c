"""How much of each body a PDF shows."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.exports.excerpts import excerpt, excerpt_length

LENGTHS = st.lists(st.integers(min_value=0, max_value=5_000), max_size=50)


@given(LENGTHS, st.integers(min_value=0, max_value=20_000))
def test_all_excerpts_fit_the_budget(lengths: list[int], budget: int) -> None:
    """Cut to the length that is found, all bodies together stay within the budget."""
    length = excerpt_length(lengths, budget=budget)
    assert sum(min(each, length) for each in lengths) <= budget


@given(LENGTHS, st.integers(min_value=0, max_value=20_000))
def test_no_character_is_given_away(lengths: list[int], budget: int) -> None:
    """One character more for each would break the budget, or is not needed."""
    length = excerpt_length(lengths, most=6_000, budget=budget)
    more = sum(min(each, length + 1) for each in lengths)
    assert more > budget or length >= max(lengths, default=0)


def test_few_bodies_get_the_most() -> None:
    """A small export shows 2,000 characters of each body."""
    assert excerpt_length([10, 100_000]) == 2_000
    assert excerpt_length([]) == 2_000


def test_what_is_left_out_is_marked() -> None:
    """An excerpt ends in an ellipsis exactly when something is missing."""
    assert excerpt("rye bread", 9) == "rye bread"
    assert excerpt("rye bread", 4) == "rye…"
