"""A part of the work goes by age: who has waited longest of all is next now and then, whatever its org has had."""

from collections import Counter

import pytest

from broker import FairRedisBroker, OrgShare
from tests.broker.conftest import MakeBroker
from tests.broker.turns import Turns, org_of
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("old_takes_ms", [1.0, 10.0, 200.0])
def test_a_tenth_of_the_work_goes_by_age(fair: FairRedisBroker, old_takes_ms: float) -> None:
    """Of the work and not of the jobs, however little of it is the share of the one that has waited longest."""
    fair.configure_orgs({"old": OrgShare(weight=0.001)})
    turns = Turns(fair, threads=2)
    fair.send_many([turns.actor.message_with_options(org="old") for _ in range(3_000)])
    fair.send_many([turns.actor.message_with_options(org=f"young{n % 5}") for n in range(3_000)])
    worked: Counter[str] = Counter()
    while worked.total() < 20_000:
        message = turns.start()
        org = org_of(message)[:3]
        took_ms = old_takes_ms if org == "old" else 10.0
        worked[org] += int(took_ms)
        turns.end(message, took_ms)

    assert worked["old"] / worked.total() == pytest.approx(0.1, abs=0.02), worked


def test_nothing_goes_by_age_where_that_is_turned_off(turns: Turns) -> None:
    """Its org's share is all that counts."""
    turns.fair.configure_orgs({"old": OrgShare(weight=0.001)})
    turns.send(*["old"] * 50, *["young"] * 300)

    assert Counter(turns.run(250))["old"] <= 2


def test_who_is_served_by_age_pays_for_it(fair: FairRedisBroker) -> None:
    """Equal orgs get equal shares, although all of one's messages are older than all of another's."""
    turns = Turns(fair, threads=8)
    for org in ("a", "b", "c"):
        fair.send_many([turns.actor.message_with_options(org=org) for _ in range(200)])

    assert Counter(turns.run(450)) == pytest.approx({"a": 150, "b": 150, "c": 150}, abs=4)


def test_who_waits_longest_is_overtaken_by_so_many_and_no_more(fair: FairRedisBroker) -> None:
    """Its weight is next to nothing, and new orgs come for all that there is time for: a tenth is for it."""
    fair.configure_orgs({"light": OrgShare(weight=0.001)})
    turns = Turns(fair)
    turns.send("light", "light", "light")
    turns.run(1)
    orgs = []
    for number in range(60):
        turns.send(f"new{number}")
        orgs += turns.run(1)

    assert orgs.count("light") == 2


def test_an_org_that_may_not_run_is_not_the_oldest(fair: FairRedisBroker) -> None:
    """While it is paused its age counts nothing; resumed, it is what it was."""
    fair.configure_orgs({"old": OrgShare(weight=0.001)})
    turns = Turns(fair)
    turns.send("old", "old", *["a"] * 40, *["b"] * 40)
    assert turns.run(1) == ["old"]
    fair.shut("people", {"o:old": (0, "for a while")})
    assert "old" not in turns.run(40)

    fair.shut("people", {})
    assert "old" in turns.run(15)


def test_orgs_of_one_call_are_as_old_as_they_stand_in_it(new_broker: MakeBroker) -> None:
    """By age alone, as good as: they go in the order in which they came."""
    fair = new_broker(age_share=0.99)
    turns = Turns(fair)
    orgs = [f"o{n:03d}" for n in range(100, 0, -1)]
    fair.send_many([turns.actor.message_with_options(org=org) for org in orgs])

    assert turns.run(100) == orgs


def test_what_comes_back_is_as_old_as_it_was(new_broker: MakeBroker) -> None:
    """A worker gave it back; it has waited since it was sent, and its org with it."""
    fair = new_broker(age_share=0.99)
    turns = Turns(fair)
    turns.send("x", "y", "z", "back", "other")
    assert turns.run(3) == ["x", "y", "z"]
    message = turns.start()
    sent_ms = fair.server_now_ms()
    assert eventually(lambda: fair.server_now_ms() > sent_ms)
    turns.send("back")
    turns.give_back(message)

    assert turns.run(2) == ["back", "other"]


@pytest.mark.parametrize("age_share", [-0.1, 1.0, float("nan")])
def test_a_share_that_is_none_is_refused(age_share: float) -> None:
    """When the broker is made."""
    with pytest.raises(ValueError, match="age_share must be at least 0 and less than 1"):
        FairRedisBroker(age_share=age_share)
