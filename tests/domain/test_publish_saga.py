"""Publishing as a saga: what it writes, what it refuses, and how it ends."""

from copy import deepcopy
from dataclasses import replace
from uuid import UUID

import pytest

from domain.errors import (
    AuthFailed,
    Cancelled,
    DatabaseUnavailable,
    InvalidInput,
    NotFound,
    ProviderUnavailable,
)
from domain.post_details import PostDetails
from domain.publish_execution import PublishOutcome, post_key
from domain.publishing import MAX_WARNING_CHARS, MAX_WARNINGS, RetryOptions

from .idea_fakes import FakeRun
from .publish_fakes import INTENT, SitePost, World
from .publish_workers import (
    Paced,
    Worker,
    assert_published_once,
    half_done,
    resting,
    run_until_published,
    site_step,
    steps_of,
)


def test_a_pending_intent_is_published() -> None:
    """The post is public, and intent, execution and content say so."""
    world = World()
    worker = Worker(world)

    outcome = worker()

    assert_published_once(world)
    assert outcome.status == "published"
    assert (
        outcome.external_url == world.intent.external_url == f"https://site.example/?p={outcome.external_id}"
    )
    assert worker.run.percents == sorted(worker.run.percents)
    assert worker.run.percents[-1] == 100
    assert worker.finds == 0


def test_done_is_done() -> None:
    """A job that is sent again says what came of the first, and calls nobody."""
    world = World()
    first = Worker(world)()
    posts, rows = dict(world.posts), deepcopy(world.rows)

    second = Worker(world)()

    assert second == first.model_copy(update={"status": "already_published"})
    assert world.posts == posts
    assert world.rows == rows


def test_an_intent_of_another_org_is_not_found() -> None:
    """And nothing is written."""
    world = World()
    world.rows.intent = None

    with pytest.raises(NotFound, match=f"publish intent {INTENT} not found"):
        Worker(world)()

    assert world.rows.execution is None


def test_a_cancelled_intent_is_refused() -> None:
    """With what to do; it stays cancelled."""
    world = World("cancelled")

    with pytest.raises(InvalidInput, match="make a new one"):
        Worker(world)()

    assert world.intent.status == "cancelled"
    assert world.posts == {}
    assert world.rows.ends == {}


def test_a_disabled_target_fails_the_intent() -> None:
    """With what to do, and without a call."""
    world = World(is_enabled=False)

    with pytest.raises(InvalidInput, match="is disabled; enable it"):
        Worker(world)()

    assert (world.intent.status, world.execution.status, world.rows.content) == ("failed", "failed", "failed")
    assert world.posts == {}


def test_a_date_to_come_fails_the_intent() -> None:
    """With what to do instead, and without a call; the database's clock says what is to come."""
    world = World()
    world.rows.intent = replace(world.intent, is_dated_ahead=True)

    with pytest.raises(InvalidInput, match="publish_at"):
        Worker(world)()

    assert (world.intent.status, world.rows.category) == ("failed", "validation")
    assert world.posts == {}


def test_what_is_said_of_content_goes_with_its_post() -> None:
    """The publisher gets it as the content has it."""
    world = World()
    details = PostDetails(excerpt="In short.", tags=("slow",))
    world.rows.intent = replace(world.intent, details=details)
    worker = Worker(world)

    worker()

    assert worker.details == details


def test_warnings_stand_in_the_outcome() -> None:
    """As many and as long as are kept; whoever asks again reads them again."""
    world = World()
    worker = Worker(world)
    worker.warnings = ("no scripts\x00", *(f"{number}" * 600 for number in range(20)))

    outcome = worker()

    assert outcome.warnings[0] == "no scripts"
    assert (len(outcome.warnings), max(map(len, outcome.warnings))) == (MAX_WARNINGS, MAX_WARNING_CHARS)
    assert Worker(world)().warnings == outcome.warnings


def test_a_retry_asks_the_site_before_it_calls_again() -> None:
    """The answer that got lost may have been a yes."""
    world = World()
    first, second = Worker(world), Worker(world)
    first.fails_at = (site_step(first=True), ProviderUnavailable("the connection was closed"))
    with pytest.raises(ProviderUnavailable):
        first()
    (draft_id,) = world.posts

    second()

    assert second.finds == 1
    assert list(world.posts) == [draft_id]
    assert_published_once(world)


def test_the_last_failure_is_written_down() -> None:
    """A failure row with category and message, execution, intent and content failed; the lease is free."""
    world = World()
    worker = Worker(world)
    worker.is_last = True
    worker.fails_at = (site_step(first=False), ProviderUnavailable("the site is down; look at it"))

    with pytest.raises(ProviderUnavailable):
        worker()

    (failure,) = world.rows.failures
    assert (failure.category, failure.message) == ("network", "the site is down; look at it")
    assert (world.execution.status, world.intent.status, world.rows.content) == ("failed", "failed", "failed")
    assert world.rows.lease_until_s == 0


def test_a_permanent_error_is_final_at_once() -> None:
    """Credentials that nobody can read do not get better."""
    world = World()
    worker = Worker(world)
    worker.credentials_fail = True

    with pytest.raises(AuthFailed):
        worker()

    assert [failure.category for failure in world.rows.failures] == ["auth"]
    assert world.intent.status == "failed"


def test_texts_of_foreign_errors_are_not_kept() -> None:
    """They may quote what they were given."""
    world = World()
    worker = Worker(world)
    worker.is_last = True
    worker.fails_at = (site_step(first=False), ValueError("hunter2"))

    with pytest.raises(ValueError, match="hunter2"):
        worker()

    assert [(each.category, each.message) for each in world.rows.failures] == [("unknown", "ValueError")]


def test_a_failed_intent_can_be_published_after_all() -> None:
    """A dead letter that is sent again starts again, and asks first what there is."""
    world = World()
    first, again = Worker(world), Worker(world)
    first.is_last = True
    first.fails_at = (site_step(first=True), ProviderUnavailable("the connection was closed"))
    with pytest.raises(ProviderUnavailable):
        first()
    assert world.intent.status == "failed"

    again()

    assert again.finds == 1
    assert_published_once(world)
    assert len(world.rows.failures) == 1


def test_a_failed_intent_waits_for_another_that_is_open() -> None:
    """Two of one content and target are never open at once; the error names the other."""
    world = World("failed")
    world.rows.sibling = UUID(int=7)

    with pytest.raises(InvalidInput, match=f"{UUID(int=7)} is open for the same content"):
        Worker(world)()

    assert world.rows.execution is None
    assert world.intent.status == "failed"


def test_a_cancelled_job_does_not_publish() -> None:
    """It stops before the first call, and everything says why."""
    world = World()
    worker = Worker(world)
    worker.run = FakeRun(cancelled_at=1)

    with pytest.raises(Cancelled):
        worker()

    assert world.posts == {}
    assert (world.execution.status, world.intent.status) == ("cancelled", "failed")
    assert [failure.category for failure in world.rows.failures] == ["cancelled"]


def test_what_is_public_is_recorded_though_the_job_was_cancelled() -> None:
    """Readers see it already."""
    world = half_done(steps_of(World()) - 2)
    world.lease_runs_out()
    worker = Worker(world)
    worker.run = FakeRun(cancelled_at=1)

    worker()

    assert_published_once(world)


def test_an_intent_that_is_cancelled_meanwhile_stays_so() -> None:
    """Asked again before each call; the draft that was made by then stays, for no reader to see."""
    world = World()
    worker = Paced(world)
    worker.advance(site_step(first=True))
    world.rows.intent = replace(world.intent, status="cancelled")
    worker.finish()

    assert [each.is_public for each in world.posts.values()] == [False]
    assert (world.intent.status, world.execution.status) == ("cancelled", "failed")
    assert world.rows.ends == {}


def test_an_intent_that_leaves_the_org_meanwhile_is_not_found() -> None:
    """Its domain changed hands; nothing more is called, and the execution says so."""
    world = World()
    worker = Paced(world)
    worker.advance(site_step(first=True))
    world.rows.intent = None
    worker.finish()

    assert [each.is_public for each in world.posts.values()] == [False]
    assert (world.execution.status, world.rows.category) == ("failed", "validation")


def test_a_post_whose_intent_leaves_the_org_once_it_is_public_is_nobodys_success() -> None:
    """There is no intent to write it to; the execution says that it was not found."""
    world = World()
    worker = resting(Paced(world), until=lambda: any(each.is_public for each in world.posts.values()))
    world.rows.intent = None
    worker.finish()

    assert isinstance(worker.error, NotFound)
    assert world.rows.ends == {}
    assert (world.execution.status, world.rows.category) == ("failed", "validation")


def test_an_intent_that_was_marked_as_published_by_hand_is_left_untouched() -> None:
    """Nobody is called; id and address are the ones that were entered, and the content follows."""
    world = World()
    url = "https://site.example/by-hand"
    world.rows.intent = replace(world.intent, status="published", external_id="77", external_url=url)

    outcome = Worker(world)()

    assert outcome == PublishOutcome(status="already_published", external_id="77", external_url=url)
    assert world.posts == {}
    assert (world.rows.content, world.rows.content_url) == ("published", url)


def test_content_waits_for_its_other_targets() -> None:
    """One of two is published: the content is not, until the other one has ended."""
    world = World()
    world.rows.others = ["pending"]

    Worker(world)()

    assert (world.intent.status, world.rows.content) == ("published", "publishing")


@pytest.mark.parametrize("retry", [None, RetryOptions(retries=1)])
def test_a_job_says_how_calls_are_repeated(retry: RetryOptions | None) -> None:
    """Or leaves it to the defaults."""
    worker = Worker(World())
    worker.retry = retry

    worker()

    assert worker.reported == [retry or RetryOptions()]


def test_a_success_that_the_execution_does_not_know_is_only_written_down() -> None:
    """As after a domain changed hands: the rows came along, the execution did not."""
    world = World()
    Worker(world)()
    world.rows.execution = None
    world.rows.intent = replace(world.intent, status="publishing")
    posts = dict(world.posts)

    outcome = Worker(world)()

    assert outcome.status == "already_published"
    assert world.posts == posts
    assert_published_once(world)


def test_an_intent_that_was_tried_before_its_execution_was_lost_is_asked_about() -> None:
    """`publishing` without an execution: somebody may have called the site."""
    world = World("publishing")
    world.posts["1"] = SitePost(post_key(world.intent.title, INTENT), is_public=True)

    Worker(world)()

    assert_published_once(world)


def test_a_success_that_could_not_be_written_is_not_called_a_failure() -> None:
    """On the last attempt, with the post public: the closing transaction writes the success instead."""
    world = World()
    worker = Worker(world)
    worker.is_last = True
    worker.fails_at = (steps_of(World()) - 1, DatabaseUnavailable("away"))

    with pytest.raises(DatabaseUnavailable):
        worker()

    assert world.rows.failures == []
    assert_published_once(world)


def test_a_clean_up_that_fails_as_well_is_reported_beside_the_first_error() -> None:
    """The first explains the end; the lease runs out by itself."""
    world = World()
    worker = Worker(world)
    worker.fails_at = (site_step(first=False), ProviderUnavailable("the site is down"))
    worker.closing_fails = True

    with pytest.raises(ProviderUnavailable) as caught:
        worker()

    assert caught.value.__notes__ == ["clean-up failed as well: the database is away"]
    run_until_published(world)
    assert_published_once(world)


def test_a_far_sides_endless_answers_are_kept_as_far_as_they_fit() -> None:
    """Readers see the post: an address that no column holds must not turn it into a failure."""
    world = World()
    worker = Worker(world)
    worker.answers = ("x" * 600, "https://site.example/" + "x" * 2048)

    outcome = worker()

    assert outcome == PublishOutcome(status="published", external_id="x" * 512, external_url=None)


@pytest.mark.parametrize(
    ("url", "kept"),
    [("https://site.example/".ljust(2048, "x"), True), ("https://site.example/\x00", False), ("", False)],
    ids=["longest", "NUL", "empty"],
)
def test_an_address_is_kept_as_long_as_a_column_holds_it(url: str, kept: bool) -> None:
    """What PostgreSQL refuses is left out."""
    worker = Worker(World())
    worker.answers = ("7", url)
    assert worker().external_url == (url if kept else None)
