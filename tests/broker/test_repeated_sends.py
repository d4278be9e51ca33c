"""A call whose answer got lost may be made again: the server knows the last thousand calls of each sending process."""

import dramatiq
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from broker import FairRedisBroker, RepeatedTooLate
from broker.leasing.lease import DONE, Sent
from tests.broker.conftest import MakeBroker
from tests.broker.model.conftest import fleet, quiet_server
from tests.broker.model.fleet import Fleet
from tests.broker.model.messages import Messages
from tests.broker.workers import run_all

__all__ = ["fleet", "quiet_server"]

pytestmark = pytest.mark.slow

WINDOW = 1_024
MINUTE_MS = 60_000
UNBOUNDED = (0, 0, 0, 0, 0, 0)


def test_a_call_that_is_repeated_after_its_job_has_ended_runs_nothing(fleet: Fleet) -> None:
    """Nothing of the message is left by then; its sender's number is."""
    message = Messages()()
    _send(fleet, 1, message)
    fleet.truth.accept(message, at_once=True)
    [lease] = fleet.fetch(fleet.workers[0], "q", 1)
    fleet.workers[0].end(lease, DONE)
    fleet.flush(fleet.workers[0])
    _send(fleet, 1, message)

    assert fleet.fetch(fleet.workers[0], "q", 1) == []


def test_a_sender_leaves_one_small_record_for_a_minute(fleet: Fleet) -> None:
    """However much it sends."""
    message = Messages()
    for number in range(1, 100):
        _send(fleet, number, message())
    [key] = fleet.shard.client.keys(fleet.shard.key("s", "*"))

    assert fleet.shard.client.strlen(key) <= 160
    assert 0 < fleet.shard.client.pttl(key) <= MINUTE_MS


@settings(max_examples=60, deadline=None)
@given(numbers=st.lists(st.integers(1, 3 * WINDOW), min_size=1, max_size=60), base=st.uuids())
def test_each_call_arrives_once_in_whatever_order_they_come(
    quiet_server: "redis.Redis", numbers: list[int], base: object
) -> None:
    """What is further back than the window is refused and counted, whether or not it had arrived."""
    shard = Fleet(quiet_server, f"{base}:{{0}}").shard
    arrived: set[int] = set()
    refused = 0
    for number in numbers:
        sent = Sent(f"m{number}", f"u{number}", 0, "", b"q\na\ncrop:0\nu\n{}")
        answer = shard.run("enqueue", *UNBOUNDED, "sender", number, *sent)
        late = number <= max(arrived, default=0) - WINDOW
        assert answer == ([0] if late else [])
        refused += late
        if not late:
            arrived.add(number)

    assert shard.client.hlen(shard.key("m")) == len(arrived)
    assert int(shard.client.get(shard.key("late")) or 0) == refused
    for key in shard.client.scan_iter(f"{shard.base}:*"):
        shard.client.delete(key)


def test_what_is_refused_for_want_of_room_may_be_sent_again(fleet: Fleet) -> None:
    """It has not arrived."""
    message = Messages()
    first, second = message(), message()
    _send(fleet, 1, first)
    assert fleet.shard.run("enqueue", 1, *UNBOUNDED[1:], "sender", 2, *second) == [b"q", b"", 1, b"messages"]
    assert fleet.shard.run("enqueue", *UNBOUNDED, "sender", 2, *second) == []

    assert fleet.shard.client.hlen(fleet.shard.key("m")) == 2


def test_a_sender_learns_that_a_repeat_came_too_late(
    new_broker: MakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot know whether its message had arrived, and nothing runs twice."""
    ran: list[int] = []
    fair: FairRedisBroker = new_broker()
    actor = dramatiq.actor(broker=fair)(ran.append)
    sender = fair._enqueuer._sender
    numbers = iter([5_000, 1])
    monkeypatch.setattr(sender, "_calls", lambda: ("sender", next(numbers)))
    actor.send(1)
    with pytest.raises(RepeatedTooLate, match="whether the messages had arrived"):
        actor.send(2)
    run_all(fair)

    assert ran == [1]


def _send(fleet: Fleet, number: int, sent: Sent) -> None:
    assert fleet.shard.run("enqueue", *UNBOUNDED, "sender", number, *sent) == []
