"""Numbers that cannot be meant are refused in the same words by every guard and store."""

import math

import pytest

from middleware.base.bounds import check_at_least, check_positive


def test_a_number_below_its_bound_is_refused_by_name() -> None:
    """Of several, the message says which it is and what it was."""
    with pytest.raises(ValueError, match=r"^park_ms must be at least 2, not 1$"):
        check_at_least(2, window_ms=2, park_ms=1)


@pytest.mark.parametrize("interval_s", [0, -0.5, math.nan])
def test_a_time_has_to_be_more_than_nothing(interval_s: float) -> None:
    """What is no number at all is refused, too."""
    with pytest.raises(ValueError, match=f"^interval_s must be more than 0, not {interval_s}$"):
        check_positive(grace_s=0.1, interval_s=interval_s)


def test_no_limit_is_within_every_bound() -> None:
    """None stands for a limit that nobody set."""
    check_at_least(1, max_active=None)
    check_positive(max_age_ms=None)
