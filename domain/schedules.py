"""Schedules that orgs keep: what one is, when it is due, and what is done about the times nobody fired it.

How they are added, paused and removed is in `schedule_keeping`; how they are fired is here, since it is one rule.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID, uuid5

from .errors import InvalidInput, PermanentError
from .ports import SystemTransactions

#: A tick that is at most so late is fired as if it were on time.
GRACE = timedelta(seconds=60)

#: Schedules fired in one transaction.
BATCH_ROWS = 100

#: How long a schedule is left to workers that know its actor, which those of an older release do not. After that
#: nobody does.
PATIENCE = timedelta(hours=1)

#: Ticks of one schedule that are counted as missed at most; beyond, there is no need to know.
MAX_COUNTED = 1_000

#: What becomes of ticks that are later than the grace: they are left out, or one run stands for all of them.
MissedTicks = Literal["skip", "coalesce"]

#: What a change of clocks has to do with a tick: it stands for times that its day does not have, is one of two equal
#: ones, or is the last one before such a time is left out.
ClockChange = Literal["gap", "fold", "skipped"]

_MINUTE = timedelta(minutes=1)


class Timetable(Protocol):
    """When something is due: whole minutes, in UTC."""

    @property
    def expression(self) -> str:
        """The cron expression, tidied up."""
        ...

    @property
    def tz(self) -> str:
        """The time zone whose clocks count."""
        ...

    def next_after(self, moment: datetime) -> datetime:
        """The first minute that is due after the minute of `moment`."""
        ...


#: What a change of clocks has to do with a minute at which an expression in a time zone is due, if anything.
ReadClockChange = Callable[[str, str, datetime], ClockChange | None]

#: Reads an expression and a time zone. Raises `InvalidInput`, saying the field and the fix.
ReadTimetable = Callable[[str, str], Timetable]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A schedule as it is kept."""

    id: UUID
    org_id: UUID
    name: str
    actor: str
    expression: str
    tz: str
    #: What each message carries, without the org, which is the schedule's.
    payload: Mapping[str, object]
    missed: MissedTicks
    paused: bool
    #: Why it paused itself; None when a person did.
    error: str | None
    next_due_at: datetime
    last_due_at: datetime | None
    last_message_id: UUID | None
    created_by: str
    created_at: datetime | None = None

    def contract(self) -> dict[str, object]:
        """What a message carries. The org is forced here, where no stored value can name another."""
        return {**self.payload, "org_id": str(self.org_id)}


@dataclass(frozen=True, kw_only=True)
class Tick:
    """What is to be done about a schedule that is due."""

    #: The minute to fire; None for nothing.
    fire: datetime | None
    #: When it is due next; not in the past when something was fired on time, but it may be.
    next_due_at: datetime
    #: Ticks that are left out or stood for, counted up to `MAX_COUNTED`.
    missed: int = 0


class DueSchedules(Protocol):
    """Schedules of every org, within one transaction of the system role."""

    def now(self) -> datetime:
        """The database's time, the same throughout the transaction."""

    def due(self, limit: int, *, known: Collection[str], patience: timedelta) -> list[Schedule]:
        """Those that are due and not paused, the longest due first, locked; those locked by others are passed over.

        Parameters:
            limit: how many at most.
            known: actors that this process knows.
            patience: those of other actors only when they are so late.
        """

    def send(self, schedule: Schedule, message_id: UUID) -> None:
        """Have its message sent once the transaction is committed.

        Raises:
            PermanentError: no such actor, or it does not take the payload; nothing was written.
        """

    def advance(
        self, schedule: Schedule, *, next_due_at: datetime, fired: datetime | None, message_id: UUID | None
    ) -> None:
        """Keep when it is due next and, unless None, what was fired."""

    def pause_for(self, schedule: Schedule, error: str) -> None:
        """Pause it, and keep why."""


def no_clock_change(expression: str, tz: str, due: datetime) -> ClockChange | None:
    """A `ReadClockChange` of clocks that nobody changes."""
    return None


#: Adds a number to a counter with labels.
Count = Callable[[str, Mapping[str, str], int], None]


@dataclass(frozen=True, kw_only=True)
class FireSchedules:
    """Fires what is due, a batch a call; any number of workers share the work.

    Sending a tick and moving the schedule on to the next one is one transaction under the schedule's lock: a crash at
    any point leaves either both or neither, so that no tick is lost or fired twice. A message's id is made of the
    schedule and the minute. What cannot be sent any more, since the actor or its contract has changed, pauses its
    schedule, with the reason; nothing is dropped without a word.

    Counters: `schedule_ticks_total` by actor and outcome (`sent`, `refused`), `schedule_missed_total` by actor and
    policy (`skip`, `coalesce`), the latter up to 1,000 a schedule and time, `schedule_clock_changes_total` by actor and
    change (`gap`: fired after the hour that its day does not have; `fold`: fired in the hour that it has twice;
    `skipped`: the next one is left out).

    Parameters:
        transactions: units of work of the system role.
        timetables: reads expressions.
        actors: names those that this process knows. A schedule of another one is left to other workers for an hour.
        count: takes the counters.
        clock_changes: knows on which minutes clocks are changed. Default: on none.

    Example:
        >>> while fire():
        ...     pass
    """

    transactions: SystemTransactions[DueSchedules]
    timetables: ReadTimetable
    actors: Callable[[], Collection[str]]
    count: Count
    clock_changes: ReadClockChange = no_clock_change

    def __call__(self) -> bool:
        """Fire one batch; whether there may be more.

        Raises:
            DatabaseUnavailable: nothing was fired, or it was and is not fired again.
        """
        # Counted afterwards: a unit of work may be run again.
        counts = self.transactions(self._fire)
        for name, labels, by in counts:
            self.count(name, labels, by)
        return bool(counts)

    def _fire(self, repository: DueSchedules) -> list[tuple[str, dict[str, str], int]]:
        due = repository.due(BATCH_ROWS, known=self.actors(), patience=PATIENCE)
        now = repository.now() if due else None
        counts = list[tuple[str, dict[str, str], int]]()
        for schedule in due:
            labels = {"actor": schedule.actor}
            try:
                tick = decide(
                    self.timetables(schedule.expression, schedule.tz),
                    schedule.next_due_at,
                    now or schedule.next_due_at,
                    schedule.missed,
                )
                message_id = None if tick.fire is None else message_id_of(schedule.id, tick.fire)
                if message_id is not None:
                    repository.send(schedule, message_id)
            except PermanentError as error:
                repository.pause_for(schedule, f"{error}; repair it or add a new one, and resume it")
                counts.append(("schedule_ticks_total", {**labels, "outcome": "refused"}, 1))
                continue
            repository.advance(schedule, next_due_at=tick.next_due_at, fired=tick.fire, message_id=message_id)
            if tick.fire is not None:
                counts.append(("schedule_ticks_total", {**labels, "outcome": "sent"}, 1))
                change = self.clock_changes(schedule.expression, schedule.tz, tick.fire)
                if change is not None:
                    counts.append(("schedule_clock_changes_total", {**labels, "change": change}, 1))
            if tick.missed:
                missed = {**labels, "policy": schedule.missed}
                counts.append(("schedule_missed_total", missed, tick.missed))
        return counts


def decide(timetable: Timetable, due: datetime, now: datetime, missed: MissedTicks) -> Tick:
    """What is to be done about a schedule that is due since `due`.

    On time, within the grace, its tick is fired. Later, `skip` goes on to the first tick that is still within the
    grace, or else in the future, and `coalesce` fires the latest one, which stands for all before it.

    Example:
        >>> decide(hourly, at(8), at(11, 30), "coalesce")
        Tick(fire=at(11), next_due_at=at(12), missed=3)
    """
    if now - due <= GRACE:
        return Tick(fire=due, next_due_at=timetable.next_after(due))
    if missed == "coalesce":
        latest = latest_until(timetable, due, now)
        return Tick(
            fire=latest,
            next_due_at=timetable.next_after(latest),
            missed=_count(timetable, due, latest),
        )
    # A minute is within the grace when it begins no earlier than that before now.
    following = timetable.next_after(_whole_minute_from(now - GRACE) - _MINUTE)
    return Tick(fire=None, next_due_at=following, missed=_count(timetable, due, following))


def latest_until(timetable: Timetable, due: datetime, now: datetime) -> datetime:
    """The latest tick up to `now`, `due` being one. Asks about 20 times for a year of minutes.

    Example:
        >>> latest_until(hourly, at(8), at(11, 30))
        at(11)
    """
    # The latest tick follows the latest minute that still has one between itself and now.
    low, high = 0, max(0, (now - due) // _MINUTE)
    latest = due
    while low < high:
        middle = (low + high) // 2
        found = timetable.next_after(due + middle * _MINUTE)
        if found <= now:
            low, latest = max(middle + 1, (found - due) // _MINUTE), found
        else:
            high = middle
    return latest


def message_id_of(schedule_id: UUID, due: datetime) -> UUID:
    """The id of the message of a tick: the same whoever fires it.

    Example:
        >>> message_id_of(schedule.id, due) == message_id_of(schedule.id, due)
        True
    """
    return uuid5(schedule_id, due.astimezone(UTC).isoformat(timespec="minutes"))


def json_bytes(payload: Mapping[str, object]) -> int:
    """How large a payload is as JSON.

    Raises:
        InvalidInput: it is not plain JSON.
    """
    try:
        return len(json.dumps(payload, allow_nan=False).encode())
    except (TypeError, ValueError):
        raise InvalidInput("the payload is not plain JSON data") from None


def _count(timetable: Timetable, due: datetime, until: datetime) -> int:
    """The ticks from `due` on and before `until`."""
    count = 0
    while due < until and count < MAX_COUNTED:
        count, due = count + 1, timetable.next_after(due)
    return count


def _whole_minute_from(moment: datetime) -> datetime:
    down = moment.replace(second=0, microsecond=0)
    return down if down == moment else down + _MINUTE
