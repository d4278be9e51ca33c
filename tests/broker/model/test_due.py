"""What becomes due: each org's at its turn, however much another has; in batches, and without a free thread."""

from collections import Counter

import pytest

from broker.keys import record_of
from broker.leasing.lease import Sent
from tests.broker.model.fleet import Fleet
from tests.broker.model.messages import Messages
from tests.broker.model.scenes import end_all

pytestmark = pytest.mark.slow

MEBIBYTE = 1024 * 1024


message = Messages()


def delayed(fleet: Fleet, org: str, number: int, *, delay_ms: int = 1_000) -> list[Sent]:
    """So many messages of an org that are due at one time."""
    sent = [message(org=org, delay_ms=delay_ms) for _ in range(number)]
    fleet.send(sent)
    return sent


def dispatched(fleet: Fleet, number: int, *, room: int = 1) -> list[str]:
    """Whose the next messages are, one fetch after the other."""
    worker, orgs = fleet.workers[0], list[str]()
    while len(orgs) < number:
        leases = fleet.fetch(worker, "q", room)
        orgs += [lease.org for lease in leases]
        end_all(fleet, 0)
    return orgs


def test_a_storm_of_one_org_does_not_stand_before_what_is_due_of_another(fleet: Fleet) -> None:
    """Although all of it was due before."""
    delayed(fleet, "storm", 500)
    delayed(fleet, "other", 1, delay_ms=1_300)
    delayed(fleet, "third", 1, delay_ms=1_300)
    fleet.advance(1_300)

    assert {"other", "third"} <= set(dispatched(fleet, 4))


def test_a_storm_gets_its_orgs_share_and_no_more(fleet: Fleet) -> None:
    """Beside an org whose messages were ready from the first."""
    delayed(fleet, "storm", 300)
    fleet.send([message(org="busy") for _ in range(60)])
    fleet.advance(1_000)

    assert Counter(dispatched(fleet, 40, room=4)) == {"storm": 20, "busy": 20}


def test_many_orgs_that_are_due_have_their_turns_by_when_they_were(fleet: Fleet) -> None:
    """More of them than one call makes ready: whose turn has been comes again behind the others."""
    orgs = [f"o{n:02d}" for n in range(60)]
    for number, org in enumerate(reversed(orgs)):
        delayed(fleet, org, 8, delay_ms=1_000 + number)
    fleet.advance(2_000)
    fleet.flush_with(fleet.workers[0], "q")
    first = set(fleet.state.ready["q"])
    assert first == set(orgs[-len(first) :]) < set(orgs)

    fleet.flush_with(fleet.workers[0], "q")
    assert first < set(fleet.state.ready["q"])


def test_one_call_makes_a_batch_ready(fleet: Fleet) -> None:
    """The server does not stand still for a storm."""
    delayed(fleet, "storm", 450)
    fleet.advance(1_000)
    left = [450]
    while left[-1]:
        fleet.flush_with(fleet.workers[0], "q")
        left.append(len(fleet.state.delayed.get("q", {})))
        assert 0 < left[-2] - left[-1] <= 100


def test_one_call_reads_only_so_many_bytes(fleet: Fleet) -> None:
    """However few messages that are."""
    for number in range(5):
        record = record_of("q", "a", "crop:0", f"u{number}", b"x" * MEBIBYTE)
        fleet.send([Sent(f"m{number}", f"u{number}", 1_000, "", record)])
    fleet.advance(1_000)
    fleet.flush_with(fleet.workers[0], "q")

    assert len(fleet.state.delayed.get("q", {})) == 4


def test_a_beat_makes_ready_what_is_due_while_all_threads_are_busy(fleet: Fleet) -> None:
    """And it wakes whoever has a free one: what comes later stands behind it."""
    fleet.workers[0].age_share = 0.0
    delayed(fleet, "early", 2)
    fleet.advance(1_000)
    fleet.flush_with(fleet.workers[0], "r", "q")
    assert "q" in fleet.state.tokens
    fleet.send([message(org="late")])

    assert dispatched(fleet, 2) == ["early", "late"]


def test_what_a_release_makes_due_has_its_orgs_turn(fleet: Fleet) -> None:
    """A flag lets hundreds of one org go at once, and one of another."""
    for org, number in (("storm", 250), ("other", 1)):
        fleet.send([message(org=org, delay_ms=3_600_000, parked="off\nflag:x") for _ in range(number)])
    fleet.release("flag:x")

    assert "other" in dispatched(fleet, 2)


def test_what_was_due_before_a_release_keeps_its_time(fleet: Fleet) -> None:
    """A release never puts off."""
    fleet.send([message(delay_ms=1_000, parked="off\nflag:x")])
    fleet.advance(5_000)
    due = fleet.state.delayed["q"]
    fleet.release("flag:x")

    assert fleet.state.delayed["q"] == due


def test_what_release_0_1_0_has_delayed_is_found_by_a_fetch(fleet: Fleet) -> None:
    """Its processes put it into the queue's set alone."""
    [sent] = delayed(fleet, "a", 1)
    fleet.shard.client.delete(fleet.shard.key("qo", "q", "a"), fleet.shard.key("qn", "q"))
    fleet.shard.advance(1_000)

    assert [lease.message_id for lease in fleet.fetch(fleet.workers[0], "q", 5)] == [sent.message_id]


def test_what_release_0_1_0_has_delayed_is_not_kept_back_by_a_storm(fleet: Fleet) -> None:
    """A beat looks for it while others are due all the time."""
    [sent] = delayed(fleet, "a", 1, delay_ms=1)
    fleet.shard.client.delete(fleet.shard.key("qo", "q", "a"), fleet.shard.key("qn", "q"))
    storm = [message(org="storm", delay_ms=2) for _ in range(300)]
    fleet.shard.run("enqueue", *[0] * 6, "", 0, *(value for each in storm for value in each))
    for each in storm:
        fleet.truth.accept(each, at_once=True)
    fleet.shard.advance(1_000)
    fleet.flush_with(fleet.workers[0], "q")

    assert sent.message_id not in fleet.state.delayed["q"]


def test_what_a_process_of_release_0_1_0_made_ready_is_made_ready_once(fleet: Fleet) -> None:
    """It takes it from the queue's set, and knows no other."""
    [sent] = delayed(fleet, "a", 1)
    fleet.advance(1_000)
    client, key = fleet.shard.client, fleet.shard.key
    client.zrem(key("qd", "q"), sent.message_id)
    client.rpush(key("l", "q", "a", "crop:0"), f"{fleet.shard.now_ms}|{sent.message_id}")
    client.zadd(key("ql", "q", "a"), {"crop:0": fleet.shard.now_ms})
    client.zadd(key("qr", "q"), {"a": 0})

    assert [lease.message_id for lease in fleet.fetch(fleet.workers[0], "q", 5)] == [sent.message_id]
    end_all(fleet, 0)
    assert fleet.fetch(fleet.workers[0], "q", 5) == []
