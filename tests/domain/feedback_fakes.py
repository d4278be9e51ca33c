"""Plain stand-ins for the ports of feedback, for tests that read like a specification."""

from collections.abc import Callable, Sequence, Set
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.errors import DatabaseUnavailable, InvalidInput, JobError
from domain.feedback import Entity, FeedbackEvent, FeedbackPage, FeedbackQuery, Source, WindowCounts
from domain.feedback_ingest import A, B
from domain.ports import T

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def said(event_id: str, **fields: object) -> FeedbackEvent:
    """An event of a moment ago; positive, unless told otherwise."""
    given = {"event_id": event_id, "occurred_at": NOW - timedelta(minutes=1), **fields}
    if not {"rating", "sentiment"} & fields.keys():
        given["rating"] = 5.0
    return FeedbackEvent.model_validate(given)


@dataclass
class Rows:
    """What one org has in the database."""

    events: dict[tuple[Source, str], tuple[Entity, FeedbackEvent]] = field(default_factory=dict)
    windows: dict[tuple[Entity, int], WindowCounts] = field(default_factory=dict)


class FakeFeedback:
    """The repository over the rows of one org."""

    def __init__(self, rows: Rows, failing: dict[Entity, JobError], refused: Set[str]) -> None:
        self._rows = rows
        self._failing = failing
        self._refused = refused
        self._locked = False

    def insert_events(self, source: Source, entity: Entity, events: Sequence[FeedbackEvent]) -> None:
        if entity in self._failing:
            raise self._failing[entity]
        if self._refused & {event.event_id for event in events}:
            raise InvalidInput("the database refused a value")
        for event in events:
            self._rows.events.setdefault((source, event.event_id), (entity, event))

    def lock_windows(self) -> datetime:
        self._locked = True
        return NOW

    def count_windows(
        self, entities: Sequence[Entity], windows: Sequence[int], now: datetime
    ) -> list[WindowCounts]:
        assert self._locked, "counted without the lock"
        return [self._counted(entity, days, now) for entity in entities for days in windows]

    def save_windows(self, windows: Sequence[WindowCounts], now: datetime) -> None:
        self._rows.windows |= {(window.entity, window.window_days): window for window in windows}

    def _counted(self, entity: Entity, days: int, now: datetime) -> WindowCounts:
        within = [
            event.says
            for of, event in self._rows.events.values()
            if of == entity and now - timedelta(days=days) < event.occurred_at <= now
        ]
        return WindowCounts(
            entity=entity,
            window_days=days,
            positive=within.count("positive"),
            negative=within.count("negative"),
            neutral=within.count("neutral"),
        )


class FakeTransactions:
    """Units of work over dictionaries: all of one is kept or none, and orgs do not see each other.

    `failing` is what some entities' events meet; ids in `refused` have a value that is not taken;
    `fails_at_windows` loses the connection over the windows.
    """

    def __init__(
        self,
        *,
        failing: dict[Entity, JobError] | None = None,
        refused: Set[str] = frozenset(),
        fails_at_windows: bool = False,
    ) -> None:
        self.orgs: dict[UUID, Rows] = {}
        self.failing = failing or {}
        self.refused = refused
        self.fails_at_windows = fails_at_windows
        self.committed = 0

    def __call__(self, org_id: UUID, work: Callable[[FakeFeedback], T], *, timeout_s: float = 30.0) -> T:
        before = self.orgs.setdefault(org_id, Rows())
        after = deepcopy(before)
        result = work(FakeFeedback(after, self.failing, self.refused))
        if self.fails_at_windows and after.windows != before.windows:
            raise DatabaseUnavailable("the connection was lost")
        self.orgs[org_id] = after
        self.committed += 1
        return result


class FakeSource:
    """A remote service with pages for each entity; a page that is an error is raised."""

    def __init__(self, pages: dict[str, list[Sequence[FeedbackEvent] | JobError]]) -> None:
        self.asked: list[FeedbackQuery] = []
        self.timeouts_s: list[float | None] = []
        self.circular = False
        self.set_aside: tuple[str, ...] = ()
        self._pages = pages

    def events(self, query: FeedbackQuery, *, timeout_s: float | None) -> FeedbackPage:
        self.asked.append(query)
        self.timeouts_s.append(timeout_s)
        pages = self._pages[query.entity.id]
        number = int(query.cursor or 0)
        page = pages[number]
        if isinstance(page, JobError):
            raise page
        following = number + 1 if number + 1 < len(pages) else 0 if self.circular else None
        cursor = None if following is None else str(following)
        return FeedbackPage(events=page, next_cursor=cursor, set_aside=self.set_aside)


class OneAfterTheOther:
    """`InParallel` that is not; begins at either end, and remembers how wide it was asked to be."""

    def __init__(self, *, from_the_last: bool = False) -> None:
        self.at_once: list[int] = []
        self._step = -1 if from_the_last else 1

    def __call__(
        self, work: Callable[[A], B], items: Sequence[A], *, at_once: int, between: Callable[[int], None]
    ) -> list[B]:
        self.at_once.append(at_once)
        done: list[B] = []
        for item in items[:: self._step]:
            done.append(work(item))
            between(len(done))
        return done[:: self._step]
