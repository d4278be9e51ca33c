"""When a schedule is due, in its own time zone, on the days clocks change too."""

import difflib
import zoneinfo
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from .fields import CronFields, InvalidSchedule, parse_fields

#: What happens to a time that a day does not have, since clocks are put forward.
OnGap = Literal["skip", "run_after"]

#: Which of two equal times counts on the day clocks are put back.
OnFold = Literal["first", "second", "both"]

#: What becomes of ticks that nobody sent in time.
OnMissed = Literal["skip", "coalesce", "catch_up"]

#: What becomes of a tick that is due while the one before still runs.
OnOverlap = Literal["skip", "allow"]

#: 29 February on a given weekday may take 40 years, over 2100; what does not happen by then never does.
HORIZON_DAYS = 41 * 366

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class CronSchedule:
    """What `cron` makes: when an actor is due, and what to do when that went wrong.

    Moments are aware; what is returned is in UTC and a whole minute. `str` is what the `periodiq` command line
    prints, and `validate` and `next_valid_date` are what it asks.

    Example:
      >>> str(cron("0 8 * * mon-fri", tz="Europe/Athens"))
      '0 8 * * mon-fri Europe/Athens'
    """

    expression: str
    zone: ZoneInfo
    gap: OnGap
    fold: OnFold
    missed: OnMissed
    catch_up_limit: int
    overlap: OnOverlap
    payload: Mapping[str, object] | None = None
    fields: CronFields = field(repr=False)

    def __str__(self) -> str:
        return f"{self.expression} {self.zone.key}"

    def next_after(self, moment: datetime) -> datetime:
        """The first minute that is due after the minute of `moment`.

        Raises:
            InvalidSchedule: there is none within 41 years.

        Example:
            >>> cron("@daily").next_after(datetime(2026, 1, 1, tzinfo=UTC))
            datetime.datetime(2026, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)
        """
        after = _minute(moment)
        # A day's times may come after the day: when it is skipped as a whole, or when its last hour is repeated.
        first_day = after.astimezone(self.zone).date() - _DAY
        for day in _days(first_day):
            found = self._first(day, after)
            if found:
                # The day after may have earlier ones, when clocks are put back over midnight.
                return min([*found, *self._first(day + _DAY, after)])
        raise InvalidSchedule(f"{self.expression!r} never happens; check the day of month against the month")

    def clock_change_at(self, due: datetime) -> Literal["gap", "fold"] | None:
        """What a change of clocks had to do with a moment that is due: it stands for times that its day does not have,
        or is one of two equal ones. None on every other day.

        Example:
            >>> daily = cron("30 2 * * *", tz="Europe/Berlin", gap="run_after")
            >>> daily.clock_change_at(datetime(2027, 3, 28, 1, 0, tzinfo=UTC))
            'gap'
        """
        shown = due.astimezone(self.zone).replace(tzinfo=None, fold=0)
        if self._offset(shown) > self._offset(shown, fold=1):
            return "fold"
        if self.gap == "skip":
            return None
        missing = (due - _MINUTE).astimezone(self.zone).replace(tzinfo=None, fold=0) + _MINUTE
        while missing < shown:
            if self.fields.due_on(missing.date()) and missing.hour * 60 + missing.minute in self.fields.times:
                return "gap"
            missing += _MINUTE
        return None

    def due_between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Every minute due after the minute of `after`, up to and including `until`, in order."""
        due = self.next_after(after)
        while due <= until:
            yield due
            due = self.next_after(due)

    def is_due(self, moment: datetime) -> bool:
        """True if the minute of `moment` is due."""
        minute = _minute(moment)
        return self.next_after(minute - _MINUTE) == minute

    def validate(self, date: datetime) -> bool:
        """What `periodiq` calls `is_due`."""
        return self.is_due(date)

    def next_valid_date(self, last: datetime) -> datetime:
        """What `periodiq` calls `next_after`."""
        return self.next_after(last)

    def _first(self, day: date, after: datetime) -> list[datetime]:
        """The first minute of the day's times that is after `after`, if there is one."""
        if not self.fields.due_on(day):
            return []
        midnight = datetime.combine(day, time())
        offset = self._offset(midnight)
        offsets = (self._offset(each, fold) for each in (midnight, midnight + _DAY) for fold in (0, 1))
        if all(each == offset for each in offsets):
            start = midnight.replace(tzinfo=UTC) - offset
            index = bisect_right(self.fields.times, (after - start) // _MINUTE)
            return [start + self.fields.times[index] * _MINUTE] if index < len(self.fields.times) else []
        odd = _odd_day(self, midnight)
        index = bisect_right(odd, after)
        return odd[index : index + 1]

    def due_on_odd_day(self, midnight: datetime) -> list[datetime]:
        """All that is due by the wall clock of one day on which clocks change, in order."""
        walls = (midnight + minutes * _MINUTE for minutes in self.fields.times)
        return sorted(due for wall in walls for due in self._resolve(wall))

    def _resolve(self, wall: datetime) -> list[datetime]:
        """The moments at which the zone's clocks show `wall`, as far as the policies want them."""
        before, behind = self._offset(wall), self._offset(wall, fold=1)
        first, second = wall.replace(tzinfo=UTC) - before, wall.replace(tzinfo=UTC) - behind
        if before == behind:
            return [first]
        if before > behind:
            return {"first": [first], "second": [second], "both": [first, second]}[self.fold]
        return [self._end_of_gap(second, first)] if self.gap == "run_after" else []

    def _end_of_gap(self, before: datetime, behind: datetime) -> datetime:
        """The first whole minute after clocks were put forward, which was somewhere between the two."""
        offset = behind.astimezone(self.zone).utcoffset()
        low, high = 0, -((before - behind) // _MINUTE)
        while low < high:
            middle = (low + high) // 2
            if (before + middle * _MINUTE).astimezone(self.zone).utcoffset() == offset:
                high = middle
            else:
                low = middle + 1
        return before + low * _MINUTE

    def _offset(self, wall: datetime, fold: int = 0) -> timedelta:
        return wall.replace(tzinfo=self.zone, fold=fold).utcoffset() or timedelta()


def cron(
    expression: str,
    *,
    tz: str = "UTC",
    gap: OnGap = "skip",
    fold: OnFold | None = None,
    missed: OnMissed = "skip",
    catch_up_limit: int = 10,
    overlap: OnOverlap = "skip",
    payload: Mapping[str, object] | None = None,
) -> CronSchedule:
    """A schedule for the actor option `periodic`.

    Parameters:
        expression: `minute hour day-of-month month weekday`, or `@hourly`, `@daily`, `@weekly`, `@monthly`,
            `@yearly`. All fields are wall clock in `tz`.
        tz: a zone's name. Default UTC.
        gap: what to do on the day a time does not exist: `skip` it (the default) or `run_after`, the minute
            clocks were put forward.
        fold: which of two equal times counts on the day clocks are put back: `first`, `second` or `both`. Default:
            both when every hour is due, since that is a schedule by the clock's running, and else the first.
        missed: what becomes of ticks that nobody sent: `skip` them (the default), `coalesce` them into one, or
            `catch_up`, the latest of them one by one. See `Cron`.
        catch_up_limit: how many at most to catch up. Default 10.
        overlap: `skip` a tick while the one before still runs (the default), or `allow` both.
        payload: what each message carries as its single argument. Default: no argument.

    Raises:
        InvalidSchedule: a ValueError that says the field and the fix, also for what never happens.

    Example:
        >>> @dramatiq.actor(periodic=cron("*/5 * * * *", tz="Europe/Athens", missed="coalesce"))
        ... def refresh() -> None: ...
    """
    for name, value, allowed in (
        ("gap", gap, ("skip", "run_after")),
        ("fold", fold, ("first", "second", "both", None)),
        ("missed", missed, ("skip", "coalesce", "catch_up")),
        ("overlap", overlap, ("skip", "allow")),
    ):
        if value not in allowed:
            raise InvalidSchedule(f"{name} must be one of {allowed}, not {value!r}")
    if not 1 <= catch_up_limit <= 1_000:
        raise InvalidSchedule(f"catch_up_limit must be 1 to 1,000, not {catch_up_limit}")
    fields = parse_fields(expression)
    schedule = CronSchedule(
        expression=" ".join(expression.split()),
        zone=_zone(tz),
        gap=gap,
        fold=fold or ("both" if fields.every_hour else "first"),
        missed=missed,
        catch_up_limit=catch_up_limit,
        overlap=overlap,
        payload=payload,
        fields=fields,
    )
    # What never happens, like 30 February, is found here and not in a scheduler at night.
    schedule.next_after(datetime(2000, 1, 1, tzinfo=UTC))
    return schedule


# Such a day is looked at minute by minute, and then asked about for each of its ticks.
@lru_cache(maxsize=64)
def _odd_day(schedule: CronSchedule, midnight: datetime) -> list[datetime]:
    return schedule.due_on_odd_day(midnight)


def _minute(moment: datetime) -> datetime:
    # Anew, since a subclass like pendulum's has arithmetic of its own.
    return datetime.fromtimestamp(moment.timestamp() // 60 * 60, UTC)


def _days(first: date) -> Iterator[date]:
    return (first + number * _DAY for number in range(HORIZON_DAYS))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
        close = difflib.get_close_matches(name, known, n=3)
        fix = f"did you mean {' or '.join(close)}?" if close else "see zoneinfo.available_timezones()"
        if not known:
            fix = "this system has no time zones: pip install tzdata"
        raise InvalidSchedule(f"tz {name!r} is not a time zone; {fix}") from None
