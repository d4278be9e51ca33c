"""Orgs that come, go and come back: who came first is served first, and who waits is overtaken by nobody for ever."""

from collections import Counter

import pytest

from broker import FairRedisBroker, OrgShare
from tests.broker.turns import Turns, org_of

pytestmark = pytest.mark.slow


def test_orgs_that_come_together_go_in_the_order_of_their_coming(turns: Turns) -> None:
    """Whatever they are called."""
    orgs = ["zulu", "mike", "alpha", "yankee", "bravo"]
    turns.send(*orgs)

    assert turns.run(5) == orgs


def test_new_orgs_without_end_overtake_nobody(turns: Turns) -> None:
    """Five come for every four jobs done: they are served as they came, and who sent several gets its turns."""
    turns.send("patient", "patient", "patient", "patient")
    came, orgs = 0, []
    for number in range(160):
        for _ in range(2 if number % 4 == 3 else 1):
            turns.send(f"a{came:04d}")
            came += 1
        orgs += turns.run(1)

    new = [org for org in orgs if org != "patient"]
    assert new == sorted(new)
    assert orgs.count("patient") == 4


def test_an_org_at_its_limit_is_next_when_its_job_has_ended(fair_only: FairRedisBroker) -> None:
    """It had work all the while, and could be served no more: it does not go behind those whom others kept waiting."""
    fair_only.configure_orgs({"limited": OrgShare(max_active=1)})
    turns = Turns(fair_only, threads=3)
    turns.send("limited", "long", "a", "b", "limited", "a", "b", "limited", "a", "b")
    running = {org_of(message): message for message in (turns.start() for _ in range(3))}
    turns.end(running["long"], took_ms=1_000.0)
    assert turns.run(1) == ["b"]

    turns.end(running["limited"])
    assert turns.run(1) == ["limited"]


def test_an_org_at_its_limit_gets_its_share_beside_floods(fair_only: FairRedisBroker) -> None:
    """With a weight for more than its limit, it always has something running."""
    fair_only.configure_orgs({"zz": OrgShare(weight=3, max_active=1)})
    turns = Turns(fair_only, threads=4)
    for org in ("a", "b", "zz"):
        fair_only.send_many([turns.actor.message_with_options(org=org) for _ in range(100)])
    running = [turns.start() for _ in range(4)]
    for number in range(60):
        turns.end(running.pop(0), took_ms=5.0 + number % 7 * 10)
        running.append(turns.start())
        assert "zz" in map(org_of, running)


def test_a_refund_does_not_move_the_queues_time(turns: Turns) -> None:
    """Charged a second, done after ten milliseconds: the clock goes on by the ten, divided among two."""
    turns.fair.client.hset(f"{turns.fair.base}:avg", "job", "1000")
    turns.send("a", "a", "b", "b")
    before = turns.time()
    turns.end(turns.start(), took_ms=10.0)

    assert turns.time() - before == pytest.approx(5.0, abs=0.01)


def test_who_was_served_ahead_competes_until_the_others_have_caught_up(turns: Turns) -> None:
    """Of four orgs with one job each one has run: the clock has gone on by a quarter of that, not by a third."""
    turns.send("a", "b", "c", "d")
    turns.run(1, took_ms=10.0)

    assert turns.time() == pytest.approx(2.5, abs=0.01)


def test_what_goes_back_does_not_move_the_queues_time(turns: Turns) -> None:
    """No work was done, whatever was charged."""
    turns.send("a", "a", "b")
    message, before = turns.start(), turns.time()
    turns.give_back(message)

    assert turns.time() == pytest.approx(before, abs=0.01)


def test_a_newcomer_does_not_pay_for_estimates_that_are_too_high(turns: Turns) -> None:
    """An actor was slow yesterday: what is charged for it today in advance keeps nobody waiting who comes now."""
    turns.fair.client.hset(f"{turns.fair.base}:avg", "job", "1000")
    turns.send(*["flood"] * 40)
    for number in range(10):
        turns.run(2)
        turns.send(f"new{number}")
        assert f"new{number}" in turns.run(2)


def test_time_that_the_clock_has_passed_is_charged_once(fair_only: FairRedisBroker) -> None:
    """A job of a second, beside which others work two: its org owes nothing more, and is next when it comes back."""
    turns = Turns(fair_only, threads=2)
    turns.send("long", *["a"] * 300, *["b"] * 300)
    long = turns.start()
    assert org_of(long) == "long"
    turns.run(250)
    turns.end(long, took_ms=1_000.0)
    turns.send("long")

    assert "long" in turns.run(3)


def test_a_light_org_with_long_jobs_does_not_push_newcomers_back(fair_only: FairRedisBroker) -> None:
    """What its jobs take counts by what it is of the whole, and does not move the clock far ahead of everybody."""
    fair_only.configure_orgs({"light": OrgShare(weight=0.05)})
    turns = Turns(fair_only)
    turns.send(*["flood"] * 200, "light")
    while (message := turns.start()) is not None and org_of(message) != "light":
        turns.end(message, took_ms=20.0)
    turns.end(message, took_ms=2_000.0)
    turns.run(5)
    turns.send("new")

    # Of two seconds that the flood has yet to catch up with, no more than half.
    assert "new" in turns.run(60, took_ms=20.0)


def test_nobody_owes_anything_when_all_is_done(fair_only: FairRedisBroker) -> None:
    """When all work is done, debts are gone with it: whoever comes next starts even."""
    turns = Turns(fair_only)
    turns.send("a")
    turns.end(turns.start(), took_ms=60_000.0)
    turns.send("a", "b", "a", "b")

    assert Counter(turns.run(2)) == {"a": 1, "b": 1}


def test_weights_that_compete_are_counted_while_they_do(fair_only: FairRedisBroker) -> None:
    """Also when they change meanwhile; nothing of it is left when everybody has gone."""
    fair_only.configure_orgs({"a": OrgShare(weight=3), "b": OrgShare(weight=0.5)})
    turns = Turns(fair_only)
    turns.send("a", "a", "b", "c")
    key = f"{fair_only.base}:qw:default"
    assert float(fair_only.client.get(key) or 0) == pytest.approx(1.5)

    fair_only.configure_orgs({"a": OrgShare(weight=2)})
    assert float(fair_only.client.get(key) or 0) == pytest.approx(1.0)

    turns.run(4)
    assert fair_only.client.get(key) is None


def test_weights_that_cancel_out_are_counted_all_the_same(fair_only: FairRedisBroker) -> None:
    """One org weighs as much more than one as the other weighs less; the first goes, and the second stays."""
    fair_only.configure_orgs({"more": OrgShare(weight=1.5), "less": OrgShare(weight=0.5)})
    turns = Turns(fair_only)
    turns.send("more", *["less"] * 20)
    turns.run(4)

    assert float(fair_only.client.get(f"{fair_only.base}:qw:default") or 0) == pytest.approx(-0.5)
