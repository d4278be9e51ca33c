"""Formulas in CSV cells: made harmless, and given back exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.export_csv_rule import FORMULA_STARTS, neutralised, restored

#: Text that is often about the rule: apostrophes and dangerous characters in front.
CELLS = st.one_of(st.text(), st.text(alphabet=f"'{FORMULA_STARTS}ax", max_size=6))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "|"])
def test_each_dangerous_start_gets_an_apostrophe(start: str) -> None:
    """Every character that could start a formula is made text."""
    assert neutralised(f"{start}cmd") == f"'{start}cmd"


@pytest.mark.parametrize("cell", ["", "plain", "'quoted'", "a=b", " =1", "«-»", "'"])
def test_harmless_cells_stay_as_they_are(cell: str) -> None:
    """A cell that nobody runs is not touched."""
    assert neutralised(cell) == cell


@given(CELLS)
def test_reading_restores_what_was_written(cell: str) -> None:
    """`restored` undoes `neutralised` for every text."""
    assert restored(neutralised(cell)) == cell


@given(CELLS)
def test_no_cell_starts_dangerously(cell: str) -> None:
    """Whatever went in, what comes out starts no formula."""
    assert not neutralised(cell).startswith(tuple(FORMULA_STARTS))


@given(CELLS, CELLS)
def test_different_cells_stay_different(one: str, other: str) -> None:
    """No two cells are written alike."""
    assert (neutralised(one) == neutralised(other)) == (one == other)
