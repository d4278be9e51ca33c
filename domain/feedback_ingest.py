"""Feedback in, event by event and once each; what it adds up to out, per entity and window."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Protocol, Self, TypeVar

from pydantic import Field, model_validator

from .contract import Instant, Label, Model, TenantJob
from .errors import Cancelled, DeadlineExceeded, InvalidInput, InvalidReply, JobError, SizeLimitExceeded
from .feedback import (
    Entity,
    EntityType,
    FeedbackEvent,
    FeedbackQuery,
    FeedbackSource,
    Source,
    WindowCounts,
)
from .limits import Limits
from .ports import Clock, Run, Transactions

#: Entities that one job may carry (MAX_ENTITIES). A setting can lower it.
MAX_ENTITIES = Limits().max_entities
#: Events that come with one entity.
MAX_EVENTS_PER_ENTITY = 100
#: Entities worked on at once.
ENTITIES_AT_ONCE = 10
#: Pages that one entity's feedback may have at the source.
MAX_PAGES = 100
#: Bound on one page, requests that are repeated included.
PAGE_TIMEOUT_S = 30.0
#: Bound on every statement.
WRITE_TIMEOUT_S = 30.0
#: Events that were set aside of which a result holds the reasons.
MAX_SET_ASIDE = 20
#: Characters kept of the reason why an entity failed, so that a hundred of them fit a stored result.
MAX_REASON_CHARS = 300

A = TypeVar("A")
B = TypeVar("B")

logger = logging.getLogger(__name__)


class EntityFeedback(Model):
    """What there is about one entity."""

    id: Label
    """The entity, in the org's own words; 200 characters at most."""
    type: EntityType
    """What kind of thing it is."""
    data: Annotated[tuple[FeedbackEvent, ...], Field(strict=False, max_length=MAX_EVENTS_PER_ENTITY)] = ()
    """1-100 events; none where the source is `sync`."""


class FeedbackIngest(TenantJob):
    """Ask for feedback to be taken in.

    Example:
        >>> event = FeedbackEvent(event_id="review-1", rating=5, occurred_at=yesterday)
        >>> FeedbackIngest(
        ...     org_id=org,
        ...     source="api",
        ...     entities=(EntityFeedback(id="post-1", type="content", data=(event,)),),
        ...     timestamp=now,
        ... )
    """

    source: Source
    """How it comes: with the job, or for `sync` from the configured source."""
    entities: Annotated[
        tuple[EntityFeedback, ...], Field(strict=False, min_length=1, max_length=MAX_ENTITIES)
    ]
    """1-100 entities; one that is listed twice is one entity with the events of both."""
    timestamp: Instant
    """When the caller put this together. Windows are not counted from it but from when the job runs."""

    @model_validator(mode="after")
    def _has_what_its_source_needs(self) -> Self:
        if self.source == "sync":
            if any(entity.data for entity in self.entities):
                raise ValueError("entities must come without data where source is sync")
        elif not all(entity.data for entity in self.entities):
            raise ValueError("entities need at least one event each, unless source is sync")
        return self


class EntityFailure(Model):
    """An entity whose feedback could not be taken in, and why."""

    id: str
    type: EntityType
    category: str
    message: str


class SetAside(Model):
    """An event that could not be used, and why."""

    id: str
    """Of the entity."""
    type: EntityType
    reason: str


class IngestOutcome(Model):
    """What came of it."""

    processed: int
    """Entities whose windows are up to date now."""
    failed: int
    """Entities that are not; another job with the same events loses and doubles nothing."""
    windows: tuple[WindowCounts, ...]
    errors: tuple[EntityFailure, ...]
    set_aside: int = 0
    """Events that could not be used; all others were taken in."""
    reasons: tuple[SetAside, ...] = ()
    """Why; at most 20."""


class FeedbackRepository(Protocol):
    """The feedback of an org, within one transaction."""

    def insert_events(self, source: Source, entity: Entity, events: Sequence[FeedbackEvent]) -> None:
        """Add those whose ids the source has not brought before; of two with one id, the first."""

    def lock_windows(self) -> datetime:
        """Wait until no other job counts for this org, and hold that; the database's time then.

        Without it a job that counted earlier could write later, and undo what another one had counted.
        """

    def count_windows(
        self, entities: Sequence[Entity], windows: Sequence[int], now: datetime
    ) -> Sequence[WindowCounts]:
        """Events after `now` minus so many days, up to and including `now`; entities without any count zero."""

    def save_windows(self, windows: Sequence[WindowCounts], now: datetime) -> None:
        """Put these counts in the place of those there are, in multi-row statements."""


class InParallel(Protocol):
    """Does the same with several things at once."""

    def __call__(
        self,
        work: Callable[[A], B],
        items: Sequence[A],
        *,
        at_once: int,
        between: Callable[[int], None],
    ) -> list[B]:
        """What `work` makes of each item, in their order.

        Parameters:
            work: called in other threads, with what this thread knows of its job.
            items: what to call it with.
            at_once: how many of them at most are in flight at a time.
            between: called in this thread, several times a second, with the number of items that are done.

        Raises:
            Exception: the first that `work` or `between` raised; items not in flight by then are left alone.
        """


@dataclass(frozen=True, kw_only=True)
class IngestFeedback:
    """The handler.

    Events are facts and are kept as they come, each once for its org, source and id; all windows are then written in
    one transaction. Whatever ends a job in between, the next one that has to do with the entity counts every event.

    Parameters:
        run: the surroundings of this attempt.
        transactions: units of work over the org's feedback; several threads call it.
        source: where `sync` asks.
        in_parallel: works on several entities at once.
        limits: `windows`, and `max_entities` where it is below the contract's.
        clock: the time now, for what the source is asked for. Windows are counted by the database's.
    """

    run: Run
    transactions: Transactions[FeedbackRepository]
    source: FeedbackSource
    in_parallel: InParallel
    limits: Limits
    clock: Clock

    def __call__(self, job: FeedbackIngest) -> IngestOutcome:
        """Take in the feedback of one job.

        Parameters:
            job: the feedback, or what to ask the source for.

        Raises:
            InvalidInput: more entities than this platform allows.
            JobError: not one entity could be taken in; what another attempt can help with comes before what it cannot.
            DatabaseUnavailable: the windows could not be written. Events that were taken in stay.
            Cancelled, DeadlineExceeded: between two steps; events stay, no window was changed.
        """
        if len(job.entities) > self.limits.max_entities:
            raise InvalidInput(
                f"{len(job.entities)} entities in one job, at most {self.limits.max_entities} are allowed; send several"
            )
        entities = _merged(job)
        taken = self._take_in(job, entities)
        failures = {entity: each.error for entity, each in taken.items() if each.error is not None}
        if len(failures) == len(entities):
            raise _most_hopeful(list(failures.values()))
        done = [entity for entity in entities if entity not in failures]
        self.run.checkpoint()
        windows = self.transactions(
            job.org_id,
            lambda repository: _update_windows(repository, done, sorted(set(self.limits.windows))),
            timeout_s=WRITE_TIMEOUT_S,
        )
        self.run.progress(100, "done")
        return IngestOutcome(
            processed=len(done),
            failed=len(failures),
            windows=tuple(windows),
            errors=tuple(_failure_of(entity, error) for entity, error in failures.items()),
            set_aside=sum(len(each.set_aside) for each in taken.values()),
            reasons=tuple(
                SetAside(id=entity.id, type=entity.type, reason=reason)
                for entity, each in taken.items()
                for reason in each.set_aside
            )[:MAX_SET_ASIDE],
        )

    def _take_in(
        self, job: FeedbackIngest, entities: dict[Entity, list[FeedbackEvent]]
    ) -> dict[Entity, "_Taken"]:
        since = self.clock() - timedelta(days=max(self.limits.windows))

        def one(entity: Entity) -> _Taken:
            taken = _Taken()
            try:
                if job.source == "sync":
                    self._pull(job, entity, since, taken)
                else:
                    self._store(job, entity, entities[entity], taken)
                    if len(taken.set_aside) == len(entities[entity]):
                        taken.error = taken.refusal
                        taken.set_aside.clear()
            except (Cancelled, DeadlineExceeded):
                raise  # these end the job, not the entity
            except JobError as error:
                taken.error = error
            return taken

        described = 0

        def tell(number: int) -> None:
            nonlocal described
            self.run.checkpoint()
            if number > described:
                described = number
                self.run.progress(80 * number // len(entities), f"{number} of {len(entities)} entities")

        self.run.checkpoint()
        ended = self.in_parallel(one, list(entities), at_once=ENTITIES_AT_ONCE, between=tell)
        failures = [taken.error for taken in ended if taken.error is not None]
        for category in sorted({error.category for error in failures}):
            number = sum(error.category == category for error in failures)
            logger.warning("%s of %s entities failed (%s).", number, len(entities), category)
        if any(taken.set_aside for taken in ended):
            number = sum(len(taken.set_aside) for taken in ended)
            logger.warning("%s events were set aside; the job's result says why.", number)
        return dict(zip(entities, ended, strict=True))

    def _pull(self, job: FeedbackIngest, entity: Entity, since: datetime, taken: "_Taken") -> None:
        cursor: str | None = None
        seen = set[str]()
        for _ in range(MAX_PAGES):
            self.run.checkpoint()
            query = FeedbackQuery(org_id=job.org_id, entity=entity, since=since, cursor=cursor)
            page = self.source.events(query, timeout_s=_share(self.run.remaining_s()))
            # Page by page: memory stays flat, and what came before a fault is not asked for in vain.
            self._store(job, entity, page.events, taken)
            taken.set_aside += page.set_aside
            cursor = page.next_cursor
            if cursor is None:
                return
            if cursor in seen:
                raise InvalidReply("the source's pages lead back to one of their own; check its paging")
            seen.add(cursor)
        raise SizeLimitExceeded(
            f"the source has more than {MAX_PAGES} pages for this entity; let it send larger ones"
        )

    def _store(
        self, job: FeedbackIngest, entity: Entity, events: Sequence[FeedbackEvent], taken: "_Taken"
    ) -> None:
        if not events:
            return
        try:
            self.transactions(
                job.org_id,
                lambda repository: repository.insert_events(job.source, entity, events),
                timeout_s=WRITE_TIMEOUT_S,
            )
        except InvalidInput as error:
            # One of them has a value that the database refuses; the others shall not wait for it to go away.
            if len(events) == 1:
                taken.set_aside.append(f"event {events[0].event_id}: {error}"[:MAX_REASON_CHARS])
                taken.refusal = error
                return
            middle = len(events) // 2
            self._store(job, entity, events[:middle], taken)
            self._store(job, entity, events[middle:], taken)


@dataclass
class _Taken:
    """How it went with one entity."""

    set_aside: list[str] = field(default_factory=list)
    error: JobError | None = None
    #: What the database said of the last event that it refused.
    refusal: InvalidInput | None = None


def _merged(job: FeedbackIngest) -> dict[Entity, list[FeedbackEvent]]:
    """Each entity once; each event with the entity that it is listed with first."""
    merged: dict[Entity, list[FeedbackEvent]] = {}
    known = set[str]()
    for listed in job.entities:
        events = merged.setdefault(Entity(listed.type, listed.id), [])
        for event in listed.data:
            if event.event_id not in known:
                known.add(event.event_id)
                events.append(event)
    return merged


def _update_windows(
    repository: FeedbackRepository, entities: Sequence[Entity], windows: Sequence[int]
) -> Sequence[WindowCounts]:
    now = repository.lock_windows()
    counts = repository.count_windows(entities, windows, now)
    repository.save_windows(counts, now)
    return counts


def _share(remaining_s: float | None) -> float:
    # One page that hangs must leave time for the windows.
    return PAGE_TIMEOUT_S if remaining_s is None else min(PAGE_TIMEOUT_S, remaining_s / 2)


def _most_hopeful(errors: Sequence[JobError]) -> JobError:
    retryable = [error for error in errors if error.retryable]
    # One that named no time may be over sooner than any that did.
    chosen = min(retryable or errors, key=lambda error: getattr(error, "retry_after_s", None) or 0)
    chosen.add_note(f"not one of {len(errors)} entities could be taken in; this is one of the reasons")
    return chosen


def _failure_of(entity: Entity, error: JobError) -> EntityFailure:
    return EntityFailure(
        id=entity.id, type=entity.type, category=error.category, message=str(error)[:MAX_REASON_CHARS]
    )
