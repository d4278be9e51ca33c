"""Formulas in CSV cells: made harmless, and given back exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.export_csv_rule import FORMULA_STARTS, neutralised, restored

#: Text that is often about the rule: apostrophes and dangerous characters in front.
CELLS = st.one_of(st.text(), st.text(alphabet=f"'{FORMULA_STARTS}ax \ufeff\u200b\u00a0\x0b", max_size=6))
#: What a program may drop as it reads.
DROPPED = "\ufeff\u200b\u2060\u00ad\u00a0\u3000\u202e\ufe0f\x00\x0b\x85\u3164\U000e0020"


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_each_dangerous_start_gets_an_apostrophe(start: str) -> None:
    """Every character that could start a formula is made text."""
    assert neutralised(f"{start}cmd") == f"'{start}cmd"


@pytest.mark.parametrize("cell", ["", "plain", "'quoted'", "a=b", " =1", "«-»", "'"])
def test_harmless_cells_stay_as_they_are(cell: str) -> None:
    """A cell that nobody runs is not touched."""
    assert neutralised(cell) == cell


@pytest.mark.parametrize("mark", DROPPED)
@pytest.mark.parametrize("sign", ["=", "\uff1d"])
def test_what_no_eye_sees_hides_no_formula(mark: str, sign: str) -> None:
    """Also several of them, with spaces between."""
    for prefix in (mark, f"{mark}{mark}", f" {mark} "):
        assert neutralised(f"{prefix}{sign}1") == f"'{prefix}{sign}1"
        assert neutralised(f"{prefix}a{sign}1") == f"{prefix}a{sign}1"


@given(CELLS)
def test_dropping_and_trimming_makes_no_formula(cell: str) -> None:
    """Whatever a program takes away in front, a cell with marks in front is text, or was harmless with them."""
    written = neutralised(cell)
    seen = written.lstrip(f"{DROPPED} ")
    has_marks = not set(DROPPED).isdisjoint(written[: len(written) - len(seen)])

    assert not has_marks or not seen.startswith(tuple(FORMULA_STARTS))


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
