"""The cases that hold go on holding, and none is left out of the list."""

import pytest

from tests.cases.holding import HOLDING, NOT_YET, ONLY_BY_HAND, held
from tests.cases.running import chosen, programs, run


@pytest.mark.slow
@pytest.mark.parametrize("case", HOLDING)
def test_a_case_that_holds_goes_on_holding(case: str) -> None:
    """Each case that is listed as holding says so, within a minute."""
    ended = run(case, limit_s=60)

    assert ended.verdict == "HOLDS", ended.output


def test_every_program_holds_or_has_a_reason() -> None:
    """Each program on disk is listed once: as holding, or with what happens instead."""
    whole = [case for case in held() if " " not in case]

    assert sorted([*whole, *NOT_YET]) == programs()


def test_what_holds_is_of_a_program_that_is_there() -> None:
    """No case with arguments is listed whose program is gone, or holds as a whole."""
    with_arguments = [case for case in held() if " " in case]

    assert [case for case in with_arguments if case.split()[0] not in NOT_YET] == []


def test_reasons_are_given() -> None:
    """Whoever reads the list is told why."""
    assert all([*NOT_YET.values(), *ONLY_BY_HAND.values()])


def test_cases_are_chosen_by_folder_or_part_of_the_name() -> None:
    """Whoever mends one runs it, and its folder."""
    assert chosen(["hog", "r21"]) == ["hostile/hog", "reports/r21_csv_formulas"]
    assert chosen(["broker/"]) == [each for each in programs() if each.startswith("broker/")]


def test_an_unknown_case_is_a_mistake() -> None:
    """A name that no case has runs nothing."""
    with pytest.raises(ValueError, match="no case is called nothing"):
        chosen(["nothing"])
