"""How messages come, end and come back, one transition at a time (invariants 1 to 5).

After each call all invariants are looked at as well.
"""

import pytest

from broker.leasing.lease import BACK, DONE, AckOperation
from tests.broker.model.draining import drain
from tests.broker.model.fleet import Fleet
from tests.broker.model.messages import Messages
from tests.broker.model.scenes import die, end_all, leased, suspect

pytestmark = pytest.mark.slow

HOUR_MS = 3_600_000


def test_a_call_that_is_repeated_puts_nothing_twice(fleet: Fleet) -> None:
    """A second copy of a message is another one, and stands beside it."""
    message = Messages()
    first, delayed = message(), message(delay_ms=HOUR_MS)
    copy = message(message_id="m1")
    for sent in (first, first, copy, copy, delayed, delayed):
        fleet.send([sent])

    assert sorted(fleet.state.records) == ["m1", "m1~.u3", "m2"]
    drain(fleet)


def test_a_retry_goes_with_the_end_of_its_message(fleet: Fleet) -> None:
    """And with that only: when the answer is lost and the end told again, it is not put again."""
    message = Messages()
    lease, worker = leased(fleet, message()), fleet.workers[0]
    worker.end(lease, DONE, carried=(message(delay_ms=HOUR_MS, message_id="m1"), message("r")))
    fleet.flush(worker, "answer lost")
    fleet.flush(worker)

    assert list(fleet.state.delayed["q"]) == ["m1"]
    assert len(fleet.state.records) == 2
    drain(fleet)


def test_what_comes_back_takes_nothing_along(fleet: Fleet) -> None:
    """It runs again, and what its hooks enqueue then is what counts."""
    message = Messages()
    lease, worker = leased(fleet, message()), fleet.workers[0]
    worker.end(lease, BACK, carried=(message(message_id="m1"),))
    fleet.flush(worker)

    assert list(fleet.state.records) == ["m1"]


def test_an_end_changes_a_hash_only_if_the_lease_is_still_there(fleet: Fleet) -> None:
    """The change and the end are one."""
    message = Messages()
    lease, worker = leased(fleet, message()), fleet.workers[0]
    key = fleet.claim("m1", lease.token)
    worker.end(lease, DONE, operations=(AckOperation(key, "owner", lease.token, None, HOUR_MS),))
    fleet.put_to_sleep(0)
    fleet.flush(fleet.workers[1])
    fleet.flush(worker)
    assert fleet.truth.claims

    [again] = fleet.fetch(fleet.workers[1], "q", 1)
    others = AckOperation(key, "owner", "somebody else", None, HOUR_MS)
    mine = AckOperation(key, "owner", lease.token, ("owner", "done"), HOUR_MS)
    fleet.workers[1].end(again, DONE, operations=(others, mine))
    fleet.flush(fleet.workers[1])

    assert list(fleet.truth.claims.values()) == ["done"]


def test_who_lost_a_lease_ends_nothing(fleet: Fleet) -> None:
    """Neither with another worker nor, since each lease has its number, when it is its own again."""
    message = Messages()
    stale, worker = leased(fleet, message()), fleet.workers[0]
    fleet.put_to_sleep(0)
    fleet.flush(fleet.workers[1])
    [mine] = fleet.fetch(worker, "q", 1)
    worker.end(stale, DONE, carried=(message(),))
    fleet.flush(worker)

    assert worker.refused == 1
    assert fleet.state.leases == {worker.worker_id: {"m1": (mine.token,)}}


def test_what_a_dead_worker_held_comes_back_in_its_order(fleet: Fleet) -> None:
    """Before what was sent later."""
    message = Messages()
    fleet.send([message() for _ in range(5)])
    fleet.fetch(fleet.workers[0], "q", 3)
    fleet.put_to_sleep(0)
    fleet.flush(fleet.workers[1])

    assert [lease.message_id for lease in fleet.fetch(fleet.workers[1], "q", 5)] == [
        "m1",
        "m2",
        "m3",
        "m4",
        "m5",
    ]


def test_what_came_with_a_lost_answer_goes_back(fleet: Fleet) -> None:
    """What its worker knows of stays with it."""
    message = Messages()
    fleet.send([message() for _ in range(3)])
    worker = fleet.workers[0]
    fleet.fetch(worker, "q", 1)
    fleet.fetch(worker, "q", 1, "answer lost")
    fleet.reconcile(worker)

    assert fleet.state.leases == {worker.worker_id: {"m1": (worker.holds[0].token,)}}
    drain(fleet)


def test_no_worker_leaves_with_leases(fleet: Fleet) -> None:
    """Nobody would look for them."""
    leased(fleet, Messages()())
    fleet.leave(0)

    assert fleet.state.workers


def test_a_reported_death_is_believed_at_once(fleet: Fleet) -> None:
    """However short ago the worker has beaten."""
    leased(fleet, Messages()())
    fleet.report(fleet.workers[0], "signal 9")
    fleet.flush(fleet.workers[1])

    assert not fleet.state.leases


def test_a_message_runs_isolated_after_two_deaths_and_not_at_all_after_four(fleet: Fleet) -> None:
    """The last flag says that it must not run; whom another worker holds is not charged."""
    message = Messages()
    fleet.send([message("r")])
    fleet.fetch(fleet.workers[2], "r", 1)
    suspect(fleet, message())
    flags = []
    for _ in range(2):
        assert fleet.fetch(fleet.workers[0], "q", 1) == []
        flags += [lease.flag for lease in fleet.fetch(fleet.workers[0], "q", 1)]
        die(fleet)
    flags += [lease.flag for lease in fleet.fetch(fleet.workers[0], "q", 1)]
    die(fleet)
    flags += [lease.flag for lease in fleet.fetch(fleet.workers[0], "q", 1)]

    assert flags == ["a", "a", "p", "p"]
    assert fleet.state.hashes["d"] == {"m2": "4|2|signal 9"}


def test_a_worker_that_was_stopped_charges_nobody(fleet: Fleet) -> None:
    """However often."""
    message = Messages()
    fleet.send([message()])
    for _ in range(4):
        fleet.fetch(fleet.workers[0], "q", 1)
        die(fleet, "stopped")

    assert "d" not in fleet.state.hashes


def test_a_suspect_that_may_not_run_keeps_no_worker_idle(fleet: Fleet) -> None:
    """Neither behind a gate nor for a slot of its concurrency key; it runs when that opens."""
    message = Messages()
    suspect(fleet, message(lane="crop:0:k:1"))
    fleet.send([message(), message(lane="mail:0:k:1")])
    fleet.shut("people", {"a:crop": 0})
    [other] = fleet.fetch(fleet.workers[0], "q", 1)
    assert (other.message_id, fleet.workers[0].isolated_in) == ("m3", None)

    fleet.shut("people", {})
    fleet.fetch(fleet.workers[1], "q", 1)
    assert fleet.workers[1].isolated_in is None
    fleet.workers[0].end(other, DONE)
    fleet.flush(fleet.workers[0])
    end_all(fleet, 1)
    fleet.fetch(fleet.workers[1], "q", 1)

    assert [lease.flag for lease in fleet.fetch(fleet.workers[1], "q", 1)] == ["a"]


def test_a_suspect_that_is_parked_stays_one(fleet: Fleet) -> None:
    """It has not shown that it can end; one that is tried again has."""
    message = Messages()
    suspect(fleet, message())
    [lease] = fleet.fetch(fleet.workers[0], "q", 1) or fleet.fetch(fleet.workers[0], "q", 1)
    fleet.workers[0].end(lease, DONE, carried=(message(delay_ms=5, parked="cause\n", message_id="m1"),))
    fleet.flush(fleet.workers[0])
    fleet.advance(5)
    fleet.flush(fleet.workers[0])
    [lease] = fleet.fetch(fleet.workers[0], "q", 1) or fleet.fetch(fleet.workers[0], "q", 1)
    fleet.workers[0].end(lease, DONE, carried=(message(message_id="m1"),))
    fleet.flush(fleet.workers[0])
    [again] = fleet.fetch(fleet.workers[1], "q", 1)

    assert (lease.flag, again.flag) == ("a", "")
