"""Replaying dead letters: one, an edited one, or many that stop when they fail again."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.composition import pipeline

from middleware import Cron, Guard, InvalidPayload, RateLimited, Retries
from middleware.cron.memory import MemoryCronStore
from middleware.dead_letters.letter import letter_id
from middleware.dead_letters.replay import (
    AlreadyReplayed,
    DeadLetterFilter,
    LetterNotFound,
    NeedsEdit,
    NotReplayable,
    ReplayUncertain,
)
from tests.middleware.brokers import stored
from tests.middleware.dead_letters.replay_scenario import ORG, World
from tests.middleware.dead_letters.sample_letters import a_letter


def test_a_message_is_sent_again_as_a_new_one(bare_broker: dramatiq.Broker) -> None:
    """With the same payload and options, an id of its own, no attempts behind it; the letter says by whom."""
    world = World(bare_broker)
    (letter,) = world.dead("blog", region="eu", parked={"count": 3}, expires_at=5)
    world.up.add("blog")

    message_id = world.replays.retry(letter.id)

    (message,) = stored(bare_broker, world.queue)
    assert message.message_id == message_id != letter.message_id
    kept = {name: message.options[name] for name in message.options if name != "redis_message_id"}
    assert kept == {
        "region": "eu",
        "org": ORG,
        "contract_version": 2,
        "admitted": True,
        "replay_of": letter.id,
    }
    assert (world.letter(letter.id).replayed_as, world.letter(letter.id).replayed_at_ms) == (message_id, 7)
    assert len(world.run()) == 1
    assert [job.site for job in world.published] == ["blog"]


def test_a_tick_of_a_schedule_that_failed_is_run_by_its_replay(bare_broker: dramatiq.Broker) -> None:
    """Its tick is taken, by the message that failed; the replay has none, as what people send by hand."""
    world = World(bare_broker)
    bare_broker.add_middleware(Cron(MemoryCronStore()), before=Retries)
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    (letter,) = world.dead("blog", cron_tick=now.isoformat())
    world.up.add("blog")

    world.replays.retry(letter.id)

    world.run()
    assert [job.site for job in world.published] == ["blog"]


def test_a_message_that_fails_again_has_a_letter_that_says_what_it_repeated(
    bare_broker: dramatiq.Broker,
) -> None:
    """So a chain of replays can be followed."""
    world = World(bare_broker)
    (letter,) = world.dead("blog")

    message_id = world.replays.retry(letter.id)

    newest = next(each for each in world.run() if each.id != letter.id)
    assert (newest.id, newest.replay_of) == (letter_id(ORG, message_id), letter.id)
    assert (newest.attempts, newest.fingerprint) == (1, letter.fingerprint)


def test_a_second_retry_has_to_be_meant() -> None:
    """The letter stays, and says it was retried."""
    world = World(StubBroker())
    (letter,) = world.dead("blog")
    first = world.replays.retry(letter.id)

    with pytest.raises(AlreadyReplayed, match=first):
        world.replays.retry(letter.id)
    second = world.replays.retry(letter.id, again=True)

    assert world.letter(letter.id).replayed_as == second != first


def test_of_many_who_retry_at_once_one_succeeds() -> None:
    """However many people press the button."""
    world = World(StubBroker())
    (letter,) = world.dead("blog")

    def press() -> str | None:
        try:
            return world.replays.retry(letter.id)
        except AlreadyReplayed:
            return None

    with ThreadPoolExecutor(8) as threads:
        pressed = [each.result() for each in [threads.submit(press) for _ in range(8)]]

    assert len([each for each in pressed if each]) == 1
    assert len(stored(world.broker, world.queue)) == 1


def test_another_orgs_letter_is_not_found() -> None:
    """Whatever its id; nothing is sent and nothing is marked."""
    world = World(StubBroker())
    (letter,) = world.dead("blog")
    other = world.of_org(str(uuid4()))

    with pytest.raises(LetterNotFound):
        other.retry(letter.id)
    with pytest.raises(LetterNotFound):
        other.edit_and_retry(letter.id, {"org_id": ORG, "site": "x"})

    assert other.count(DeadLetterFilter()) == 0
    assert other.retry_many(DeadLetterFilter()).sent == ()
    assert stored(world.broker, world.queue) == []
    assert world.letter(letter.id) == letter


def test_a_letter_with_a_secret_taken_out_needs_an_edit_that_fills_it_in(
    bare_broker: dramatiq.Broker,
) -> None:
    """It says where; what was changed is kept, and no secret."""
    world = World(bare_broker)
    (letter,) = world.dead("blgo", token="hunter2-hunter2")
    world.up.add("blog")

    with pytest.raises(NeedsEdit, match=r"args\.0\.token"):
        world.replays.retry(letter.id)
    with pytest.raises(NeedsEdit, match=r"args\.0\.token"):
        world.replays.edit_and_retry(letter.id, {"org_id": ORG, "site": "blog", "token": "***"})
    world.replays.edit_and_retry(letter.id, {"org_id": ORG, "site": "blog", "token": "hunter3-hunter3"})

    assert len(world.run()) == 1
    assert [(job.site, job.token) for job in world.published] == [("blog", "hunter3-hunter3")]
    assert world.letter(letter.id).changes == (
        {"path": "args.0.site", "before": '"blgo"', "after": '"blog"'},
        {"path": "args.0.token", "before": "***", "after": "***"},
    )


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({"org_id": ORG}, "site"),
        ({"org_id": ORG, "site": 5}, "site"),
        ({"org_id": str(uuid4()), "site": "blog"}, "org_id"),
        ("text", "payload"),
        ({"org_id": ORG, "site": "x" * 1_000_001}, "payload"),
    ],
)
def test_an_edit_fits_the_contract_and_stays_in_its_org(payload: object, path: str) -> None:
    """Nothing is sent otherwise, and the error names the field."""
    world = World(StubBroker())
    (letter,) = world.dead("blog")

    with pytest.raises(InvalidPayload) as caught:
        world.replays.edit_and_retry(letter.id, payload)

    assert [fault.path for fault in caught.value.faults] == [path]
    assert stored(world.broker, world.queue) == []
    assert world.letter(letter.id) == letter


@pytest.mark.parametrize(
    "payload",
    [
        {"args": [{"org_id": "other"}], "kwargs": {}},
        {"args": [1, {"org_id": "other"}], "kwargs": {}},
        {"args": [], "kwargs": {"org_id": "other"}},
        {"args": [], "kwargs": {"job": {"org_id": "other"}}},
        {"args": {}, "kwargs": {}},
        {"args": []},
        [],
    ],
)
def test_an_edit_without_a_contract_stays_in_its_org_too(payload: object) -> None:
    """It is the message's args and kwargs."""
    world = World(StubBroker())
    world.plain.send({"org_id": ORG, "n": 1})
    (letter,) = world.run()

    with pytest.raises(InvalidPayload):
        world.replays.edit_and_retry(letter.id, payload)
    world.replays.edit_and_retry(letter.id, {"args": [{"org_id": ORG, "n": 2}], "kwargs": {"x": 1}})

    (message,) = stored(world.broker, world.queue)
    assert (message.args, message.kwargs) == (({"org_id": ORG, "n": 2},), {"x": 1})


def test_an_edit_brings_the_contract_up_to_date() -> None:
    """It was checked against today's version."""
    world = World(StubBroker())
    old = a_letter(
        org=ORG, actor="publish", queue=world.queue, contract_version=1, options={"contract_version": 1}
    )
    world.store.put([old])

    world.replays.edit_and_retry(old.id, {"org_id": ORG, "site": "blog"})

    (message,) = stored(world.broker, world.queue)
    assert message.options["contract_version"] == 2


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({"actor": None, "message_id": None, "payload": None, "raw": b"?"}, "no message"),
        ({"actor": "of_another_build"}, "no actor of_another_build in this build"),
        ({"actor": "plain", "payload": None}, "was not kept"),
        ({"actor": "plain", "redacted": ("options.pipe_target.args.0.token",)}, "its options held secrets"),
    ],
)
def test_what_cannot_be_sent_says_why(over: dict[str, Any], says: str) -> None:
    """And is left out when many are sent."""
    world = World(StubBroker())
    letter = a_letter(org=ORG, **{"redacted": (), **over})
    world.store.put([letter])

    with pytest.raises(NotReplayable, match=says):
        world.replays.retry(letter.id)

    report = world.replays.retry_many(DeadLetterFilter())
    assert (report.sent, report.left_out) == ((), 1)
    assert world.letter(letter.id) == letter


def test_a_queue_that_is_gone_is_replaced_by_the_actors_own() -> None:
    """An actor may have moved since."""
    world = World(StubBroker())
    letter = a_letter(org=ORG, actor="plain", queue="of_yore", redacted=())
    world.store.put([letter])

    world.replays.retry(letter.id)

    assert [message.queue_name for message in stored(world.broker, world.queue)] == [world.queue]


def test_a_pipeline_goes_on_where_it_stopped() -> None:
    """What was to follow is among the options."""
    world = World(StubBroker())
    last: dramatiq.Message[Any] = world.plain.message(2)
    pipeline([world.plain.message({"org_id": ORG}), last], broker=world.broker).run()  # type: ignore[no-untyped-call]
    (letter,) = world.run()

    world.replays.retry(letter.id)

    (message,) = stored(world.broker, world.queue)
    assert message.options["pipe_target"]["message_id"] == last.message_id


class Closed(Guard):
    """Refuses what is sent, when told to."""

    closed: Exception | None = None

    def before_enqueue(
        self, broker: dramatiq.Broker, message: "dramatiq.Message[Any]", delay: int | None
    ) -> None:
        if self.closed:
            raise self.closed


def test_a_message_that_a_guard_refuses_can_be_retried() -> None:
    """Nothing was sent, and the letter says nothing else."""
    guard = Closed()
    world = World(StubBroker(), guard)
    (letter,) = world.dead("blog")
    guard.closed = RateLimited("publish", 1.0)

    with pytest.raises(RateLimited):
        world.replays.retry(letter.id)

    assert world.letter(letter.id) == letter


def test_a_broker_that_fails_leaves_the_letter_marked() -> None:
    """The message may have got there: sending it again is for somebody to decide."""
    world = World(StubBroker())
    (letter,) = world.dead("blog")
    del world.broker.queues[world.queue]
    world.broker.actors["publish"].queue_name = world.queue

    with pytest.raises(ReplayUncertain, match="--again"):
        world.replays.retry(letter.id)

    assert world.letter(letter.id).replayed_as is not None
