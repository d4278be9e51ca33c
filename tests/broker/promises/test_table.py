"""The table of promises is true today: each row has its tests, and each test its row."""

import pytest

from tests.broker.promises.table import ORDER, PAGE, Row, modules, page, rows


def test_every_module_of_scenarios_is_a_row() -> None:
    """Once, and no row is about a module that is gone."""
    assert sorted(ORDER) == sorted(modules())


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.module)
def test_a_row_shows_both_brokers(row: Row) -> None:
    """As many tests of one as of the other, and all of them, and the promise, in words."""
    assert len(row.vanilla) == len(row.ours) > 0
    assert all(each.words for each in (*row.vanilla, *row.ours))
    assert row.promise


def test_the_page_is_what_the_tests_say_today() -> None:
    """After a change, `python -m tests.broker.promises.table` writes docs/broker-promises.md anew."""
    assert PAGE.read_text() == page(), "out of date; run `python -m tests.broker.promises.table`"
