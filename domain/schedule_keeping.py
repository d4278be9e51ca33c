"""Adding, pausing, resuming and removing the schedules of one org."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Protocol
from uuid import UUID

from pydantic import Field, StringConstraints

from .contract import NO_NUL, Label, Model
from .errors import InvalidInput, NotFound
from .limits import Limits
from .ports import NewId, Transactions
from .schedules import MissedTicks, ReadTimetable, Schedule, json_bytes

#: Bytes of a payload as JSON.
MAX_PAYLOAD_BYTES = 32 * 1024


class NewSchedule(Model):
    """What an org asks for."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=NO_NUL)]
    """Names it within the org."""
    actor: Label
    """Which job it starts."""
    expression: str = Field(min_length=1, max_length=200, pattern=NO_NUL)
    """Five cron fields, or one of @hourly, @daily, @weekly, @monthly, @yearly."""
    tz: str = Field(default="UTC", min_length=1, max_length=64, pattern=NO_NUL)
    """The time zone whose clocks count."""
    payload: Mapping[str, object] = Field(default_factory=dict)
    """The job's contract, without its org."""
    missed: MissedTicks = "coalesce"
    """What becomes of ticks that no worker was there for."""


class Payloads(Protocol):
    """The contracts of the actors there are."""

    def check(self, actor: str, payload: Mapping[str, object]) -> None:
        """Pass if a message of the payload could be sent to the actor.

        Raises:
            InvalidInput: no such actor, it is no org's to start, or it does not take the payload.
        """
        ...


class ScheduleRepository(Protocol):
    """The schedules of one org, within one transaction."""

    def now(self) -> datetime:
        """The database's time."""

    def lock(self) -> None:
        """Keep other transactions from adding to the org's schedules until this one is over."""

    def count(self) -> int:
        """How many the org has."""

    def named(self, name: str) -> Schedule | None:
        """The one with that name."""

    def get(self, schedule_id: UUID) -> Schedule | None:
        """The one with that id, locked."""

    def add(self, schedule: Schedule) -> Schedule:
        """Keep a new one; it, with the time it was made."""

    def set_paused(self, schedule_id: UUID, *, paused: bool, next_due_at: datetime) -> None:
        """Pause or resume it; what it was paused for is forgotten."""

    def remove(self, schedule_id: UUID) -> bool:
        """Delete it; whether it was there."""


@dataclass(frozen=True, kw_only=True)
class KeepSchedules:
    """What an org may do with its schedules.

    Parameters:
        transactions: units of work of one org.
        timetables: reads expressions.
        payloads: knows what actors take.
        new_id: makes ids.
        limits: `max_schedules_per_org`.
    """

    transactions: Transactions[ScheduleRepository]
    timetables: ReadTimetable
    payloads: Payloads
    new_id: NewId
    limits: Limits

    def add(self, org_id: UUID, new: NewSchedule, *, created_by: str) -> Schedule:
        """Add a schedule; it is due for the first time after now.

        Raises:
            InvalidInput: an expression, time zone, actor or payload that cannot be; a name that is taken; as many
                schedules as an org may have.
            DatabaseUnavailable: it may pass later.
        """
        timetable = self.timetables(new.expression, new.tz)
        payload = _without_org(org_id, new.payload)
        self.payloads.check(new.actor, {**payload, "org_id": str(org_id)})
        schedule_id = self.new_id()

        def work(repository: ScheduleRepository) -> Schedule:
            repository.lock()
            taken = repository.named(new.name)
            if taken is not None and taken.id == schedule_id:
                return taken  # this very call, run again after a COMMIT nobody heard of
            if taken is not None:
                raise InvalidInput(f"the org has a schedule {new.name!r} already; choose another name")
            if repository.count() >= self.limits.max_schedules_per_org:
                raise InvalidInput(
                    f"the org has {self.limits.max_schedules_per_org} schedules, as many as it may; remove one"
                )
            return repository.add(
                Schedule(
                    id=schedule_id,
                    org_id=org_id,
                    name=new.name,
                    actor=new.actor,
                    expression=timetable.expression,
                    tz=timetable.tz,
                    payload=payload,
                    missed=new.missed,
                    paused=False,
                    error=None,
                    next_due_at=timetable.next_after(repository.now()),
                    last_due_at=None,
                    last_message_id=None,
                    created_by=created_by,
                )
            )

        return self.transactions(org_id, work)

    def pause(self, org_id: UUID, schedule_id: UUID) -> Schedule:
        """Fire it no more until it is resumed; what is sent already runs. Fine when it is paused.

        Raises:
            NotFound: the org has no such schedule.
        """

        def work(repository: ScheduleRepository) -> Schedule:
            schedule = _found(repository, schedule_id)
            if schedule.paused:
                return schedule
            repository.set_paused(schedule_id, paused=True, next_due_at=schedule.next_due_at)
            return replace(schedule, paused=True, error=None)

        return self.transactions(org_id, work)

    def resume(self, org_id: UUID, schedule_id: UUID) -> Schedule:
        """Fire it again from now on; what would have been due meanwhile is not made up for. Fine when it is not paused.

        Raises:
            NotFound: the org has no such schedule.
            InvalidInput: its actor does not take its payload any more.
        """

        def work(repository: ScheduleRepository) -> Schedule:
            schedule = _found(repository, schedule_id)
            if not schedule.paused:
                return schedule
            self.payloads.check(schedule.actor, schedule.contract())
            timetable = self.timetables(schedule.expression, schedule.tz)
            next_due_at = timetable.next_after(repository.now())
            repository.set_paused(schedule_id, paused=False, next_due_at=next_due_at)
            return replace(schedule, paused=False, error=None, next_due_at=next_due_at)

        return self.transactions(org_id, work)

    def remove(self, org_id: UUID, schedule_id: UUID) -> None:
        """Delete it; what is sent already runs.

        Raises:
            NotFound: the org has no such schedule.
        """
        removed = False

        def work(repository: ScheduleRepository) -> None:
            nonlocal removed
            # Or by this very call, run again after a COMMIT nobody heard of.
            removed = repository.remove(schedule_id) or removed

        self.transactions(org_id, work)
        if not removed:
            raise NotFound("schedule", schedule_id)


def _found(repository: ScheduleRepository, schedule_id: UUID) -> Schedule:
    schedule = repository.get(schedule_id)
    if schedule is None:
        raise NotFound("schedule", schedule_id)
    return schedule


def _without_org(org_id: UUID, payload: Mapping[str, object]) -> dict[str, object]:
    if str(payload.get("org_id", org_id)) != str(org_id):
        raise InvalidInput("org_id in the payload is not the schedule's org; leave it out")
    if payload.get("idempotency_key") is not None:
        raise InvalidInput(
            "with an idempotency_key in its payload a schedule would run once; leave it out, each run has its own"
        )
    kept = {name: value for name, value in payload.items() if name != "org_id"}
    if json_bytes(kept) > MAX_PAYLOAD_BYTES:
        raise InvalidInput(f"the payload is over {MAX_PAYLOAD_BYTES} bytes of JSON; store it and name its id")
    return kept
