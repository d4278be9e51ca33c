"""An org's daily schedule at a time that clocks leave out in spring runs on that day too, right after the gap.

crontab(8) of Debian and Red Hat runs such a job right after the gap, and that is what people who write "every day at
2:30" expect.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from app.bootstrap.worker.schedules import read_timetable
from tests.cases.kit import verdict

#: Where clocks are put forward, on which day, and a time that this day has not.
GAPS = (
    ("Europe/Berlin", (2027, 3, 28), "30 2 * * *"),
    ("America/New_York", (2027, 3, 14), "30 2 * * *"),
    ("America/Santiago", (2026, 9, 6), "0 0 * * *"),
)


def main() -> list[str]:
    """What is wrong."""
    faults = []
    for tz, day, expression in GAPS:
        zone = ZoneInfo(tz)
        noon_before = datetime(*day, 12, tzinfo=zone) - timedelta(days=1)
        following = read_timetable(expression, tz).next_after(noon_before.astimezone(UTC))
        there = following.astimezone(zone)
        print(f"{expression} {tz}: after {noon_before:%d %b} comes {there:%d %b %H:%M}")
        if (there.year, there.month, there.day) != day:
            faults.append(tz)
    return faults


if __name__ == "__main__":
    verdict(main)
