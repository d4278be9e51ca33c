"""Schedules: jobs that an org has started again and again, added, paused and removed while everything runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from dramatiq import Broker
from pydantic import JsonValue, ValidationError

from domain.errors import InvalidInput, NotFound
from domain.schedule_keeping import KeepSchedules, NewSchedule
from domain.schedules import MissedTicks, Schedule
from middleware.cron.missed_ticks import schedules

from .audit import AuditLog, Section, changes, reads
from .caller import Caller
from .jobs import check_limit
from .orgs import OrgRepository


class ScheduleLists(Protocol):
    """Schedules to look at. Every method may raise `DatabaseUnavailable`."""

    def page(self, *, org_id: UUID | None, after: UUID | None, limit: int) -> Sequence[Schedule]:
        """Schedules in the order they were made, those after `after`; with `org_id`, that org's alone."""
        ...

    def find(self, schedule_id: UUID, *, org_id: UUID | None) -> Schedule | None:
        """The one with that id; with `org_id`, only if it is that org's."""
        ...


@dataclass(frozen=True, kw_only=True)
class BuiltIn:
    """A schedule that comes with a job of the platform."""

    actor: str
    expression: str
    tz: str
    next_due_at: datetime


class Schedules(Section):
    """What callers may do with schedules. An org's caller sees its own org's; an operator every org's.

    Parameters:
        audit: keeps who did what.
        lists: finds them.
        keep: adds, pauses, resumes and removes them; asked for when something is to be changed.
        orgs: finds them.
        broker: gives the broker with its actors.

    Raises:
        NotFound: from every method that names a schedule: there is none, or it is another org's.
        JobError: from every method: the database does not answer; `retryable` says so.

    Example:
        >>> control.schedules.add(caller, "weekly", "domain_export", "0 8 * * mon", {"domain_id": "..."})
    """

    def __init__(
        self,
        audit: AuditLog,
        lists: ScheduleLists,
        keep: Callable[[], KeepSchedules],
        orgs: OrgRepository,
        broker: Callable[[], Broker],
    ) -> None:
        super().__init__(audit)
        self._broker = broker
        self._lists = lists
        self._orgs = orgs
        self._keep = keep

    @changes("schedules.add", "name", "actor", "expression", "org_id")
    def add(
        self,
        caller: Caller,
        name: str,
        actor: str,
        expression: str,
        payload: Mapping[str, JsonValue] | None = None,
        *,
        tz: str = "UTC",
        missed: MissedTicks = "coalesce",
        org_id: UUID | None = None,
    ) -> Schedule:
        """Have a job started whenever an expression says, for the caller's org.

        Parameters:
            name: names it within the org.
            actor: which job.
            expression: five cron fields, or one of @hourly, @daily, @weekly, @monthly, @yearly.
            payload: the job's contract as plain JSON data, without `org_id` and `idempotency_key`. Default empty.
            tz: the time zone whose clocks count. Default UTC.
            missed: what becomes of ticks that are over a minute late: `coalesce`, the latest is run for all, or `skip`.
            org_id: whose. Default: the caller's; an operator has to say.

        Raises:
            NotFound: there is no such org, or it is not the caller's.
            InvalidInput: what is wrong with which of these, or the org has as many schedules as it may.
        """
        given = {"name": name, "actor": actor, "expression": expression, "payload": dict(payload or {})}
        try:
            new = NewSchedule.model_validate({**given, "tz": tz, "missed": missed})
        except ValidationError as error:
            faults = error.errors(include_url=False, include_context=False, include_input=False)
            raise InvalidInput(
                "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in faults)
            ) from None
        wanted = caller.org_id or org_id
        if wanted is None:
            raise InvalidInput("say which org's it is to be; an operator acts for none in particular")
        if self._orgs.get(wanted) is None:
            raise NotFound("org", wanted)
        return self._keep().add(wanted, new, created_by=caller.who)

    @reads("schedules.list", "org_id")
    def list(
        self,
        caller: Caller,
        *,
        org_id: UUID | None = None,
        after: UUID | None = None,
        limit: int = 50,
    ) -> Sequence[Schedule]:
        """A page of schedules in the order they were made.

        Parameters:
            org_id: only this org's. Default: the caller's; an operator's, every one.
            after: the id of the last one of the page before. Default None, from the first.
            limit: 1 to 1,000. Default 50.

        Raises:
            InvalidInput: `limit` is out of bounds.
        """
        check_limit(limit)
        return self._lists.page(org_id=caller.org_id or org_id, after=after, limit=limit)

    @reads("schedules.built_in", operators_only=True)
    def built_in(self, caller: Caller) -> Sequence[BuiltIn]:
        """The platform's own, which come with its jobs and are nobody's to change, by actor."""
        now = datetime.now(UTC)
        return [
            BuiltIn(
                actor=actor,
                expression=each.expression,
                tz=each.zone.key,
                next_due_at=each.next_after(now),
            )
            for actor, each in sorted(schedules(self._broker()))
        ]

    @reads("schedules.show", "schedule_id")
    def show(self, caller: Caller, schedule_id: UUID) -> Schedule:
        """Show a schedule, with what it did last and why it paused itself."""
        return self._found(caller, schedule_id)

    @changes("schedules.pause", "schedule_id")
    def pause(self, caller: Caller, schedule_id: UUID) -> Schedule:
        """Start it no more until it is resumed; what was started already runs."""
        return self._keep().pause(self._found(caller, schedule_id).org_id, schedule_id)

    @changes("schedules.resume", "schedule_id")
    def resume(self, caller: Caller, schedule_id: UUID) -> Schedule:
        """Start it again, from now on: what would have been due meanwhile is not made up for.

        Raises:
            InvalidInput: its actor does not take its payload any more; remove it and add another.
        """
        return self._keep().resume(self._found(caller, schedule_id).org_id, schedule_id)

    @changes("schedules.remove", "schedule_id")
    def remove(self, caller: Caller, schedule_id: UUID) -> None:
        """Remove it for good; what was started already runs."""
        self._keep().remove(self._found(caller, schedule_id).org_id, schedule_id)

    def _found(self, caller: Caller, schedule_id: UUID) -> Schedule:
        schedule = self._lists.find(schedule_id, org_id=caller.org_id)
        if schedule is None:
            raise NotFound("schedule", schedule_id)
        return schedule
