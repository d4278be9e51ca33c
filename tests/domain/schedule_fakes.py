"""Fakes of what schedules need: timetables that are arithmetic, and schedules in a dictionary."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from domain.errors import InvalidInput, PermanentError
from domain.schedule_keeping import ScheduleRepository
from domain.schedules import DueSchedules, Schedule, Timetable

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

T = TypeVar("T")


@dataclass(frozen=True)
class Every:
    """Due every so many minutes, counted from the epoch."""

    minutes: int = 60

    @property
    def expression(self) -> str:
        """As `timetables` reads it."""
        return f"every {self.minutes}"

    @property
    def tz(self) -> str:
        """Arithmetic has one zone."""
        return "UTC"

    def next_after(self, moment: datetime) -> datetime:
        """The next multiple."""
        return EPOCH + ((moment - EPOCH) // (self.minutes * MINUTE) + 1) * self.minutes * MINUTE


def timetables(expression: str, tz: str) -> Timetable:
    """Reads what `Every` writes."""
    if not expression.startswith("every "):
        raise InvalidInput(f"{expression} cannot be read")
    return Every(int(expression.split()[1]))


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    """A time on the first day."""
    return EPOCH + timedelta(hours=hour, minutes=minute, seconds=second)


def schedule(**over: object) -> Schedule:
    """An hourly one, due at nine."""
    given: dict[str, object] = {
        "id": uuid4(),
        "org_id": uuid4(),
        "name": "hourly",
        "actor": "report",
        "expression": "every 60",
        "tz": "UTC",
        "payload": {"rows": 3},
        "missed": "coalesce",
        "paused": False,
        "error": None,
        "next_due_at": at(9),
        "last_due_at": None,
        "last_message_id": None,
        "created_by": "ann",
    }
    return Schedule(**{**given, **over})  # type: ignore[arg-type]  # tests give what fits


@dataclass
class FakeSchedules:
    """`DueSchedules` and one org's `ScheduleRepository` in one."""

    time: datetime = EPOCH
    kept: dict[UUID, Schedule] = field(default_factory=dict)
    sent: list[tuple[Schedule, UUID]] = field(default_factory=list)
    refuses: str | None = None
    locked: int = 0

    def now(self) -> datetime:
        """What the test says."""
        return self.time

    def due(self, limit: int, *, known: Collection[str], patience: timedelta) -> list[Schedule]:
        """The longest due first."""
        ready = [
            each
            for each in self.kept.values()
            if not each.paused
            and each.next_due_at <= self.time
            and (each.actor in known or each.next_due_at < self.time - patience)
        ]
        return sorted(ready, key=lambda each: each.next_due_at)[:limit]

    def send(self, schedule: Schedule, message_id: UUID) -> None:
        """Remember it, unless told to refuse."""
        if self.refuses is not None:
            raise InvalidInput(self.refuses)
        if schedule.actor != "report":
            raise PermanentError(f"no actor {schedule.actor} in this process")
        self.sent.append((schedule, message_id))

    def advance(
        self, schedule: Schedule, *, next_due_at: datetime, fired: datetime | None, message_id: UUID | None
    ) -> None:
        """Keep it."""
        last = {} if fired is None else {"last_due_at": fired, "last_message_id": message_id}
        self.kept[schedule.id] = replace(schedule, next_due_at=next_due_at, **last)  # type: ignore[arg-type]  # they fit

    def pause_for(self, schedule: Schedule, error: str) -> None:
        """Keep it."""
        self.kept[schedule.id] = replace(schedule, paused=True, error=error)

    def lock(self) -> None:
        """Count it."""
        self.locked += 1

    def count(self) -> int:
        """All."""
        return len(self.kept)

    def named(self, name: str) -> Schedule | None:
        """By its name."""
        return next((each for each in self.kept.values() if each.name == name), None)

    def get(self, schedule_id: UUID) -> Schedule | None:
        """By its id."""
        return self.kept.get(schedule_id)

    def add(self, schedule: Schedule) -> Schedule:
        """Keep it."""
        self.kept[schedule.id] = replace(schedule, created_at=self.time)
        return self.kept[schedule.id]

    def set_paused(self, schedule_id: UUID, *, paused: bool, next_due_at: datetime) -> None:
        """Keep it."""
        self.kept[schedule_id] = replace(
            self.kept[schedule_id], paused=paused, error=None, next_due_at=next_due_at
        )

    def remove(self, schedule_id: UUID) -> bool:
        """Forget it."""
        return self.kept.pop(schedule_id, None) is not None


@dataclass
class FakeTransactions:
    """Units of work on the fake, each run as often as told: all but the last COMMIT went unheard."""

    repository: FakeSchedules
    runs: int = 1

    def __call__(
        self, org_id: UUID, work: Callable[[ScheduleRepository], T], *, timeout_s: float = 30.0
    ) -> T:
        return [work(self.repository) for _ in range(self.runs)][-1]


@dataclass
class FakeSystemTransactions:
    """The same for the system role."""

    repository: FakeSchedules

    def __call__(self, work: Callable[[DueSchedules], T], *, timeout_s: float = 30.0) -> T:
        return work(self.repository)


@dataclass
class FakePayloads:
    """Knows one actor."""

    refuses: str | None = None
    checked: list[Mapping[str, object]] = field(default_factory=list)

    def check(self, actor: str, payload: Mapping[str, object]) -> None:
        """Remember it, unless told to refuse."""
        if self.refuses is not None:
            raise InvalidInput(self.refuses)
        self.checked.append(payload)
