"""Replaying many dead letters: a few first, then more, and no further when they fail again."""

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from middleware.dead_letters.replay import (
    DeadLetterFilter,
)
from tests.middleware.brokers import stored
from tests.middleware.dead_letters.replay_scenario import ORG, World
from tests.middleware.dead_letters.sample_letters import a_letter


def test_criteria_pick_by_category_actor_and_fingerprint() -> None:
    """What is None matters not."""
    world = World(StubBroker())
    letters = [
        a_letter(org=ORG, actor="plain", redacted=()),
        a_letter(org=ORG, actor="plain", redacted=(), category="timeout"),
        a_letter(org=ORG, actor="plain", redacted=(), fingerprint="other"),
        a_letter(org=ORG, actor="publish", redacted=()),
        a_letter(org=ORG, actor="plain", redacted=(), replayed_as="m"),
        a_letter(org=ORG, actor="plain"),
    ]
    world.store.put(letters)

    assert world.replays.count(DeadLetterFilter()) == 4
    assert world.replays.count(DeadLetterFilter(), again=True) == 5
    assert world.replays.count(DeadLetterFilter(category="timeout")) == 1
    assert world.replays.count(DeadLetterFilter(actor="publish")) == 1
    assert world.replays.count(DeadLetterFilter(fingerprint="other", category="network")) == 1
    assert stored(world.broker, world.queue) == []


def test_many_are_sent_in_growing_batches_while_none_fails_again(bare_broker: dramatiq.Broker) -> None:
    """A few first, each batch watched, all in the end."""
    world = World(bare_broker)
    world.dead(*["blog"] * 9)
    world.up.add("blog")

    report = world.replays.retry_many(DeadLetterFilter(category="network"), first=2, watch_s=3.5)

    assert (len(report.sent), report.failed_again, report.stopped, report.left_out) == (9, (), False, 0)
    assert len(world.published) == 9
    assert world.slept_s == [1.0, 1.0, 1.0, 0.5] * 3
    assert world.replays.count(DeadLetterFilter()) == 0


def test_it_stops_when_they_fail_again(bare_broker: dramatiq.Broker) -> None:
    """After the first few, which have new letters; the rest is as it was."""
    world = World(bare_broker)
    world.dead(*["blog"] * 9)

    report = world.replays.retry_many(DeadLetterFilter(), first=2, watch_s=3)

    assert (len(report.sent), report.stopped) == (2, True)
    assert {world.letter(each).replay_of for each in report.failed_again} <= {
        letter.id for letter in world.store.of_org(ORG).list() if letter.replayed_as
    }
    assert world.slept_s == [1.0]
    assert len([letter for letter in world.run() if letter.replayed_as is None]) == 9


def test_it_stops_when_a_later_batch_fails() -> None:
    """Not only the first one is watched."""
    world = World(StubBroker())
    world.dead("bad")
    world.dead(*["blog"] * 5)
    world.up.add("blog")

    report = world.replays.retry_many(DeadLetterFilter(), first=2, watch_s=1)

    assert (len(report.sent), len(report.failed_again)) == (6, 1)


def test_only_the_first_few_can_be_sent() -> None:
    """To look at what becomes of them."""
    world = World(StubBroker())
    world.dead(*["blog"] * 5)
    world.up.add("blog")

    report = world.replays.retry_many(DeadLetterFilter(), first=3, rest=False, watch_s=1)

    assert (len(report.sent), report.stopped) == (3, False)
    assert world.replays.count(DeadLetterFilter()) == 2
    with pytest.raises(ValueError, match="first must be at least 1"):
        world.replays.retry_many(DeadLetterFilter(), first=0)
