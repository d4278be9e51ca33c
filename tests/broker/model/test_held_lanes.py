"""What is set aside: an actor of an org as a whole, however many lanes it has, and let in again in its order."""

from broker.leasing.lease import DONE
from tests.broker.model.fleet import Fleet
from tests.broker.model.messages import Messages
from tests.broker.model.state import HELD

FAR_MS = 4_000_000_000_000


def send_lanes(fleet: Fleet, message: Messages, count: int = 5) -> None:
    """Lanes of one actor of one org, each with a concurrency key of its own, one after the other."""
    for number in range(count):
        fleet.send([message(lane=f"crop:0:doc{number}:1")])
        fleet.advance(10)


def test_an_actor_is_held_as_a_whole(fleet: Fleet) -> None:
    """With one change in its org's order; its lanes keep theirs, and are let in again as they stood."""
    message = Messages()
    send_lanes(fleet, message)
    fleet.send([message(lane="crop:0"), message(lane="resize:0")])
    fleet.shut("people", {"a:crop": 0})

    assert [each.lane for each in fleet.fetch(fleet.workers[0], "q", 9)] == ["resize:0"]
    assert all(score < HELD for score in fleet.state.other_lanes["q", "a", "crop"].values())
    assert [score >= HELD for score in fleet.state.ordered_lanes["q", "a"].values()] == [True, True]
    assert fleet.state.behind_gates["q", "crop"] == {"a"}
    fleet.shut("people", {})
    leases = fleet.fetch(fleet.workers[0], "q", 9)
    assert [each.lane for each in leases] == [*(f"crop:0:doc{number}:1" for number in range(5)), "crop:0"]


def test_a_gate_that_changes_lets_in_nobody_else(fleet: Fleet) -> None:
    """What other gates hold is not even looked at."""
    message = Messages()
    for org in ("a", "b", "c"):
        fleet.send([message(org=org)])
    fleet.shut("people", {"o:a": 0, "x:b:crop": 0, "a:crop": 0})
    assert fleet.fetch(fleet.workers[0], "q", 9) == []
    aside, actors = fleet.state.aside, fleet.state.blocked_actors

    fleet.shut("others", {"a:resize": FAR_MS})
    fleet.shut("others", {"a:resize": 0})
    fleet.shut("others", {})
    assert (fleet.state.aside, fleet.state.blocked_actors) == (aside, actors)
    fleet.shut("people", {"x:b:crop": 0, "a:crop": 0})

    changed = {org: at_ms for (org, _), at_ms in fleet.state.aside["q"].items() if at_ms < FAR_MS}
    assert changed == {"a": fleet.shard.now_ms}


def test_lanes_that_wait_for_a_key_are_let_in_by_their_age(fleet: Fleet) -> None:
    """The oldest first, however many wait, and all of them in the end."""
    message = Messages()
    for number in range(6):
        fleet.send([message(lane=f"crop:{number}:doc:1")])
        fleet.advance(10)
    worker, ran = fleet.workers[0], []
    for _ in range(6):
        [lease] = fleet.fetch(worker, "q", 9)
        ran.append(lease.lane)
        worker.end(lease, DONE)
        fleet.flush(worker)

    assert ran == [f"crop:{number}:doc:1" for number in range(6)]
    assert not fleet.state.waiting_lanes


def test_a_key_that_nobody_holds_lets_in_who_waits(fleet: Fleet) -> None:
    """Though those that were let in first are gone before they ran."""
    message = Messages()
    for number in range(6):
        fleet.send([message(lane=f"crop:{number}:doc:1")])
    worker = fleet.workers[0]
    [lease] = fleet.fetch(worker, "q", 9)
    worker.end(lease, DONE)
    fleet.flush(worker)
    let_in = sorted(fleet.state.open_lanes("q", "a"))
    assert len(let_in) == 2
    for lane in let_in:
        [message_id] = [each for each, header in fleet.state.records.items() if header.lane == lane]
        fleet.reprioritise(message_id, 50)

    left = []
    while leases := fleet.fetch(worker, "q", 1):
        left += leases
        worker.end(leases[0], DONE)
        fleet.flush(worker)
    assert len(left) == 5
