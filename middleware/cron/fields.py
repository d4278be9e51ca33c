"""The five fields of a cron expression, read strictly: what cannot be meant is an error that says the fix."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from ..base.errors import GuardError

#: What the names stand for, as in crontab(5).
ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

#: Stands for the last day of the month, in the field of days alone.
_LAST = "l"

#: What other schedulers have and cron has not, and what to write in its place.
_FOREIGN: Final = (
    (
        re.compile(r"l-\d+|l/.*|l-.*"),
        "counts from the end of the month; write L for the last day, or the days themselves, as in 28-31",
        ("day of month",),
    ),
    (
        re.compile(r"(\d*|l)w"),
        "is the weekday nearest to a day; write the day itself, as in 15, or L for the last one",
        ("day of month",),
    ),
    (
        re.compile(r"(\w+)#\d*"),
        "is the nth weekday of a month; write the weekday alone, as in mon, and let the job look at the day, or a "
        "day of the month",
        ("weekday",),
    ),
    (
        re.compile(r"(\w*)l"),
        "is the last such weekday of a month; write the weekday alone, as in fri, and let the job look at the day, or "
        "L as the day of month",
        ("weekday",),
    ),
)

_PART = re.compile(r"(?P<all>\*)(?:/(?P<all_step>\d+))?|(?P<low>\w+)(?:-(?P<high>\w+)(?:/(?P<step>\d+))?)?")


class InvalidSchedule(GuardError, ValueError):
    """A cron expression or one of its options cannot be meant; the message says the field and the fix."""


@dataclass(frozen=True)
class CronFields:
    """When an expression's wall clock is due.

    A day is due when its month is and, as in crontab(5), when the day of month *or* the weekday is if neither
    has a `*` in it, and when both are otherwise.
    """

    #: Minutes since midnight, in order.
    times: tuple[int, ...]
    #: Those by number, and apart from them the last one.
    days: frozenset[int]
    months: frozenset[int]
    #: Sunday is 0, as in cron.
    weekdays: frozenset[int]
    either_day: bool
    every_hour: bool
    last_day: bool = False

    def due_on(self, day: date) -> bool:
        """True if the day has any time that is due."""
        if day.month not in self.months:
            return False
        is_last = self.last_day and (day + timedelta(days=1)).month != day.month
        by_day, by_weekday = is_last or day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday if self.either_day else by_day and by_weekday


def parse_fields(expression: str) -> CronFields:
    """Read `minute hour day-of-month month weekday`, or one of the aliases.

    Lists (`1,15`), ranges (`1-5`), steps (`*/5`, `10-40/10`) and English names of months and weekdays are
    understood, and `L` for the last day of the month. Sunday is `0`, `7` and `sun`, also at the end of a range.

    Raises:
        InvalidSchedule: something else, or something that cannot be.

    Example:
        >>> parse_fields("*/30 8-9 * * mon-fri").times
        (480, 510, 540, 570)
    """
    text = expression.strip().lower()
    if text.startswith("@"):
        if text not in ALIASES:
            raise InvalidSchedule(f"{expression!r} is not known; write one of {', '.join(ALIASES)}")
        text = ALIASES[text]
    parts = text.split()
    if len(parts) != 5:
        raise InvalidSchedule(
            f"{expression!r} has {len(parts)} fields; write five: minute hour day-of-month month weekday"
        )
    minutes = _Field("minute", 0, 59).read(parts[0])
    hours = _Field("hour", 0, 23).read(parts[1])
    by_number = ",".join(part for part in parts[2].split(",") if part != _LAST)
    last_day = by_number != parts[2]
    days = _Field("day of month", 1, 31).read(by_number) if by_number or not last_day else set()
    months = _Field("month", 1, 12, names=_MONTHS).read(parts[3])
    weekdays = _Field("weekday", 0, 7, names=_WEEKDAYS).read(parts[4])
    return CronFields(
        times=tuple(hour * 60 + minute for hour in sorted(hours) for minute in sorted(minutes)),
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(each % 7 for each in weekdays),
        either_day="*" not in parts[2] and "*" not in parts[4],
        every_hour=len(hours) == 24,
        last_day=last_day,
    )


@dataclass(frozen=True)
class _Field:
    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()

    def read(self, text: str) -> set[int]:
        return {value for part in text.split(",") for value in self._read_part(part, text)}

    def _read_part(self, part: str, text: str) -> range:
        for pattern, instead, fields in _FOREIGN:
            if self.name in fields and part not in self.names and pattern.fullmatch(part):
                raise self._error(text, f"{part.upper()} {instead}")
        match = _PART.fullmatch(part)
        if match is None:
            raise self._error(text, self._syntax(part))
        if match["all"]:
            return range(self.lowest, self.highest + 1, self._step(match["all_step"], text))
        low = self._number(match["low"], text)
        if match["high"] is None:
            return range(low, low + 1)
        high = self._number(match["high"], text)
        if self.name == "weekday" and high == 0 and low > 0:
            high = 7
        if low > high:
            raise self._error(text, f"{part} goes backwards; write two ranges, joined by a comma")
        return range(low, high + 1, self._step(match["step"], text))

    def _number(self, word: str, text: str) -> int:
        if word in self.names:
            return self.names.index(word) + self.lowest
        if not (word.isascii() and word.isdigit()):
            names = f" or one of {', '.join(self.names)}" if self.names else ""
            raise self._error(text, f"{word!r} is not a number{names}")
        if not self.lowest <= int(word) <= self.highest:
            raise self._error(text, f"{word} is not in {self.lowest} to {self.highest}")
        return int(word)

    def _step(self, word: str | None, text: str) -> int:
        if word is None:
            return 1
        if not 1 <= int(word) <= self.highest:
            raise self._error(text, f"a step of {word} makes no sense; write 1 to {self.highest}")
        return int(word)

    def _syntax(self, part: str) -> str:
        start, slash, step = part.partition("/")
        if slash and start.isalnum():
            return f"{part} has a step without a range; write {start}-{self.highest}/{step}"
        return f"{part!r} is not understood; write numbers, ranges a-b, steps */n or a-b/n, and commas"

    def _error(self, text: str, fault: str) -> InvalidSchedule:
        return InvalidSchedule(f"the {self.name} {text!r} cannot be: {fault}")
