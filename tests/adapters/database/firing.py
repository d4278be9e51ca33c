"""A worker's duty to fire schedules, on the real outbox."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Engine

from adapters.database.schedules import SqlDueSchedules
from adapters.database.transactions import SqlSystemTransactions
from adapters.database.unit_of_work import SystemUnitOfWork
from adapters.outbox import EncodedMessage, SqlOutbox
from domain.errors import InvalidInput, PermanentError
from domain.schedules import FireSchedules, Schedule
from tests.domain.schedule_fakes import timetables

Sending = Callable[[SystemUnitOfWork, Schedule], object]


@dataclass
class Firing:
    """A worker's duty on the real outbox, that remembers what it sent."""

    engine: Engine
    before_each: Sending = lambda unit, schedule: None
    sent: list[tuple[UUID, UUID]] = field(default_factory=list)
    counted: list[tuple[str, Mapping[str, str], int]] = field(default_factory=list)

    def __call__(self) -> None:
        """Until nothing is due."""
        fire = FireSchedules(
            transactions=SqlSystemTransactions(
                self.engine, lambda unit: SqlDueSchedules(unit, self._send), lambda: None
            ),
            timetables=timetables,
            actors=lambda: {"report"},
            count=lambda name, labels, by: self.counted.append((name, labels, by)),
        )
        while fire():
            pass

    def _send(self, unit: SystemUnitOfWork, schedule: Schedule, message_id: UUID) -> None:
        self.before_each(unit, schedule)
        SqlOutbox(encode).send(unit, schedule.actor, schedule.contract(), message_id=message_id)
        self.sent.append((schedule.id, message_id))


def encode(
    actor_name: str,
    contract: BaseModel | Mapping[str, object] | None,
    *,
    message_id: UUID,
    options: Mapping[str, object],
) -> EncodedMessage:
    """A message for an actor that takes anything but what it `refuses`."""
    assert isinstance(contract, Mapping)
    if actor_name != "report":
        raise PermanentError(f"no actor {actor_name} in this process")
    if "refuses" in contract:
        raise InvalidInput(f"{actor_name} refuses this payload: refuses: Extra inputs are not permitted")
    return EncodedMessage(b"a message", UUID(str(contract["org_id"])))
