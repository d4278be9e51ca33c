"""How often something may start.

The rule is the generic cell rate algorithm, as ITU-T Recommendation I.371 (annex A) states it for ATM traffic, in
its virtual scheduling form. One number is kept: the theoretical arrival time, when the next start would be due if
all kept exactly to the rate. A start conforms when it is early by no more than the tolerance, and moves that
time on by one interval.
"""

import math
import re
from dataclasses import dataclass, field

#: Milliseconds of the units a period may be given in.
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PERIOD = re.compile(r"(\d+)([smhd])")


@dataclass(frozen=True)
class Rate:
    """So many starts per period, evenly spaced, and a few at once after a quiet while.

    In any period no more than `count + burst - 1` start.

    Parameters:
      count: Starts per period, at least 1.
      per: The period: `"1s"`, `"5m"`, `"1h"`, `"1d"`, or a number of seconds.
      burst: How many may start at once when none did for a while, at least 1. Default 1: all are spaced.

    Raises:
      ValueError: A number is too small, or the period is not understood.

    Example:
      >>> Rate(20, per="1m", burst=5).interval_ms
      3000.0
    """

    count: int
    per: str | float = field(kw_only=True)
    burst: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        if self.count < 1 or self.burst < 1:
            raise ValueError(
                f"a rate needs count and burst of at least 1, not {self.count} and {self.burst}; "
                "to stop an actor altogether, do not start a worker for its queue"
            )
        if not 0 < self.period_ms < math.inf:
            raise ValueError(f"a rate's period must be finite and longer than nothing, not {self.per!r}")

    @property
    def period_ms(self) -> float:
        """The period in milliseconds."""
        if not isinstance(self.per, str):
            return float(self.per) * 1_000
        match = _PERIOD.fullmatch(self.per)
        if match is None:
            raise ValueError(
                f"a period is a number of seconds or like '1s', '5m', '1h', '1d', not {self.per!r}"
            )
        return float(int(match[1]) * _UNIT_MS[match[2]])

    @property
    def interval_ms(self) -> float:
        """Milliseconds from one start to the next when all are evenly spaced."""
        return self.period_ms / self.count

    @property
    def tolerance_ms(self) -> float:
        """How many milliseconds early a start may be: the burst."""
        return (self.burst - 1) * self.interval_ms
