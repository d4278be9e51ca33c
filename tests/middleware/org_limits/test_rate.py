"""The rate, as a value."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.org_limits.memory import MemoryOrgLimitsStore
from middleware.org_limits.rate import Rate


@pytest.mark.parametrize(
    ("per", "period_ms"),
    [("1s", 1_000), ("5m", 300_000), ("1h", 3_600_000), ("2d", 172_800_000), (90, 90_000), (0.5, 500)],
)
def test_a_period_is_a_word_or_seconds(per: str | float, period_ms: float) -> None:
    """Both ways of saying it mean the same."""
    rate = Rate(4, per=per)

    assert rate.period_ms == period_ms
    assert rate.interval_ms == period_ms / 4


def test_the_tolerance_is_what_the_burst_needs() -> None:
    """Without a burst nothing may be early; with five, the fifth is four intervals early."""
    assert Rate(20, per="1m").tolerance_ms == 0
    assert Rate(20, per="1m", burst=5).tolerance_ms == 12_000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"count": 0, "per": "1s"}, "count and burst of at least 1, not 0 and 1"),
        ({"count": 1, "per": "1s", "burst": 0}, "count and burst of at least 1, not 1 and 0"),
        ({"count": 1, "per": "1 minute"}, "like '1s', '5m', '1h', '1d', not '1 minute'"),
        ({"count": 1, "per": "0s"}, "longer than nothing, not '0s'"),
        ({"count": 1, "per": -1}, "longer than nothing, not -1"),
        ({"count": 1, "per": float("nan")}, "longer than nothing, not nan"),
        ({"count": 1, "per": float("inf")}, "longer than nothing"),
    ],
)
def test_a_rate_that_makes_no_sense_is_refused(arguments: dict[str, object], says: str) -> None:
    """The mistake is named where it was made."""
    with pytest.raises(ValueError, match=says):
        Rate(**arguments)  # type: ignore[arg-type]  # that is the point


def test_a_rate_never_changes() -> None:
    """An actor's rate is a constant."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Rate(1, per="1s").count = 2  # type: ignore[misc]  # that is the point


@given(
    count=st.integers(1, 20),
    burst=st.integers(1, 10),
    gaps_ms=st.lists(st.floats(0, 700), min_size=1, max_size=80),
)
def test_no_period_sees_more_starts_than_promised(count: int, burst: int, gaps_ms: list[float]) -> None:
    """Whenever they are asked for, at most `count + burst - 1` starts fall into any one period."""
    rate, now_ms = Rate(count, per="1s", burst=burst), [0.0]
    store = MemoryOrgLimitsStore(now_ms=lambda: now_ms[0])
    starts = []
    for gap_ms in gaps_ms:
        now_ms[0] += gap_ms
        wait_ms, _ = store.charge("acme", "crawl", rate)
        if wait_ms == 0:
            starts.append(now_ms[0])

    for start in starts:
        # A hair less than the period, for what floating point adds.
        in_period = [each for each in starts if start <= each < start + rate.period_ms - 1e-6]
        assert len(in_period) <= count + burst - 1
