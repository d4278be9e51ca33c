"""Wires schedules: how expressions are read, what actors take, who keeps them and who fires them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING
from uuid import UUID

from dramatiq import Broker
from pydantic import BaseModel

from app.settings import Settings
from domain.errors import InvalidInput
from domain.schedules import ClockChange, FireSchedules, Schedule, Timetable
from middleware import cron, emit_counter
from middleware.base.payloads import contract_of
from middleware.cron.guard import CronSchedule, InvalidSchedule

from .outbox import MessageEncoder, build_outbox
from .periodic_tasks import PeriodicTask

#: What may follow the five fields, about days on which clocks change.
_OPTION = re.compile(r"(gap|fold)=(\w+)")

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from adapters.database.unit_of_work import SystemUnitOfWork
    from adapters.outbox import SqlOutbox
    from domain.schedule_keeping import KeepSchedules


def fire_schedules(engine: "Engine", broker: Broker) -> PeriodicTask:
    """The periodic task of every worker to fire what is due. A `MakePeriodicTask`."""
    from adapters.database.schedules import SqlDueSchedules
    from adapters.database.transactions import SqlSystemTransactions

    send = partial(send_tick, build_outbox(lambda: broker))
    return FireSchedules(
        transactions=SqlSystemTransactions(engine, lambda unit: SqlDueSchedules(unit, send), lambda: None),
        timetables=read_timetable,
        actors=lambda: broker.actors.keys(),
        count=lambda name, labels, by: emit_counter(name, labels, by=by),
        clock_changes=read_clock_change,
    )


def keep_schedules(settings: Settings, engine: "Engine", broker: Callable[[], Broker]) -> "KeepSchedules":
    """What orgs do with their schedules.

    Parameters:
        settings: say how many an org may have.
        engine: connects as the worker role.
        broker: gives the broker whose actors may be scheduled.
    """
    from adapters.database.schedules import SqlSchedules
    from adapters.database.transactions import SqlTransactions
    from adapters.ids import uuid7
    from domain.schedule_keeping import KeepSchedules

    return KeepSchedules(
        transactions=SqlTransactions(engine, SqlSchedules, lambda: None),
        timetables=read_timetable,
        payloads=ActorPayloads(broker),
        new_id=uuid7,
        limits=settings.limits,
    )


def send_tick(outbox: "SqlOutbox", unit: "SystemUnitOfWork", schedule: Schedule, message_id: UUID) -> None:
    """Have a tick's message sent with the transaction that fires it."""
    outbox.send(unit, schedule.actor, schedule.contract(), message_id=message_id)


def read_timetable(expression: str, tz: str) -> Timetable:
    """`domain.schedules.ReadTimetable`, by the rules of `middleware.cron.guard`. A time that a day does not have is due
    right after the gap, unless the expression ends with `gap=skip`; `fold=` says which of two equal times counts.

    Raises:
        InvalidInput: says the field and the fix.

    Example:
        >>> read_timetable("0 8 * * mon-fri", "Europe/Athens").next_after(now)
    """
    return _read(expression, tz)


def read_clock_change(expression: str, tz: str, due: datetime) -> ClockChange | None:
    """`domain.schedules.ReadClockChange`, on the time zones that there are.

    Example:
        >>> read_clock_change("30 2 * * *", "Europe/Berlin", datetime(2027, 3, 28, 1, tzinfo=UTC))
        'gap'
    """
    return _read(expression, tz).clock_change_at(due)


# Every worker reads the same few again and again, each time it fires them.
@lru_cache(maxsize=1_024)
def _read(expression: str, tz: str) -> "_CronTimetable":
    fields, options = _without_options(expression)
    try:
        schedule = cron(fields, tz=tz, **options)  # type: ignore[arg-type]  # it looks itself at what they are
        after_gap = cron(fields, tz=tz, **{**options, "gap": "run_after"})  # type: ignore[arg-type]
    except InvalidSchedule as error:
        raise InvalidInput(str(error)) from None
    # As crontab(8) does: whoever writes "every day at 2:30" wants it on the day that has no 2:30, too. What is due
    # every hour goes by the clock's running, and misses nothing.
    if "gap" not in options and not schedule.fields.every_hour:
        schedule = after_gap
    written = " ".join([schedule.expression, *(f"{name}={value}" for name, value in sorted(options.items()))])
    return _CronTimetable(written, schedule, after_gap)


def _without_options(expression: str) -> tuple[str, dict[str, str]]:
    words = expression.split()
    options: dict[str, str] = {}
    while words and (option := _OPTION.fullmatch(words[-1].lower())) is not None:
        if option[1] in options:
            raise InvalidInput(f"{expression!r} says {option[1]} twice; write it once")
        options[option[1]] = option[2]
        words.pop()
    return " ".join(words), options


class ActorPayloads:
    """`domain.schedule_keeping.Payloads` on a broker's actors.

    Parameters:
        broker: gives the broker.
    """

    def __init__(self, broker: Callable[[], Broker]) -> None:
        self._broker = broker
        self._encode = MessageEncoder(broker)

    def check(self, actor: str, payload: Mapping[str, object]) -> None:
        """Pass if a message of the payload could be sent to the actor.

        Raises:
            InvalidInput: no such actor, it is no org's to start, or it does not take the payload.
        """
        broker = self._broker()
        theirs = {name for name, each in broker.actors.items() if _is_an_orgs(contract_of(each))}
        if actor not in theirs:
            raise InvalidInput(
                f"{actor} is no job that an org can schedule; there are: {', '.join(sorted(theirs))}"
            )
        self._encode(actor, payload, message_id=UUID(int=0), options={})


@dataclass(frozen=True)
class _CronTimetable:
    expression: str
    _schedule: CronSchedule
    #: The same, with nothing left out where clocks are put forward.
    _after_gap: CronSchedule

    @property
    def tz(self) -> str:
        return self._schedule.zone.key

    def next_after(self, moment: datetime) -> datetime:
        return self._schedule.next_after(moment)

    def clock_change_at(self, due: datetime) -> ClockChange | None:
        change = self._schedule.clock_change_at(due)
        is_skipped = (
            self._schedule.gap == "skip"
            and not self._schedule.fields.every_hour
            and self._after_gap.next_after(due) < self._schedule.next_after(due)
        )
        return "skipped" if is_skipped else change


def _is_an_orgs(contract: type[BaseModel] | None) -> bool:
    return contract is not None and "org_id" in contract.model_fields
