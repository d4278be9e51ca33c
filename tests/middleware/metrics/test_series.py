"""The bound on series, which every handler has."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.metrics.series import MAX_VALUE_CHARS, OVERFLOW, SeriesBound


def test_series_over_the_bound_become_one(caplog: pytest.LogCaptureFixture) -> None:
    """A bug in a label makes one series more and one line in the log, not a million."""
    bound = SeriesBound(max_series=2)
    with caplog.at_level(logging.WARNING):
        seen = [bound("jobs", {"actor": name, "queue": "q"}) for name in "abcdab"]

    other = {"actor": OVERFLOW, "queue": OVERFLOW}
    first, second = {"actor": "a", "queue": "q"}, {"actor": "b", "queue": "q"}
    assert seen == [first, second, other, other, first, second]
    assert len(caplog.records) == 1


def test_each_metric_has_a_bound_of_its_own() -> None:
    """One metric gone wild leaves the others their labels."""
    bound = SeriesBound(max_series=1)
    for actor in "abc":
        bound("wild", {"actor": actor})

    assert bound("tame", {"actor": "z"}) == {"actor": "z"}


def test_labels_of_tenants_and_messages_are_left_out() -> None:
    """An org in a label is a mistake that costs nothing."""
    assert SeriesBound()("jobs", {"actor": "a", "org": "acme", "message_id": "1"}) == {"actor": "a"}
    assert SeriesBound(dropped_labels=())("jobs", {"org": "acme"}) == {"org": "acme"}


@given(values=st.lists(st.text(max_size=300), max_size=40))
def test_whatever_the_values_the_bound_holds(values: list[str]) -> None:
    """Never more than `max_series` and one, and never a value of any length."""
    bound = SeriesBound(max_series=5)

    series = {bound("jobs", {"actor": value})["actor"] for value in values}

    assert len(series - {OVERFLOW}) <= 5
    assert all(len(each) <= MAX_VALUE_CHARS for each in series)


def test_a_bound_of_nothing_is_refused() -> None:
    """The mistake is named where it was made."""
    with pytest.raises(ValueError, match="max_series must be at least 1, not 0"):
        SeriesBound(max_series=0)
