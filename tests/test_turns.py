"""Several processes work the tests so that none of them is left with a long file at the end."""

from pathlib import Path

from tests.turns import APART, LONGEST, turn, unit

ROOT = Path(__file__).resolve().parents[1]


def test_files_with_a_turn_of_their_own_are_there() -> None:
    """A file that was renamed would be begun among all others, and nobody would notice."""
    assert [each for each in LONGEST if not (ROOT / each).is_file()] == []
    assert set(APART) <= set(LONGEST)


def test_long_files_are_begun_first() -> None:
    """In the order of the list, before every other one."""
    turns = [turn(f"{each}::test_it") for each in (*LONGEST, "tests/test_turns.py")]

    assert turns == sorted(set(turns))


def test_a_file_is_worked_by_one_process_unless_its_tests_share_nothing() -> None:
    """Each of those is a unit of its own."""
    assert unit("tests/docs/test_blocks.py::test_it[a::b]") == "tests/docs/test_blocks.py"
    assert unit(f"{APART[0]}::test_it[a::b]") == f"{APART[0]}::test_it[a::b]"
