"""Who may run, and when, one transition at a time (invariants 6 to 10).

After each call all invariants are looked at as well.
"""

import pytest

from broker.leasing.lease import DEAD, DONE
from tests.broker.model.draining import drain
from tests.broker.model.fleet import Fleet
from tests.broker.model.messages import Messages
from tests.broker.model.scenes import end_all, leased
from tests.broker.model.structure import NEVER_MS

pytestmark = pytest.mark.slow

HOUR_MS = 3_600_000


def test_nothing_is_leased_before_it_is_due(fleet: Fleet) -> None:
    """A fetch says how long that is, and a later message wakes nobody."""
    message = Messages()
    fleet.send([message(delay_ms=1_000)])
    assert fleet.fetch(fleet.workers[0], "q", 1) == []
    assert fleet.workers[0].due_ms == {"q": 1_000}
    fleet.send([message(delay_ms=2_000)])
    assert not fleet.state.tokens
    fleet.send([message(delay_ms=500)])
    assert fleet.state.tokens == {"q"}

    fleet.advance(999)
    assert [lease.message_id for lease in fleet.fetch(fleet.workers[0], "q", 9)] == ["m3"]
    fleet.advance(1)
    assert [lease.message_id for lease in fleet.fetch(fleet.workers[0], "q", 9)] == ["m1"]


def test_a_fetch_that_leaves_work_passes_the_token_on(fleet: Fleet) -> None:
    """And one that leaves none takes it away."""
    message = Messages()
    fleet.send([message(), message()])
    fleet.shard.client.delete(fleet.shard.key("wake", "q"))
    fleet.fetch(fleet.workers[0], "q", 1)
    assert fleet.state.tokens == {"q"}
    fleet.fetch(fleet.workers[0], "q", 1)
    assert fleet.state.tokens == set()


def test_orgs_take_turns_and_lanes_keep_their_order(fleet: Fleet) -> None:
    """Whatever was sent first."""
    message = Messages()
    fleet.send([message(org="a") for _ in range(4)])
    fleet.send([message(org="b") for _ in range(4)])
    fetched = fleet.fetch(fleet.workers[0], "q", 6)

    assert sorted(lease.org for lease in fetched[:4]) == ["a", "a", "b", "b"]
    assert [lease.message_id for lease in fetched if lease.org == "a"] == ["m1", "m2", "m3"]


def test_the_more_urgent_goes_first_until_the_other_has_waited(fleet: Fleet) -> None:
    """A second for each step."""
    message = Messages()
    fleet.send([message(lane="mail:2") for _ in range(2)])
    fleet.advance(1_999)
    fleet.send([message(lane="crop:0")])
    assert [lease.message_id for lease in fleet.fetch(fleet.workers[0], "q", 1)] == ["m3"]
    fleet.advance(2)
    fleet.send([message(lane="crop:0")])

    assert [lease.message_id for lease in fleet.fetch(fleet.workers[0], "q", 1)] == ["m1"]


def test_an_org_that_was_away_saves_up_nothing(fleet: Fleet) -> None:
    """It starts where the others are now."""
    message = Messages()
    fleet.send([message(org="a")])
    end_all(fleet, 0, fleet.fetch(fleet.workers[0], "q", 1))
    fleet.send([message(org="b") for _ in range(40)])
    for _ in range(20):
        end_all(fleet, 0, fleet.fetch(fleet.workers[0], "q", 1))
    fleet.send([message(org="a") for _ in range(10)])

    orgs = [lease.org for lease in fleet.fetch(fleet.workers[0], "q", 10)]
    assert orgs.count("b") in (4, 5, 6)


def test_a_slot_that_is_free_lets_in_who_waits_for_it(fleet: Fleet) -> None:
    """An org's own limit, in whatever queue it waits."""
    message = Messages()
    fleet.limit_orgs({"a": 1})
    fleet.send([message("q"), message("q")])
    fleet.send([message("r")])
    fleet.fetch(fleet.workers[0], "q", 5)
    assert fleet.fetch(fleet.workers[1], "r", 5) == []
    assert fleet.state.waiting_orgs == {"a": {"q", "r"}}
    end_all(fleet, 0)

    assert fleet.state.waiting_orgs == {}
    assert len(fleet.fetch(fleet.workers[1], "r", 5)) == 1


def test_a_key_lets_in_so_many_and_keeps_no_other_lane_back(fleet: Fleet) -> None:
    """Over all queues; an end lets the next one in."""
    message = Messages()
    fleet.send(
        [message(lane="crop:0:k:1"), message(lane="crop:0:k:1"), message(lane="mail:0:k:1"), message()]
    )
    assert {lease.message_id for lease in fleet.fetch(fleet.workers[0], "q", 9)} == {"m1", "m4"}
    end_all(fleet, 0)

    assert len(fleet.fetch(fleet.workers[0], "q", 9)) == 1


def test_starts_over_the_rate_wait_for_their_time(fleet: Fleet) -> None:
    """One that was none is given back; one that died with its worker was one."""
    message = Messages()
    fleet.limit_rate("crop", (1_000.0, 1_000.0))
    fleet.send([message() for _ in range(5)])
    assert len(fleet.fetch(fleet.workers[0], "q", 9)) == 2
    assert fleet.workers[0].due_ms == {"q": 1_000}
    for lease in list(fleet.workers[0].holds):
        fleet.workers[0].end(lease, DONE, refund=True)
    fleet.advance(1_000)

    assert len(fleet.fetch(fleet.workers[0], "q", 9)) == 2


@pytest.mark.parametrize("gate", ["q:q", "a:crop", "o:a", "x:a:crop"])
def test_a_gate_keeps_back_until_it_opens(fleet: Fleet, gate: str) -> None:
    """By hand, or by its time."""
    message = Messages()
    fleet.send([message()])
    fleet.shut("people", {gate: 0})
    fleet.shut("breaker", {gate: fleet.shard.now_ms + 5_000})
    assert fleet.fetch(fleet.workers[0], "q", 1) == []
    aside, actors = fleet.state.aside.values(), fleet.state.blocked_actors.values()
    assert all(at >= NEVER_MS for each in (*aside,) for at in each.values())
    assert all(at >= NEVER_MS for each in (*actors,) for at in each.values())
    fleet.shut("people", {})
    assert fleet.fetch(fleet.workers[0], "q", 1) == []
    assert fleet.workers[0].due_ms == {"q": 5_000}
    fleet.advance(5_000)

    assert len(fleet.fetch(fleet.workers[0], "q", 1)) == 1


def test_a_gate_forgets_what_was_dropped_behind_it(fleet: Fleet) -> None:
    """An org whose messages were all dropped meanwhile is not kept back when it comes again."""
    message = Messages()
    fleet.shut("people", {"o:a": 0})
    fleet.send([message()])
    assert fleet.fetch(fleet.workers[0], "q", 1) == []
    fleet.clean_lanes("q", "a")
    fleet.shut("people", {})
    fleet.send([message()])

    assert len(fleet.fetch(fleet.workers[0], "q", 1)) == 1


def test_a_release_makes_due_what_is_parked_under_a_key(fleet: Fleet) -> None:
    """Nothing else; and parking is counted by kind."""
    message = Messages()
    parked = [message(delay_ms=HOUR_MS, parked=f"cause\n{key}") for key in ("lock:x", "lock:x", "lock:y", "")]
    fleet.send(parked)
    assert fleet.state.hashes["pn"] == {"q\nlock": "3", "q\ncause": "1"}
    fleet.release("lock:x")

    assert {lease.message_id for lease in fleet.fetch(fleet.workers[0], "q", 9)} == {"m1", "m2"}
    drain(fleet)


def test_what_is_due_is_parked_no_more(fleet: Fleet) -> None:
    """Neither counted nor released."""
    fleet.send([Messages()(delay_ms=HOUR_MS, parked="cause\nlock:x")])
    fleet.advance(HOUR_MS)
    fleet.fetch(fleet.workers[0], "q", 1)

    assert not fleet.state.parked_keys
    assert not {"p", "pn"} & fleet.state.hashes.keys()


def test_a_limit_that_is_raised_counts_at_once(fleet: Fleet) -> None:
    """For what waits already."""
    message = Messages()
    fleet.limit_orgs({"a": 1})
    fleet.send([message(), message()])
    assert len(fleet.fetch(fleet.workers[0], "q", 9)) == 1
    fleet.limit_orgs({"a": 2})

    assert len(fleet.fetch(fleet.workers[0], "q", 9)) == 1


def test_bounds_refuse_all_or_nothing(fleet: Fleet) -> None:
    """Retries are never refused, nor what a lost answer let in already."""
    message = Messages()
    assert not fleet.send([message() for _ in range(3)], bounds=(2, 0, 0))
    assert not fleet.send([message() for _ in range(2)], bounds=(0, 1, 0))
    assert not fleet.send([message()], bounds=(2, 0, 2))
    two = [message(), message()]
    assert fleet.send(two, bounds=(2, 2, 0))
    assert fleet.send(two, bounds=(2, 2, 0))
    [lease] = fleet.fetch(fleet.workers[0], "q", 1)
    fleet.workers[0].end(lease, DONE, carried=(message(), message()))
    fleet.flush(fleet.workers[0])

    assert fleet.state.numbers("n") == {"q": 3}


def test_a_flush_leaves_nothing_of_its_queue(fleet: Fleet) -> None:
    """Wherever it is, also what waits for slots that another queue's leases hold."""
    message = Messages()
    fleet.limit_orgs({"a": 1})
    leased(fleet, message("r"))
    leased(fleet, message("r", "b", "crop:0:k:1"))
    fleet.send([message(), message(org="b", lane="crop:0:k:1"), message(delay_ms=1), message(org="c")])
    fleet.send([message(delay_ms=HOUR_MS, parked="cause\nlock:x")])
    fleet.shut("people", {"x:c:crop": 0})
    assert fleet.fetch(fleet.workers[1], "q", 9) == []
    leased(fleet, message(org="d"))
    fleet.drop_all("q")

    assert fleet.state.numbers("n") == {"r": 2}
    drain(fleet)


def test_a_dead_message_is_a_letter_and_counts_no_more(fleet: Fleet) -> None:
    """It is kept for its time."""
    lease = leased(fleet, Messages()())
    fleet.workers[0].end(lease, DEAD)
    fleet.flush(fleet.workers[0])

    assert {queue: list(letters) for queue, letters in fleet.state.dead.items()} == {"q": ["m1"]}
    assert fleet.state.numbers("n") == {}
    drain(fleet)


def test_a_quiet_worker_fetches_nothing(fleet: Fleet) -> None:
    """Until it may again."""
    message = Messages()
    fleet.flush(fleet.workers[0])
    fleet.run("quiet", fleet.workers[0].worker_id, 1)
    fleet.send([message()])
    assert fleet.fetch(fleet.workers[0], "q", 1) == []
    fleet.run("quiet", fleet.workers[0].worker_id, 0)
    assert len(fleet.fetch(fleet.workers[0], "q", 1)) == 1
