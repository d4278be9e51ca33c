"""One post in the end, wherever workers die, freeze, wake up or fail."""

from contextlib import suppress
from copy import deepcopy
from dataclasses import replace

import pytest
from dramatiq.middleware.shutdown import Shutdown
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import DatabaseUnavailable, LeaseHeld, LeaseLost, ProviderUnavailable

from .publish_fakes import LEASE_S, SitePost, World
from .publish_workers import (
    Paced,
    Worker,
    assert_published_once,
    half_done,
    resting,
    run,
    run_until_published,
    site_step,
    steps_of,
)

#: More steps than an attempt has.
MANY = 100


@pytest.mark.parametrize("after_s", [20, LEASE_S - 0.5])
def test_a_lease_keeps_everybody_else_out(after_s: float) -> None:
    """To its end: the second worker hears how long to wait, and changes nothing."""
    world = half_done(dies_at=3)
    world.now_s += after_s
    before = world.rows

    with pytest.raises(LeaseHeld) as held:
        Worker(world)()

    assert held.value.wait_s == LEASE_S - after_s
    assert world.rows == before


def test_a_killed_worker_leaves_one_post_wherever_it_was() -> None:
    """Killed at any step, then redelivered: one post, no draft, one success row."""
    for dies_at in range(1, steps_of(World()) + 1):
        world = half_done(dies_at)
        run_until_published(world)
        assert_published_once(world)


def test_two_workers_killed_one_after_the_other_leave_one_post() -> None:
    """The second may die anywhere in what it does with what the first left."""
    for dies_at in range(1, steps_of(World()) + 1):
        for second_dies_at in range(1, MANY):
            world = half_done(dies_at)
            world.lease_runs_out()
            second = Worker(world)
            second.dies_at = second_dies_at
            run(second)
            run_until_published(world)
            assert_published_once(world)
            if second.steps < second_dies_at:
                break


def test_a_frozen_worker_that_wakes_up_leaves_one_post() -> None:
    """Taken for dead at any step, it goes on where it was, at any step of the worker that took over."""
    steps = steps_of(World())
    for freezes_at in range(steps):
        for wakes_at in range(MANY):
            world = World()
            frozen = Paced(world)
            frozen.advance(freezes_at)
            world.lease_runs_out()
            second = Paced(world)
            second.advance(wakes_at)
            frozen.finish()
            is_last = second.is_over
            second.finish()
            run_until_published(world)
            assert_published_once(world)
            if is_last:
                break


def test_a_frozen_worker_that_lost_its_lease_says_nothing_of_the_end() -> None:
    """With the post public and another worker at it, the end is that one's to write."""
    world = World()
    frozen = resting(Paced(world), until=lambda: any(each.is_public for each in world.posts.values()))
    world.lease_runs_out()
    second = resting(Paced(world), until=lambda: world.execution.fence == 2)
    rows = deepcopy(world.rows)

    frozen.finish()

    assert isinstance(frozen.error, LeaseLost)
    assert world.rows == rows
    second.finish()
    assert_published_once(world)


def test_a_remembered_draft_is_never_exchanged_for_another() -> None:
    """Though the site shows another under the key: a frozen worker may be about to publish the first."""
    world = World()
    frozen = resting(
        Paced(world), until=lambda: bool(world.rows.execution and world.execution.state.draft_id)
    )
    draft_id = world.execution.state.draft_id
    assert draft_id is not None
    key, world.posts[draft_id].key = world.posts[draft_id].key, "renamed-by-an-editor"
    world.posts["stray"] = SitePost(key)

    run_until_published(world)
    frozen.finish()

    assert world.posts[draft_id].is_public
    assert_published_once(world, drafts=1)


@settings(max_examples=75, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["work", "work", "work", "die", "expire"]), st.integers(0, 2), st.integers(1, 8)
        ),
        max_size=25,
    )
)
def test_any_order_of_three_workers_leaves_one_post(script: list[tuple[str, int, int]]) -> None:
    """They work in turns, die and are redelivered while leases run out: readers see one post, one row says so."""
    world = World()
    workers = [Paced(world) for _ in range(3)]
    deaths = 0
    for what, which, steps in script:
        if what == "expire":
            world.lease_runs_out()
        elif what == "die":
            deaths += not workers[which].is_over
            workers[which].die()
        else:
            workers[which].advance(steps)
        if workers[which].is_over:
            workers[which].finish()
            workers[which] = Paced(world)
    for worker in workers:
        worker.finish()
    run_until_published(world)

    # A worker that dies between giving up a draft and removing it leaves it behind, for no reader to see.
    drafts = len(world.posts) - 1
    assert 0 <= drafts <= deaths
    assert_published_once(world, drafts)


@pytest.mark.parametrize(
    "error",
    [ProviderUnavailable("busy"), Shutdown(), DatabaseUnavailable("away")],
    ids=lambda e: type(e).__name__,
)
def test_a_failed_attempt_that_is_tried_again_gives_the_lease_back(error: BaseException) -> None:
    """The retry begins at once and finds what the first left, at whatever step the failure came."""
    for fails_at in range(3, steps_of(World()) + 1):
        world = World()
        worker = Worker(world)
        worker.fails_at = (fails_at, error)
        with suppress(type(error)):
            worker()
        assert world.rows.failures == []

        Worker(world)()

        assert_published_once(world)


@pytest.mark.parametrize("steps_later", [1, 2])
def test_an_interrupt_that_strikes_the_clean_up_does_not_keep_the_lease(steps_later: int) -> None:
    """A remote service gives up a moment before the time limit, and the limit strikes while the lease is given back."""
    for fails_at in range(3, steps_of(World()) + 1):
        world = World()
        worker = Worker(world)
        worker.fails_at = (fails_at, ProviderUnavailable("busy"))

        def strike(worker: Worker = worker, at: int = fails_at + steps_later) -> None:
            if worker.steps == at:
                raise Shutdown

        worker.pause = strike
        with suppress(ProviderUnavailable, Shutdown):
            worker()

        Worker(world)()

        assert_published_once(world)


def test_the_key_is_decided_once() -> None:
    """A title that changes between two attempts does not make a second post."""
    world = half_done(dies_at=steps_of(World()) // 2)
    world.rows.intent = replace(world.intent, title="Wheat bread")
    key = world.execution.state.key

    run_until_published(world)

    assert [each.key for each in world.posts.values()] == [key]
    assert_published_once(world)


def test_a_commit_nobody_heard_of_is_recognised() -> None:
    """Whichever transaction is run again, the attempt knows its own lease and its own success."""
    world = World()
    worker = Worker(world)
    worker.unheard_commits = MANY

    assert worker().status == "published"

    assert_published_once(world)
    assert (world.execution.attempts, world.execution.fence) == (1, 1)


@pytest.mark.parametrize("is_last", [False, True], ids=["tried again", "last"])
def test_a_frozen_worker_that_fails_in_the_end_leaves_the_next_ones_lease_untouched(is_last: bool) -> None:
    """Neither a release nor a failure is its to write any more."""
    world = World()
    frozen = Paced(world)
    frozen.worker.fails_at = (site_step(first=False), ProviderUnavailable("too late"))
    frozen.worker.is_last = is_last
    frozen.advance(site_step(first=False) - 1)
    world.lease_runs_out()
    second = resting(Paced(world), until=lambda: world.execution.fence == 2)
    rows = deepcopy(world.rows)

    frozen.finish()

    assert isinstance(frozen.error, ProviderUnavailable)
    assert world.rows == rows
    second.finish()
    assert_published_once(world)
