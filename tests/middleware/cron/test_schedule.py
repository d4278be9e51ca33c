"""When schedules are due, against an oracle that looks at every single minute."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import cast
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from middleware.cron.fields import ALIASES, InvalidSchedule, parse_fields
from middleware.cron.schedule import CronSchedule, OnFold, OnGap, cron

MINUTE = timedelta(minutes=1)

#: Zones that put clocks back and forward by an hour, half an hour, two hours, a day, at midnight, or never.
ZONES = [
    "UTC",
    "Europe/Athens",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Australia/Lord_Howe",
    "Pacific/Apia",
]


def due(schedule: CronSchedule, start: str, days: float = 1) -> list[str]:
    """What is due from `start` on, in UTC, for so many days."""
    begin = datetime.fromisoformat(start).astimezone(UTC)
    found = schedule.due_between(begin - MINUTE, begin + timedelta(days=days))
    return [each.strftime("%m-%d %H:%M") for each in found]


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("61 * * * *", "the minute '61' cannot be: 61 is not in 0 to 59"),
        ("* 25 * * *", "the hour '25' cannot be: 25 is not in 0 to 23"),
        ("* 24 * * *", "24 is not in 0 to 23"),
        ("* * 0 * *", "the day of month '0' cannot be: 0 is not in 1 to 31"),
        ("* * * 13 *", "the month '13' cannot be: 13 is not in 1 to 12"),
        ("* * * * 8", "the weekday '8' cannot be: 8 is not in 0 to 7"),
        ("* * * * funday", "'funday' is not a number or one of sun, mon, tue"),
        ("* * * mars *", "'mars' is not a number or one of jan, feb, mar"),
        ("mon * * * *", "'mon' is not a number"),
        ("5/15 * * * *", "a step without a range; write 5-59/15"),
        ("*/0 * * * *", "a step of 0 makes no sense; write 1 to 59"),
        ("*/75 * * * *", "a step of 75 makes no sense"),
        ("30-10 * * * *", "30-10 goes backwards; write two ranges"),
        ("* * * * fri-mon", "fri-mon goes backwards"),
        ("* * ? * *", "'?' is not understood; write numbers, ranges a-b"),
        ("1,,2 * * * *", "'' is not understood"),
        ("* * * *", "has 4 fields; write five: minute hour day-of-month month weekday"),
        ("0 * * * * *", "has 6 fields"),
        ("* * 15w * *", "15W is the weekday nearest to a day; write the day itself, as in 15, or L"),
        ("* * LW * *", "LW is the weekday nearest to a day"),
        ("* * L-3 * *", "L-3 counts from the end of the month; write L for the last day"),
        ("* * L/2 * *", "the day of month 'l/2' cannot be"),
        ("* * * * mon#1", "MON#1 is the nth weekday of a month; write the weekday alone, as in mon"),
        ("* * * * 5L", "5L is the last such weekday of a month; write the weekday alone"),
        ("L * * * *", "the minute 'l' cannot be"),
        ("@reboot", "'@reboot' is not known; write one of @yearly"),
        ("0 0 30 2 *", "never happens; check the day of month against the month"),
        ("0 0 31 4,6,9,11 *", "never happens"),
    ],
)
def test_what_cannot_be_meant_says_the_field_and_the_fix(expression: str, fault: str) -> None:
    """A typo is an error when the actor is declared, not a job that never runs."""
    with pytest.raises(InvalidSchedule, match=re.escape(fault)):
        cron(expression)
    with pytest.raises(ValueError, match=re.escape(fault)):
        cron(expression)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: cron("@daily", tz="Europe/Athen"), "did you mean Europe/Athens"),
        (lambda: cron("@daily", tz="Europe"), "'Europe' is not a time zone"),
        (lambda: cron("@daily", tz="../etc/passwd"), "is not a time zone"),
        (
            lambda: cron("@daily", gap=cast("OnGap", "jump")),
            "gap must be one of ('skip', 'run_after'), not 'jump'",
        ),
        (lambda: cron("@daily", fold=cast("OnFold", "none")), "fold must be one of"),
        (lambda: cron("@daily", missed="never"), "missed must be one of"),  # type: ignore[arg-type]
        (lambda: cron("@daily", overlap="no"), "overlap must be one of"),  # type: ignore[arg-type]
        (lambda: cron("@daily", catch_up_limit=0), "catch_up_limit must be 1 to 1,000, not 0"),
    ],
)
def test_options_that_cannot_be_are_refused(make: Callable[[], object], fault: str) -> None:
    """The message names the option and what it takes."""
    with pytest.raises(InvalidSchedule, match=re.escape(fault)):
        make()


@pytest.mark.parametrize("day", range(7))
def test_all_seven_weekdays_are_right_by_number_and_by_name(day: int) -> None:
    """Also Sunday, as 0, as 7, as a name, in ranges and as the start of a week."""
    names = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
    # 4 January 2026 is a Sunday.
    expected = [f"01-{4 + day:02} 00:00"]

    for text in [str(day), names[day], names[day].upper(), *(["7"] if day == 0 else [])]:
        assert due(cron(f"0 0 * * {text}"), "2026-01-04T00:00Z", 6.5) == expected


@pytest.mark.parametrize("text", ["*", "0-6", "1-7", "0-7", "sun-sat", "mon-sun", "sat-sun,1-5", "*/1"])
def test_a_whole_week_has_seven_days_however_it_is_written(text: str) -> None:
    """No way of writing all days forgets Sunday."""
    assert len(due(cron(f"0 0 * * {text}"), "2026-01-04T00:00Z", 6.5)) == 7


@pytest.mark.parametrize(("step", "weekdays"), [(2, {0, 2, 4, 6}), (3, {0, 3, 6}), (7, {0})])
def test_steps_through_the_week_begin_on_sunday(step: int, weekdays: set[int]) -> None:
    """And count it once, as the first day."""
    assert parse_fields(f"0 0 * * */{step}").weekdays == weekdays


@pytest.mark.parametrize(
    ("alias", "first"),
    [
        ("@hourly", "2026-05-06 08:00"),
        ("@daily", "2026-05-07 00:00"),
        ("@midnight", "2026-05-07 00:00"),
        ("@weekly", "2026-05-10 00:00"),
        ("@monthly", "2026-06-01 00:00"),
        ("@yearly", "2027-01-01 00:00"),
        ("@annually", "2027-01-01 00:00"),
    ],
)
def test_aliases_mean_what_crontab_says(alias: str, first: str) -> None:
    """A week begins on Sunday, at midnight."""
    found = cron(alias).next_after(datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC))

    assert found.strftime("%Y-%m-%d %H:%M") == first
    assert alias in ALIASES


def test_a_day_is_due_by_month_or_by_week_when_both_are_given() -> None:
    """Two restricted fields are either, as in crontab(5); a star with a step restricts with the other."""
    assert due(cron("0 0 13 * fri"), "2026-02-01T00:00Z", 27) == [
        f"02-{day:02} 00:00" for day in (6, 13, 20, 27)
    ]
    assert due(cron("0 0 15 * fri"), "2026-02-08T00:00Z", 7) == ["02-13 00:00", "02-15 00:00"]
    assert due(cron("0 0 */2 * fri"), "2026-02-01T00:00Z", 27) == ["02-13 00:00", "02-27 00:00"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 L * *", ["01-31", "02-29", "03-31", "04-30"]),
        ("0 0 l 2,4 *", ["02-29", "04-30"]),
        ("0 0 1,L * *", ["01-01", "01-31", "02-01", "02-29", "03-01", "03-31", "04-01", "04-30"]),
        ("0 0 30,L 4 *", ["04-30"]),
        ("0 0 L 3 sun", ["03-03", "03-10", "03-17", "03-24", "03-31"]),
    ],
)
def test_the_last_day_of_the_month_is_found(expression: str, expected: list[str]) -> None:
    """In leap years, beside other days, and with weekdays as every day of month."""
    start, end = datetime(2023, 12, 31, tzinfo=UTC), datetime(2024, 4, 30, tzinfo=UTC)

    assert [each.strftime("%m-%d") for each in cron(expression).due_between(start, end)] == expected


def test_the_29th_of_february_is_found_years_ahead() -> None:
    """Also over 2100, which is no leap year."""
    assert cron("0 0 29 2 *").next_after(datetime(2096, 3, 1, tzinfo=UTC)).year == 2104


#: In Athens clocks go from 03:00 to 04:00 on 29 March 2026 (01:00 UTC), back on 25 October (01:00 UTC).
SPRING, AUTUMN = "2026-03-29T00:00+02:00", "2026-10-25T00:00+03:00"


@pytest.mark.parametrize(
    ("gap", "expected"), [("skip", ["03-29 22:00"]), ("run_after", ["03-29 01:00", "03-29 22:00"])]
)
def test_a_time_the_day_does_not_have(gap: OnGap, expected: list[str]) -> None:
    """Skipped, or run the minute clocks are put forward; every other time is as ever."""
    assert due(cron("30 3 * * *", tz="Europe/Athens", gap=gap), SPRING, 0.9) == expected[:-1]
    assert due(cron("0 1 * * *", tz="Europe/Athens", gap=gap), SPRING, 1) == ["03-28 23:00", "03-29 22:00"]


def test_many_times_the_day_does_not_have_run_once() -> None:
    """All of them come together at the end of the gap, with what is due there anyway."""
    schedule = cron("*/10 3,4 * * *", tz="Europe/Athens", gap="run_after")

    assert due(schedule, SPRING, 0.9) == [f"03-29 01:{minute:02}" for minute in range(0, 60, 10)]


@pytest.mark.parametrize(
    ("fold", "expected"),
    [
        ("first", ["10-25 00:30"]),
        ("second", ["10-25 01:30"]),
        ("both", ["10-25 00:30", "10-25 01:30"]),
        (None, ["10-25 00:30"]),
    ],
)
def test_a_time_the_day_has_twice(fold: OnFold | None, expected: list[str]) -> None:
    """Run the first time unless told otherwise."""
    assert due(cron("30 3 * * *", tz="Europe/Athens", fold=fold), AUTUMN) == expected


def test_what_is_due_every_hour_is_due_in_both_of_two_equal_ones() -> None:
    """A schedule that goes by the clock's running has no hole of an hour, unless it is asked for."""
    assert len(due(cron("*/5 * * * *", tz="Europe/Athens"), AUTUMN, 25 / 24)) == 25 * 12 + 1
    assert len(due(cron("*/5 * * * *", tz="Europe/Athens"), SPRING, 23 / 24)) == 23 * 12 + 1
    assert len(due(cron("*/5 * * * *", tz="Europe/Athens", fold="first"), AUTUMN, 25 / 24)) == 24 * 12 + 1


def test_clocks_put_back_over_midnight() -> None:
    """St. John's went from 00:01 to 23:01 of the day before: two days' times come in turn, none is left out."""
    schedule = cron("0,30 0,23 * * *", tz="America/St_Johns", fold="both")

    assert due(schedule, "2010-11-07T01:00Z", 1 / 6) == [
        f"11-07 {each}" for each in ("01:30", "02:00", "02:30", "03:00", "03:30", "04:00")
    ]


def test_a_day_that_was_skipped_as_a_whole() -> None:
    """Samoa had no 30 December 2011; its ticks may run at the stroke that followed."""
    skip, run_after = (cron("0 12 30 12 *", tz="Pacific/Apia", gap=each) for each in ("skip", "run_after"))

    assert due(skip, "2011-12-29T00:00Z", 3) == []
    assert due(run_after, "2011-12-29T00:00Z", 3) == ["12-30 10:00"]


Field = tuple[str, frozenset[int]]


def fields(low: int, high: int) -> st.SearchStrategy[Field]:
    """A field's text, and the numbers it stands for."""
    number = st.integers(low, high)
    every = st.just(("*", frozenset(range(low, high + 1))))
    step = st.integers(1, high).map(lambda n: (f"*/{n}", frozenset(range(low, high + 1, n))))
    several = st.sets(number, min_size=1, max_size=3).map(lambda ns: (",".join(map(str, ns)), frozenset(ns)))
    reach = st.tuples(number, number, st.integers(1, 7)).map(
        lambda r: (
            f"{min(r[:2])}-{max(r[:2])}/{r[2]}",
            frozenset(range(min(r[:2]), max(r[:2]) + 1, r[2])),
        )
    )
    return every | step | several | reach


@cache
def changes(zone: str, year: int) -> list[date]:
    """The days of a year on which the zone's clocks change, and one more."""
    days = [date(year, 1, 1) + timedelta(days=number) for number in range(365)]
    noons = [datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone)) for day in days]
    return [
        day
        for day, noon, before in zip(days[1:], noons[1:], noons, strict=False)
        if noon.utcoffset() != before.utcoffset()
    ] or [date(year, 6, 1)]


@st.composite
def days(draw: st.DrawFn) -> tuple[str, date]:
    """A zone and a day, often one on which its clocks change."""
    zone, year = draw(st.sampled_from(ZONES)), draw(st.integers(1980, 2037))
    changing = st.sampled_from(changes(zone, year))
    return zone, draw(changing | changing | st.dates(date(year, 1, 1), date(year, 12, 31)))


def minutes_of(day: date) -> Iterator[datetime]:
    """Every minute of three days around a day."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
    return (start + number * MINUTE for number in range(3 * 1440))


@settings(max_examples=60, deadline=None)
@given(
    where=days(),
    minute=fields(0, 59) | st.just(("0,30", frozenset({0, 30}))),
    # Often the hours around midnight, where days on which clocks change are hardest.
    hour=fields(0, 23) | st.just(("0,23", frozenset({0, 23}))),
    day=fields(1, 31),
    month=st.just(("*", frozenset(range(1, 13)))) | fields(1, 12),
    weekday=fields(0, 6),
    gap=st.sampled_from(["skip", "run_after"]),
    fold=st.sampled_from(["first", "second", "both"]),
)
def test_what_is_due_is_what_a_look_at_every_minute_finds(
    where: tuple[str, date],
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
    gap: OnGap,
    fold: OnFold,
) -> None:
    """In any zone, on days clocks change, for any expression and policy, minute by minute."""
    zone = ZoneInfo(where[0])
    expression = " ".join(text for text, _ in (minute, hour, day, month, weekday))
    # Some days no month has.
    assume(month[0] == "*" or min(day[1]) <= 28 or "*" not in weekday[0])
    schedule = cron(expression, tz=where[0], gap=gap, fold=fold)

    def shows(wall: datetime) -> bool:
        by_day, by_week = wall.day in day[1], wall.isoweekday() % 7 in weekday[1]
        either = "*" not in day[0] and "*" not in weekday[0]
        right_day = by_day or by_week if either else by_day and by_week
        return wall.minute in minute[1] and wall.hour in hour[1] and wall.month in month[1] and right_day

    def is_due(now: datetime) -> bool:
        wall, before = (each.astimezone(zone).replace(tzinfo=None) for each in (now, now - MINUTE))
        local = now.astimezone(zone)
        twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
        wanted = fold == "both" or not twice or (local.fold == 1) == (fold == "second")
        left_out = (before + number * MINUTE for number in range(1, (wall - before) // MINUTE))
        return (wanted and shows(wall)) or (gap == "run_after" and any(map(shows, left_out)))

    moments = list(minutes_of(where[1]))
    expected = [each for each in moments if is_due(each)]

    assert list(schedule.due_between(moments[0] - MINUTE, moments[-1])) == expected
    assert all(schedule.is_due(each) for each in expected[:20])
    assert [schedule.is_due(each) for each in moments[:20]] == [each in expected for each in moments[:20]]


def test_periodiq_gets_what_it_asks_for() -> None:
    """It validates its own clock's moments, subtracts what is next from them, and prints the schedule."""
    schedule = cron("*/5  8 * * mon-fri", tz="Europe/Athens")
    now = pendulum.datetime(2026, 1, 5, 6, 5, 30, tz="UTC")

    assert schedule.validate(now)
    assert not schedule.validate(now.add(minutes=1))
    assert (schedule.next_valid_date(now) - now).total_seconds() == 270
    assert f"{schedule!s:<24}" == "*/5 8 * * mon-fri Europe/Athens"
