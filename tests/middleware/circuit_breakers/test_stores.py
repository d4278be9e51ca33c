"""What every store of circuits promises, in memory and on a real server."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast
from uuid import uuid4

import pytest
import redis

from middleware.circuit_breakers.redis import RedisCircuitBreakerStore
from middleware.circuit_breakers.state import BreakerRule, BreakerState
from tests.middleware.circuit_breakers.breaker_helpers import age
from tests.middleware.circuit_breakers.store_stages import RULE, Stage, fail, half_open, take_trials


def test_a_circuit_nobody_knows_is_closed(stage: Stage) -> None:
    """An empty store has nothing to say, and grants."""
    reading = stage.store.read(None)

    assert reading is not None
    assert reading.states == {}
    permit = stage.store.take_trial("ai", "t", RULE)
    assert (permit.granted, permit.state.state) == (True, "closed")


def test_it_opens_at_the_last_of_the_allowed_failures(stage: Stage) -> None:
    """A failure fewer leaves it closed, and the last one says why it opened."""
    first = stage.store.record("ai", "failure", RULE, reason="OSError")
    second = stage.store.record("ai", "failure", RULE, reason="TimeoutError")

    assert (first.before, first.after.state, first.after.failures) == ("closed", "closed", 1)
    assert (second.before, second.after.state) == ("closed", "open")
    assert second.after.reason == "2 failures, the last: TimeoutError"
    assert second.after.wait_ms == 10_000
    assert second.after.since_ms is not None
    assert second.after.until_ms == second.after.since_ms + 10_000


def test_a_success_begins_the_counttake_trials(stage: Stage) -> None:
    """Only failures in a row open a circuit."""
    fail(stage.store, 1)
    assert stage.store.record("ai", "success", RULE).after.failures == 0
    assert stage.store.record("ai", "failure", RULE).after.state == "closed"


def test_nothing_neither_counts_nor_begins_the_counttake_trials(stage: Stage) -> None:
    """A caller's own fault leaves the count as it is."""
    fail(stage.store, 1)
    assert stage.store.record("ai", "nothing", RULE).after.failures == 1
    assert stage.store.record("ai", "failure", RULE).after.state == "open"


def test_circuits_do_not_touch_each_other(stage: Stage) -> None:
    """A dead host leaves the next one's circuit closed."""
    fail(stage.store, 2, "publish:wordpress:dead.example")

    assert stage.store.take_trial("publish:wordpress:live.example", "t", RULE).granted
    assert not stage.store.take_trial("publish:wordpress:dead.example", "t", RULE).granted


def test_an_open_circuit_grants_nothing_until_its_time_has_passed(stage: Stage) -> None:
    """Before: refused with what is left to wait; after: a trial, and the first one knows it."""
    fail(stage.store, 2)
    stage.pass_s(4)
    early = stage.store.take_trial("ai", "t", RULE)
    stage.pass_s(7)
    late = stage.store.take_trial("ai", "t", RULE)

    assert (early.granted, early.state.state) == (False, "open")
    assert early.state.wait_ms is not None
    assert 5_000 < early.state.wait_ms <= 6_000
    assert (late.granted, late.first, late.state.state) == (True, True, "half-open")


def test_half_open_grants_exactly_its_trials_to_any_number_of_threads(stage: Stage) -> None:
    """Eight at once get two, and the same two may ask again."""
    store = half_open(stage)
    together = threading.Barrier(8)

    def ask(number: int) -> bool:
        together.wait()
        return store.take_trial("ai", f"token {number}", RULE).granted

    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(ask, range(8)))

    assert granted.count(True) == 2
    assert [ask_again.granted for ask_again in take_trials(store, 8)] == granted


def test_successful_trials_use_up_what_is_granted_and_the_last_one_closes(stage: Stage) -> None:
    """A success is not room for one trial more, and the second closes the circuit."""
    store = half_open(stage)
    assert [each.granted for each in take_trials(store, 3)] == [True, True, False]

    first = store.record("ai", "success", RULE, token="token 0")
    assert (first.before, first.after.state) == ("half-open", "half-open")
    assert not store.take_trial("ai", "another", RULE).granted

    second = store.record("ai", "success", RULE, token="token 1")
    assert (second.before, second.after.state, second.after.failures) == ("half-open", "closed", 0)
    assert second.after.reason == "all trials succeeded"


def test_a_failed_trial_opens_again_and_the_others_verdicts_are_void(stage: Stage) -> None:
    """A single failure is enough, and a success that comes later does not close what has opened."""
    store = half_open(stage)
    take_trials(store, 2)

    failed = store.record("ai", "failure", RULE, token="token 0", reason="OSError")
    late = store.record("ai", "success", RULE, token="token 1")

    assert (failed.before, failed.after.state, failed.after.wait_ms) == ("half-open", "open", 10_000)
    assert failed.after.reason == "a trial failed: OSError"
    assert (late.before, late.after.state) == ("open", "open")
    stage.pass_s(11)
    assert store.take_trial("ai", "next", RULE).first


def test_trials_of_an_earlier_half_open_neither_count_nor_take_room(stage: Stage) -> None:
    """A lease that outlives the next opening is void in the half-open after it."""
    rule = BreakerRule(failures=2, open_s=10, trials=2, trial_lease_s=600, forget_s=600)
    store = half_open(stage)
    for token in ("old 0", "old 1"):
        store.take_trial("ai", token, rule)
    store.record("ai", "failure", rule, token="old 0")
    stage.pass_s(11)

    assert store.record("ai", "success", rule, token="old 1").after.state == "half-open"
    assert [store.take_trial("ai", f"new {number}", rule).granted for number in range(3)] == [
        True,
        True,
        False,
    ]


def test_a_trial_that_said_nothing_is_given_to_another(stage: Stage) -> None:
    """A trial ended by the caller's own fault is made again."""
    store = half_open(stage)
    take_trials(store, 2)

    assert store.record("ai", "nothing", RULE, token="token 0").after.state == "half-open"

    assert store.take_trial("ai", "another", RULE).granted


def test_a_crashed_trial_is_given_to_another_and_its_late_word_counts_nothing(stage: Stage) -> None:
    """A lease ends by itself, and whoever comes back after it has no say."""
    store = half_open(stage)
    take_trials(store, 2)
    stage.pass_s(6)

    others = [store.take_trial("ai", f"other {number}", RULE).granted for number in range(3)]
    late = store.record("ai", "failure", RULE, token="token 0")

    assert others == [True, True, False]
    assert late.after.state == "half-open"


def test_leases_end_one_by_one(stage: Stage) -> None:
    """A trial whose lease has ended has no say, also while another one is still in hand."""
    store = half_open(stage)
    store.take_trial("ai", "early", RULE)
    stage.pass_s(3)
    store.take_trial("ai", "late", RULE)
    stage.pass_s(3)

    assert store.record("ai", "failure", RULE, token="early").after.state == "half-open"
    store.take_trial("ai", "early", RULE)
    stage.pass_s(3)
    granted = [store.take_trial("ai", f"other {number}", RULE).granted for number in range(2)]
    assert granted == [True, False]


def test_failures_of_calls_that_began_before_it_opened_change_nothing(stage: Stage) -> None:
    """Without a trial in hand nobody keeps a circuit open, or opens a half-open one."""
    fail(stage.store, 2)
    stage.pass_s(4)
    still_open = stage.store.record("ai", "failure", RULE).after
    stage.pass_s(7)
    half = stage.store.record("ai", "failure", RULE).after

    assert still_open.wait_ms is not None
    assert still_open.wait_ms <= 6_000
    assert half.state == "half-open"


def test_what_asks_for_time_is_open_until_then(stage: Stage) -> None:
    """A single such failure opens it, later ones only prolong it, and trials follow."""
    opened = stage.store.record("ai", "failure", RULE, open_s=100, reason="TooMany")
    shorter = stage.store.record("ai", "failure", RULE, open_s=50)

    assert (opened.before, opened.after.state, opened.after.wait_ms) == ("closed", "open", 100_000)
    assert opened.after.reason == "it asked to be left alone: TooMany"
    assert shorter.after.wait_ms is not None
    assert shorter.after.wait_ms > 99_000
    stage.pass_s(101)
    assert stage.store.take_trial("ai", "t", RULE).state.state == "half-open"


def test_forced_open_stays_so_whatever_succeeds(stage: Stage) -> None:
    """Nobody gets through and nothing that is recorded changes it, however much time passes."""
    change = stage.store.force("ai", "open", reason="maintenance", who="ada", rule=RULE)
    stage.pass_s(100_000)

    assert (change.before, change.after.state, change.after.wait_ms) == ("closed", "open", None)
    assert stage.store.record("ai", "success", RULE).after.state == "open"
    refused = stage.store.take_trial("ai", "t", RULE)
    assert not refused.granted
    assert (refused.state.reason, refused.state.who) == ("maintenance", "ada")


def test_forced_closed_stays_so_whatever_fails(stage: Stage) -> None:
    """Failures, and even a wish to be left alone, do not open it."""
    fail(stage.store, 2)
    change = stage.store.force("ai", "closed", reason="we must", who="ada", rule=RULE)

    fail(stage.store, 5)
    fail(stage.store, 1, open_s=60)
    stage.pass_s(100_000)

    assert (change.before, change.after.state) == ("open", "closed")
    assert stage.store.take_trial("ai", "t", RULE).granted
    reading = stage.store.read(None)
    assert reading is not None
    assert (reading.states["ai"].forced, reading.states["ai"].state) == ("closed", "closed")


@pytest.mark.parametrize("forced", [None, "open", "closed"])
def test_reset_closes_and_lets_it_work_by_itself(stage: Stage, forced: Any) -> None:
    """Whatever it was before, it now takes as many failures as ever to open it."""
    fail(stage.store, 2)
    if forced is not None:
        stage.store.force("ai", forced, reason="because", who="ada", rule=RULE)

    after = stage.store.force("ai", None, reason="repaired", who="bob", rule=RULE).after

    assert (after.state, after.forced, after.failures) == ("closed", None, 0)
    assert (after.reason, after.who) == ("repaired", "bob")
    assert stage.store.record("ai", "failure", RULE).after.state == "closed"
    assert stage.store.record("ai", "failure", RULE).after.state == "open"


def test_failures_stay_counted_until_a_trial_succeeds(stage: Stage) -> None:
    """Those that opened it, one more for each trial that failed, none for a call that began before it opened."""
    store = half_open(stage)
    take_trials(store, 2)
    assert store.record("ai", "failure", RULE, token="token 0").after.failures == 3
    assert store.record("ai", "failure", RULE).after.failures == 3
    stage.pass_s(11)
    take_trials(store, 1)

    after = store.record("ai", "success", RULE, token="token 0").after

    assert (after.state, after.failures, after.successes) == ("half-open", 0, 1)


def test_a_reading_holds_every_circuit_and_comes_once(stage: Stage) -> None:
    """All of them with one question; the same question again has no answer until something changes."""
    fail(stage.store, 1, "ai")
    fail(stage.store, 2, "mail")
    reading = stage.store.read(None)
    assert reading is not None

    assert {key: each.state for key, each in reading.states.items()} == {"ai": "closed", "mail": "open"}
    assert reading.states["ai"].failures == 1
    assert stage.store.read(reading.version) is None

    stage.store.record("ai", "success", RULE)
    again = stage.store.read(reading.version)
    assert again is not None
    assert again.states.get("ai", BreakerState(key="ai")).failures == 0


def test_of_two_answers_the_later_is_known(stage: Stage) -> None:
    """Whatever was asked, and whether or not it changed anything."""
    store = stage.store
    answers = [
        store.read(None),
        store.record("ai", "failure", RULE),
        store.take_trial("ai", "t", RULE),
        store.record("ai", "nothing", RULE),
        store.set_state("ai", "half-open", reason="by hand", rule=RULE),
        store.take_trial("ai", "t", RULE),
        store.force("ai", "open", reason="because", who="ada", rule=RULE),
        store.take_trial("ai", "t", RULE),
        store.set_state("ai", "closed", reason="by hand", rule=RULE),
        store.read(None),
    ]

    times = [answer.as_of for answer in answers if answer is not None]

    assert times == sorted(times)
    assert len(set(times)) == len(answers)


def test_what_says_nothing_new_is_no_change(stage: Stage) -> None:
    """A success without failures, and a caller's own fault, make nobody read again."""
    fail(stage.store, 1)
    reading = stage.store.read(None)
    assert reading is not None

    stage.store.record("ai", "nothing", RULE)
    stage.store.record("mail", "success", RULE)

    assert stage.store.read(reading.version) is None


def test_what_nobody_calls_expires_and_what_is_forced_is_not(stage: Stage) -> None:
    """Old failures and old openings end; an operator's word does not."""
    fail(stage.store, 1, "ai")
    fail(stage.store, 2, "mail")
    stage.store.force("site", "open", reason="maintenance", who="ada", rule=RULE)
    stage.pass_s(71)

    reading = stage.store.read(None)

    assert reading is not None
    assert set(reading.states) == {"site"}
    assert stage.store.record("ai", "failure", RULE).after.failures == 1


def test_counting_loses_nothing_between_threads(stage: Stage) -> None:
    """Eighty failures at once are eighty."""
    rule = BreakerRule(failures=100)
    together = threading.Barrier(8)

    def record(_: int) -> None:
        together.wait()
        for _ in range(10):
            stage.store.record("ai", "failure", rule)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(record, range(8)))

    reading = stage.store.read(None)
    assert reading is not None
    assert reading.states["ai"].failures == 80


def test_every_key_on_the_server_has_an_end_except_what_is_configuration(redis_client: redis.Redis) -> None:
    """Circuits, trials, index and version expire; a forced circuit and the index that lists it do not."""
    prefix = uuid4().hex
    store = RedisCircuitBreakerStore(redis_client, prefix=prefix)
    fail(store, 2)
    age(redis_client, prefix, 11)
    store.take_trial("ai", "t", RULE)

    def endless() -> set[str]:
        keys = cast("list[bytes]", redis_client.keys(f"{prefix}:*"))
        return {key.decode() for key in keys if redis_client.pttl(key) < 0}

    assert endless() == set()
    store.force("site", "open", reason="maintenance", who="", rule=RULE)
    assert endless() == {f"{prefix}:{{breakers}}:index", f"{prefix}:{{breakers}}:state:site"}
    store.force("site", None, reason="done", who="", rule=RULE)
    assert endless() == set()
