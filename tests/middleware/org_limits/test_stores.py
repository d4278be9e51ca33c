"""What every store of limits per org promises of slots and those who wait for them."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest
import redis

from app.embedded import Servers
from middleware.base.errors import StoreUnavailable
from middleware.org_limits.memory import MemoryOrgLimitsStore
from middleware.org_limits.redis import RedisOrgLimitsStore
from middleware.org_limits.slots import Concurrency, Slot
from tests.middleware.org_limits.store_under_test import (
    HOUR_MS,
    HOURLY,
    LEASE_MS,
    PATIENCE_MS,
    STORES,
    Kept,
    attempt,
    kept_in,
)


@pytest.fixture(params=STORES)
def kept(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Kept]:
    """Every store there is."""
    with kept_in(request.param, servers.redis_url) as made:
        yield made


def test_no_org_and_no_actor_uses_up_anothers_rate_or_slots(kept: Kept) -> None:
    """What one org does changes nothing for another, whatever it calls itself."""
    for org in ("acme", "acme:crawl", "{acme}", "acme}:crawl", "ACME", "a c m e"):
        kept.run(attempt("a", org=org, rate=HOURLY, max_active=1))
        assert kept.acquire(attempt("b", org=org, rate=HOURLY, max_active=1)).outcome == "rate"

    other = kept.acquire(attempt("c", actor_name="export", rate=HOURLY, max_active=1))
    assert other.outcome == "slot", "the slots are the org's, the rate the actor's"
    assert other.paid_until_ms > 0


def test_an_org_runs_as_many_as_it_may_and_the_next_waits_for_a_release(kept: Kept) -> None:
    """Each release hands one slot to the message that has waited longest."""
    first, second = kept.run(attempt("a")), kept.run(attempt("b"))
    assert [kept.acquire(attempt(name)).outcome for name in ("c", "d", "e")] == ["slot"] * 3

    (woken,) = kept.release(first)
    assert woken.message == b"message c"
    (next_one,) = kept.release(second)
    assert next_one.message == b"message d"

    assert kept.acquire(attempt("f")).outcome == "slot", "the slots are on offer to those who were woken"
    third = kept.run(attempt("c", copy=woken.copy))
    assert [each.message for each in kept.release(third)] == [b"message e"]


def test_of_a_message_and_the_copy_that_wakes_it_the_first_lives_on(kept: Kept) -> None:
    """The copy came first: the message itself, out of its delay, is told that it was superseded."""
    slot = kept.run(attempt("a", max_active=1))
    kept.acquire(attempt("b", max_active=1))
    (woken,) = kept.release(slot)

    running = kept.run(attempt("b", copy=woken.copy, max_active=1))
    assert kept.acquire(attempt("b", max_active=1)).outcome == "superseded"
    kept.release(running)
    kept.pass_ms(HOUR_MS)
    assert kept.acquire(attempt("b", max_active=1)).outcome == "superseded", "also long after it has run"
    kept.run(attempt("b", copy=woken.copy, max_active=1))


def test_a_message_that_came_before_its_copy_lives_on(kept: Kept) -> None:
    """The copy got lost or late: the message takes the slot it was handed, and the copy is superseded."""
    slot = kept.run(attempt("a", max_active=1))
    kept.acquire(attempt("b", max_active=1))
    (woken,) = kept.release(slot)

    running = kept.run(attempt("b", max_active=1))

    assert kept.acquire(attempt("b", copy=woken.copy, max_active=1)).outcome == "superseded"
    kept.release(running)
    assert kept.acquire(attempt("b", copy=woken.copy, max_active=1)).outcome == "superseded"


def test_a_copy_can_wait_again_and_be_woken_again(kept: Kept) -> None:
    """Only the newest of all copies lives on, however often the message waits."""
    slot = kept.run(attempt("a", max_active=1))
    kept.acquire(attempt("b", max_active=1))
    (first,) = kept.release(slot)
    slot = kept.run(attempt("b", copy=first.copy, max_active=1))
    kept.release(slot)

    slot = kept.run(attempt("c", max_active=1))
    assert kept.acquire(attempt("b", copy=first.copy, max_active=1)).outcome == "slot"
    (second,) = kept.release(slot)

    kept.run(attempt("b", copy=second.copy, max_active=1))
    for old in ("", first.copy):
        assert kept.acquire(attempt("b", copy=old, max_active=1)).outcome == "superseded"


def test_two_deliveries_of_a_message_never_both_have_a_slot(kept: Kept) -> None:
    """While one runs the other is told for how long at least; afterwards it may run."""
    slot = kept.run(attempt("a"))

    second = kept.acquire(attempt("a"))
    assert second.outcome == "running"
    assert second.wait_ms == pytest.approx(LEASE_MS, abs=5_000)

    kept.release(slot)
    kept.run(attempt("a"))


def test_slots_that_nobody_renews_come_back(kept: Kept) -> None:
    """A killed worker's slots are free a lease later, and what it says then does no harm."""
    dead = [kept.run(attempt(name)) for name in ("a", "b")]
    assert kept.acquire(attempt("c")).outcome == "slot"

    kept.pass_ms(LEASE_MS + 1)

    kept.run(attempt("c"))
    again = kept.run(attempt("a"))
    assert kept.release(dead[0]) == []
    assert kept.acquire(attempt("d")).outcome == "slot", "an old token frees nothing"
    assert kept.store.renew([*dead, again]) == dead


def test_slots_that_are_renewed_stay(kept: Kept) -> None:
    """A job may run for many leases, of several orgs in one call."""
    slots = [kept.run(attempt(name, org=org)) for name in ("a", "b") for org in ("acme", "other")]

    for _ in range(3):
        kept.pass_ms(LEASE_MS - 10_000)
        assert kept.store.renew(slots) == []

    assert kept.acquire(attempt("c")).outcome == "slot"
    assert kept.acquire(attempt("c", org="other")).outcome == "slot"


def test_a_slot_on_offer_comes_back_when_its_waiter_does_not(kept: Kept) -> None:
    """Whoever is woken and never comes holds a slot for one lease only, and keeps its place in the line."""
    slot = kept.run(attempt("a", max_active=1))
    for name in ("b", "c"):
        kept.acquire(attempt(name, max_active=1))
    kept.release(slot)
    assert kept.acquire(attempt("d", max_active=1)).outcome == "slot"

    kept.pass_ms(LEASE_MS + 1)
    slot = kept.run(attempt("d", max_active=1))
    for name in ("c", "b"):
        assert kept.acquire(attempt(name, max_active=1)).outcome == "slot"
    assert [each.message for each in kept.release(slot)] == [b"message b"]


def test_waiters_whose_message_may_be_gone_are_passed_over(kept: Kept) -> None:
    """A queue that was purged does not come back to life one message at a time."""
    slot = kept.run(attempt("a", max_active=1, lease_ms=2 * PATIENCE_MS))
    kept.acquire(attempt("purged", max_active=1))
    kept.pass_ms(PATIENCE_MS + 1)
    kept.acquire(attempt("waiting", max_active=1))

    assert [each.message for each in kept.release(slot)] == [b"message waiting"]


def test_all_slots_that_are_free_are_handed_over(kept: Kept) -> None:
    """One release after several leases ran out, or after the limit was raised, wakes as many as may run."""
    slot = kept.run(attempt("a", max_active=1))
    for name in ("b", "c", "d"):
        kept.acquire(attempt(name, max_active=1))

    raised = replace(slot, attempt=replace(slot.attempt, max_active=2))
    assert [each.message for each in kept.release(raised)] == [b"message b", b"message c"]


def test_a_concurrency_key_has_slots_of_its_own(kept: Kept) -> None:
    """One site's jobs wait for one another and hold up nobody else's."""
    site = Concurrency("site:7", 1)
    first = kept.run(attempt("a", concurrency=site, max_active=3))
    for name in ("b", "c"):
        assert kept.acquire(attempt(name, concurrency=site, max_active=3)).outcome == "slot"

    other = kept.run(attempt("d", max_active=3))
    assert kept.release(other) == []
    assert [each.message for each in kept.release(first)] == [b"message b"]


def test_waiters_of_an_org_that_cannot_use_a_slot_are_passed_over(kept: Kept) -> None:
    """The first in line waits for its key as well, so the second gets the slot, and the first the key's next."""
    site = Concurrency("site", 1)
    on_site = kept.run(attempt("a", concurrency=site))
    other = kept.run(attempt("b"))
    # Its key was free when it asked, its org was not; then another took the key.
    assert kept.acquire(attempt("first", concurrency=Concurrency("site", 2))).outcome == "slot"
    waiting = attempt("first", concurrency=site)
    kept.acquire(waiting)
    kept.acquire(attempt("second"))

    assert [each.message for each in kept.release(other)] == [b"message second"]
    assert [each.message for each in kept.release(on_site)] == [b"message first"]


def test_no_more_than_allowed_ever_run_at_once(kept: Kept) -> None:
    """Sixteen threads, four slots: whatever they do, five never hold one at the same time."""
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(16)

    def work(number: int) -> int:
        nonlocal running, most
        together.wait()
        ran = 0
        for turn in range(20):
            one = attempt(f"m{number}-{turn}", max_active=4)
            answer = kept.acquire(one)
            if answer.outcome == "run":
                with lock:
                    running += 1
                    most = max(most, running)
                ran += 1
                with lock:
                    running -= 1
                for wake in kept.release(Slot(one, 0)):
                    woken = wake.message.decode().removeprefix("message ")
                    kept.release(kept.run(attempt(woken, copy=wake.copy, max_active=4)))
        return ran

    with ThreadPoolExecutor(16) as threads:
        ran = sum(threads.map(work, range(16)))

    assert ran > 0
    assert 1 <= most <= 4


def test_memory_is_given_back() -> None:
    """A process that runs for ever holds nothing of orgs that have been quiet for a day."""
    now_ms = [1e12]
    store = MemoryOrgLimitsStore(now_ms=lambda: now_ms[0])
    for number in range(100):
        one = attempt("a", org=f"org{number}", max_active=1, rate=HOURLY)
        store.acquire(one)
        store.acquire(attempt("b", org=f"org{number}", max_active=1))
        store.release(Slot(one, 0), refund=False, patience_ms=PATIENCE_MS)

    now_ms[0] += 25 * HOUR_MS
    store.acquire(attempt("c", org="new"))

    assert list(store._orgs) == ["new"]
    assert store._due_ms == {}


def test_all_keys_of_an_org_are_in_one_hash_slot_and_none_stays_for_ever(redis_client: redis.Redis) -> None:
    """A cluster can run the scripts, and an org that is gone leaves nothing behind."""
    prefix = f"t{uuid4().hex}"
    store = RedisOrgLimitsStore(redis_client, prefix=prefix)
    org, site = "a{c}m:e", Concurrency("k}", 1)
    one = attempt("a", org=org, rate=HOURLY, concurrency=site)
    store.acquire(one)
    for name in ("b", "c"):
        store.acquire(attempt(name, org=org, concurrency=site))
    store.acquire(attempt("d", org=org))
    store.acquire(attempt("e", org=org))

    keys = list(redis_client.scan_iter(match=f"{prefix}:*"))

    assert len(keys) >= 8
    tags = {key.partition(b"{")[2].partition(b"}")[0] for key in keys if isinstance(key, bytes)}
    assert tags == {b"a%7Bc%7Dm%3Ae"}
    assert all(0 < int(str(redis_client.pttl(key))) <= 25 * HOUR_MS for key in keys)


def test_a_server_that_does_not_answer_is_the_guards_own_error() -> None:
    """Callers catch one error, whatever they asked for."""
    with redis.Redis.from_url("unix:///nowhere/hunter2.sock") as client:
        store = RedisOrgLimitsStore(client)
        slot = Slot(attempt("a"), 0)
        calls: list[Callable[[], object]] = [
            lambda: store.acquire(slot.attempt),
            lambda: store.release(slot, refund=False, patience_ms=1),
            lambda: store.renew([slot]),
            lambda: store.charge("acme", "crawl", HOURLY),
        ]
        for call in calls:
            with pytest.raises(StoreUnavailable, match="org_limits/"):
                call()
