"""Feedback in and counted, on plain fakes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest

from domain.errors import (
    AuthFailed,
    Cancelled,
    DatabaseUnavailable,
    DeadlineExceeded,
    InvalidInput,
    InvalidReply,
    JobError,
    ProviderUnavailable,
    SizeLimitExceeded,
)
from domain.feedback import Entity, FeedbackEvent, Source
from domain.feedback_ingest import (
    ENTITIES_AT_ONCE,
    MAX_PAGES,
    MAX_REASON_CHARS,
    PAGE_TIMEOUT_S,
    EntityFeedback,
    FeedbackIngest,
    IngestFeedback,
    IngestOutcome,
    SetAside,
)
from domain.limits import Limits
from tests.domain.feedback_fakes import NOW, FakeSource, FakeTransactions, OneAfterTheOther, Rows, said
from tests.domain.idea_fakes import FakeRun

ORG, OTHER_ORG = UUID(int=1), UUID(int=2)
A, B, C = Entity("content", "a"), Entity("user", "b"), Entity("system", "c")
GONE = DatabaseUnavailable("the database is away")


@dataclass
class World:
    """The surroundings of a job."""

    transactions: FakeTransactions = field(default_factory=FakeTransactions)
    source: FakeSource = field(default_factory=lambda: FakeSource({}))
    parallel: OneAfterTheOther = field(default_factory=OneAfterTheOther)
    run: FakeRun = field(default_factory=FakeRun)
    limits: Limits = field(default_factory=Limits)

    def ingest(self, *entities: EntityFeedback, source: Source = "api", org: UUID = ORG) -> IngestOutcome:
        job = FeedbackIngest(org_id=org, source=source, entities=entities, timestamp=NOW)
        handler = IngestFeedback(
            run=self.run,
            transactions=self.transactions,
            source=self.source,
            in_parallel=self.parallel,
            limits=self.limits,
            clock=lambda: NOW,
        )
        return handler(job)

    def rows(self, org: UUID = ORG) -> Rows:
        return self.transactions.orgs.get(org, Rows())

    def counts(self, entity: Entity, days: int = 7, org: UUID = ORG) -> tuple[int, int, int]:
        window = self.rows(org).windows[entity, days]
        return window.positive, window.negative, window.neutral


def about(entity: Entity, *events: FeedbackEvent) -> EntityFeedback:
    return EntityFeedback(id=entity.id, type=entity.type, data=events)


def test_feedback_is_counted_for_each_window() -> None:
    """Each event counts in every window that reaches back to it."""
    world = World()
    outcome = world.ingest(
        about(
            A,
            said("1", rating=5.0),
            said("2", rating=1.0, occurred_at=NOW - timedelta(days=7) + timedelta(seconds=1)),
            said("3", rating=3.0, occurred_at=NOW - timedelta(days=20)),
            said("4", sentiment="negative", occurred_at=NOW - timedelta(days=60)),
            said("5", occurred_at=NOW - timedelta(days=91)),
        )
    )
    assert [world.counts(A, days) for days in (7, 30, 90)] == [(1, 1, 0), (1, 1, 1), (1, 2, 1)]
    assert (outcome.processed, outcome.failed, outcome.errors) == (1, 0, ())
    assert [(window.window_days, window.count) for window in outcome.windows] == [(7, 2), (30, 3), (90, 4)]
    assert len(world.rows().events) == 5
    assert world.run.percents[-1] == 100


def test_a_job_that_runs_twice_counts_once() -> None:
    """A redelivered job changes nothing and says the same."""
    world = World()
    first = world.ingest(about(A, said("1"), said("2")))
    assert world.ingest(about(A, said("1"), said("2"))) == first
    assert world.counts(A) == (2, 0, 0)


@pytest.mark.parametrize("from_the_last", [False, True])
def test_an_event_id_counts_once_within_a_job(from_the_last: bool) -> None:
    """With the entity that it is listed with first, as it is listed first, whichever entity is done first."""
    world = World(parallel=OneAfterTheOther(from_the_last=from_the_last))
    world.ingest(about(A, said("1", rating=5.0), said("1", rating=1.0)), about(B, said("1"), said("2")))
    assert (world.counts(A), world.counts(B)) == ((1, 0, 0), (1, 0, 0))


def test_an_event_id_counts_once_over_jobs() -> None:
    """What arrives later under the same id, however different, is not news."""
    world = World()
    world.ingest(about(A, said("1", rating=5.0)))
    world.ingest(about(A, said("1", rating=1.0)), about(B, said("1")))
    assert (world.counts(A), world.counts(B)) == ((1, 0, 0), (0, 0, 0))


def test_sources_number_their_events_themselves() -> None:
    """The same id from another source is another event."""
    world = World()
    world.ingest(about(A, said("1")), source="api")
    world.ingest(about(A, said("1")), source="webhook")
    assert world.counts(A) == (2, 0, 0)


def test_an_entity_listed_twice_is_one() -> None:
    """Its events come together; types keep entities of one id apart."""
    world = World()
    outcome = world.ingest(
        about(A, said("1")), about(Entity("user", "a"), said("2")), about(A, said("3", rating=1.0))
    )
    assert (outcome.processed, world.counts(A)) == (2, (1, 1, 0))
    assert world.counts(Entity("user", "a")) == (1, 0, 0)


def test_what_is_still_to_come_does_not_count_yet() -> None:
    """It is kept for the day it happens."""
    world = World()
    world.ingest(about(A, said("1", occurred_at=NOW + timedelta(seconds=1)), said("2", occurred_at=NOW)))
    assert (world.counts(A), len(world.rows().events)) == ((1, 0, 0), 2)


def test_orgs_have_feedback_of_their_own() -> None:
    """An entity of the same name is another one."""
    world = World()
    world.ingest(about(A, said("1")))
    world.ingest(about(A, said("1", rating=1.0)), org=OTHER_ORG)
    assert (world.counts(A), world.counts(A, org=OTHER_ORG)) == ((1, 0, 0), (0, 1, 0))


def test_windows_are_a_limit_like_others() -> None:
    """WINDOWS decides which there are; one that is named twice is one."""
    world = World(limits=Limits(windows=(14, 1, 14)))
    outcome = world.ingest(about(A, said("1")))
    assert [window.window_days for window in outcome.windows] == [1, 14]


def test_all_windows_are_written_at_once() -> None:
    """Two entities take a transaction each for their events, and one more for all windows."""
    world = World()
    world.ingest(about(A, said("1")), about(B, said("2")))
    assert world.transactions.committed == 3


def test_ten_entities_at_once() -> None:
    """No more of them are in hand at a time."""
    world = World()
    world.ingest(about(A, said("1")))
    assert world.parallel.at_once == [ENTITIES_AT_ONCE] == [10]


def test_fewer_entities_can_be_allowed() -> None:
    """A platform may lower MAX_ENTITIES; the error says what to do."""
    world = World(limits=Limits(max_entities=1))
    with pytest.raises(InvalidInput, match="at most 1 are allowed; send several"):
        world.ingest(about(A, said("1")), about(B, said("2")))
    assert world.rows() == Rows()
    assert world.ingest(about(A, said("1"))).processed == 1


def test_progress_follows_the_entities() -> None:
    """To 80 of 100 with the last of them; the windows are the rest."""
    world = World()
    world.ingest(about(A, said("1")), about(B, said("2")), about(C, said("3")))
    assert world.run.percents == [26, 53, 80, 100]


def test_an_entity_that_fails_is_listed() -> None:
    """The job succeeds for the others, and the failed one's windows are left as they are."""
    world = World(FakeTransactions(failing={B: InvalidInput("no" * 500)}))
    outcome = world.ingest(about(A, said("1")), about(B, said("2")), about(C, said("3")))
    assert (outcome.processed, outcome.failed) == (2, 1)
    [error] = outcome.errors
    assert (error.id, error.type, error.category) == ("b", "user", "validation")
    assert len(error.message) == MAX_REASON_CHARS
    assert {entity for entity, _ in world.rows().windows} == {A, C}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("errors", "chosen"),
    [
        ([InvalidInput("a"), AuthFailed("b")], None),
        ([InvalidInput("a"), GONE], GONE),
        ([AuthFailed("a"), ProviderUnavailable("b", retry_after_s=60)], ProviderUnavailable),
        ([ProviderUnavailable("a", retry_after_s=0.5), GONE], GONE),
        ([ProviderUnavailable("a", retry_after_s=60), ProviderUnavailable("b", retry_after_s=10)], 10),
    ],
    ids=["permanent", "one may pass", "outage", "soonest", "shortest wait"],
)
def test_a_job_of_which_nothing_worked_fails(errors: list[JobError], chosen: object, order: int) -> None:
    """With what another attempt can help with, if there is any, and after the shortest wait that is asked for."""
    failing = dict(zip((A, B), errors[::order], strict=True))
    world = World(FakeTransactions(failing=failing))
    with pytest.raises(JobError) as caught:
        world.ingest(about(A, said("1")), about(B, said("2")))
    assert caught.value.retryable is (chosen is not None)
    if isinstance(chosen, type):
        assert isinstance(caught.value, chosen)
    elif isinstance(chosen, JobError):
        assert caught.value is chosen
    elif chosen is not None:
        assert getattr(caught.value, "retry_after_s", None) == chosen
    assert world.rows().windows == {}


def test_windows_that_cannot_be_written_fail_the_job() -> None:
    """Events stay, no window changes, and the next attempt counts everything."""
    world = World(FakeTransactions(fails_at_windows=True))
    with pytest.raises(DatabaseUnavailable):
        world.ingest(about(A, said("1")))
    assert (len(world.rows().events), world.rows().windows) == (1, {})
    world.transactions.fails_at_windows = False
    world.ingest(about(A, said("1")))
    assert world.counts(A) == (1, 0, 0)


@pytest.mark.parametrize("checkpoint", [1, 2, 3, 4])
def test_a_cancelled_job_writes_no_window(checkpoint: int) -> None:
    """Wherever it stops: before the first entity, between two, or before the windows."""
    world = World(run=FakeRun(cancelled_at=checkpoint))
    with pytest.raises(Cancelled):
        world.ingest(about(A, said("1")), about(B, said("2")))
    assert world.rows().windows == {}
    assert len(world.rows().events) == min(checkpoint - 1, 2)


@pytest.mark.parametrize("end", [Cancelled("stop"), DeadlineExceeded("late")])
def test_what_ends_the_job_is_no_fault_of_an_entity(end: JobError) -> None:
    """Raised while one is worked on, it ends the whole."""
    world = World(FakeTransactions(failing={B: end}))
    with pytest.raises(type(end)):
        world.ingest(about(A, said("1")), about(B, said("2")))
    assert world.rows().windows == {}


def test_a_bug_is_not_an_entity_that_failed() -> None:
    """What nobody planned for is not swept into a list."""
    world = World(source=FakeSource({}))
    with pytest.raises(KeyError):
        world.ingest(about(A), source="sync")


def pages(*contents: Sequence[FeedbackEvent] | JobError) -> list[Sequence[FeedbackEvent] | JobError]:
    return list(contents)


def test_sync_asks_page_by_page() -> None:
    """Every page's events are taken in, for each entity in turn, as far back as the longest window."""
    world = World(
        source=FakeSource(
            {"a": pages([said("1")], [], [said("2"), said("1", rating=1.0)]), "b": pages([said("3")])}
        )
    )
    outcome = world.ingest(about(A), about(B), source="sync")
    assert (outcome.processed, world.counts(A), world.counts(B)) == (2, (2, 0, 0), (1, 0, 0))
    assert [(query.entity, query.cursor) for query in world.source.asked] == [
        (A, None),
        (A, "1"),
        (A, "2"),
        (B, None),
    ]
    assert {(query.org_id, query.since) for query in world.source.asked} == {(ORG, NOW - timedelta(days=90))}
    assert {source for source, _ in world.rows().events} == {"sync"}


def test_what_a_source_had_to_set_aside_is_in_the_result() -> None:
    """Counted, with the first twenty reasons; it is no failure."""
    world = World(source=FakeSource({"a": pages([said("1")], [said("2")])}))
    world.source.set_aside = tuple(f"event {number}: rating" for number in range(11))
    outcome = world.ingest(about(A), source="sync")

    assert (outcome.processed, outcome.failed, world.counts(A)) == (1, 0, (2, 0, 0))
    assert (outcome.set_aside, len(outcome.reasons)) == (22, 20)
    assert outcome.reasons[0] == SetAside(id="a", type="content", reason="event 0: rating")


@pytest.mark.parametrize("source", ["api", "sync"])
def test_an_event_that_the_database_refuses_is_set_aside(source: Source) -> None:
    """Those beside it are kept, and the page after it is asked for."""
    events = [said("1"), said("2"), said("3")]
    world = World(FakeTransactions(refused={"2", "4"}))
    world.source = FakeSource({"a": pages(events, [said("4")], [said("5")])})
    data = events if source == "api" else []
    outcome = world.ingest(about(A, *data), source=source)

    assert {event_id for _, event_id in world.rows().events} == ({"1", "3"} if data else {"1", "3", "5"})
    assert outcome.set_aside == (1 if data else 2)
    assert outcome.reasons[0].reason == "event 2: the database refused a value"


def test_a_source_with_nothing_new_is_fine() -> None:
    """The windows are counted anew all the same: time has passed."""
    world = World(source=FakeSource({"a": pages([])}))
    assert world.ingest(about(A), source="sync").processed == 1
    assert world.counts(A) == (0, 0, 0)


def test_a_page_that_fails_fails_its_entity() -> None:
    """What came before it stays; the others are counted."""
    world = World(
        source=FakeSource({"a": pages([said("1")], ProviderUnavailable("down")), "b": pages([said("2")])})
    )
    outcome = world.ingest(about(A), about(B), source="sync")
    assert [(error.id, error.category) for error in outcome.errors] == [("a", "network")]
    assert ("sync", "1") in world.rows().events
    assert {entity for entity, _ in world.rows().windows} == {B}


def test_pages_that_go_round_in_circles_end() -> None:
    """A source that has lost its way is told so, after each page was seen once."""
    world = World(source=FakeSource({"a": pages([said("1")], [said("2")])}))
    world.source.circular = True
    with pytest.raises(InvalidReply, match="lead back"):
        world.ingest(about(A), source="sync")
    assert len(world.source.asked) == 3


@pytest.mark.parametrize(("number", "is_refused"), [(MAX_PAGES, False), (MAX_PAGES + 1, True)])
def test_pages_come_to_an_end(number: int, is_refused: bool) -> None:
    """One entity cannot keep a job for ever; what was read stays."""
    world = World(source=FakeSource({"a": pages(*[[said(str(page))] for page in range(number)])}))
    if is_refused:
        with pytest.raises(SizeLimitExceeded, match="more than 100 pages"):
            world.ingest(about(A), source="sync")
    else:
        world.ingest(about(A), source="sync")
    assert len(world.rows().events) == MAX_PAGES


@pytest.mark.parametrize(
    ("remaining_s", "timeout_s"), [(None, PAGE_TIMEOUT_S), (300.0, PAGE_TIMEOUT_S), (10.0, 5.0)]
)
def test_a_page_leaves_time_for_the_windows(remaining_s: float | None, timeout_s: float) -> None:
    """It gets half a minute, or half of what is left."""
    world = World(source=FakeSource({"a": pages([])}), run=FakeRun(remaining_s=remaining_s))
    world.ingest(about(A), source="sync")
    assert world.source.timeouts_s == [timeout_s]


def test_a_sync_stops_between_two_pages() -> None:
    """Cancelled there, it asks for no other."""
    world = World(source=FakeSource({"a": pages([said("1")], [said("2")])}), run=FakeRun(cancelled_at=3))
    with pytest.raises(Cancelled):
        world.ingest(about(A), source="sync")
    assert len(world.source.asked) == 1
