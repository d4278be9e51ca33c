"""What every store of ticks promises, in memory and on a real server."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

import pytest
import redis

from middleware.cron.memory import MemoryCronStore
from middleware.cron.redis import RedisCronStore
from middleware.cron.store import Claim, CronStore

DAY_S = 86_400.0


@dataclass
class Stage:
    """A store, its clock's minute, and a way to let time pass for everything it leases."""

    store: CronStore
    minute: int
    pass_s: Callable[[float], None]

    def claim(self, minute: int, holder: str, **options: Any) -> Claim:
        """Claim a tick of one actor that may not overlap."""
        settings: dict[str, Any] = {"window_s": DAY_S, "exclusive_s": 60, "covers": None, "owed": False}
        return self.store.claim("digest", minute, holder, **{**settings, **options})


@pytest.fixture(params=["memory", "redis"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Both stores; on the server, time passes by shortening what keys have to live."""
    if request.param == "memory":
        now_ms = [1_700_000_000_000]

        def later(seconds: float) -> None:
            now_ms[0] += round(seconds * 1_000)

        return Stage(MemoryCronStore(now_ms=lambda: now_ms[0]), now_ms[0] // 60_000, later)
    client: redis.Redis = request.getfixturevalue("redis_client")
    prefix = uuid4().hex

    def age(seconds: float) -> None:
        for key in cast("list[bytes]", client.keys(f"{prefix}:*")):
            client.pexpire(key, client.pttl(key) - round(seconds * 1_000))

    return Stage(RedisCronStore(client, prefix=prefix), int(time.time()) // 60, age)


def test_a_tick_is_granted_to_one_of_any_number_of_messages(stage: Stage) -> None:
    """Eight threads with eight messages: one may run it."""
    together = threading.Barrier(8)

    def ask(number: int) -> Claim:
        together.wait()
        return stage.claim(100, f"message {number}", exclusive_s=None)

    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(ask, range(8)))

    assert sorted(claims) == ["granted", *["taken"] * 7]


def test_only_one_tick_of_an_actor_runs_in_any_number_of_threads(stage: Stage) -> None:
    """Eight threads with eight ticks at once: one is granted, seven find it running."""
    together = threading.Barrier(8)

    def ask(number: int) -> Claim:
        together.wait()
        return stage.claim(100 + number, f"message {number}")

    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(ask, range(8)))

    assert sorted(claims) == ["granted", *["running"] * 7]


def test_a_message_claims_its_own_tick_as_often_as_it_likes(stage: Stage) -> None:
    """A retry or a redelivery is granted, also while its own mark is still there."""
    assert [stage.claim(100, "m") for _ in range(3)] == ["granted"] * 3


def test_another_actors_ticks_are_its_own(stage: Stage) -> None:
    """The same minute of two actors is two ticks."""
    assert stage.claim(100, "m") == "granted"
    other = stage.store.claim("cleanup", 100, "n", window_s=DAY_S, exclusive_s=60, covers=None, owed=False)
    assert other == "granted"


def test_a_tick_that_found_another_running_is_dealt_with(stage: Stage) -> None:
    """Its twin does not run it later, when the way is free."""
    stage.claim(100, "m")
    assert stage.claim(101, "n") == "running"
    stage.store.release("digest", "m")

    assert stage.claim(101, "twin of n") == "taken"
    assert stage.claim(102, "o") == "granted"


def test_a_tick_that_is_owed_finds_it_busy_and_gets_its_turn(stage: Stage) -> None:
    """What is made up for, and what was granted before, is not dropped."""
    stage.claim(100, "first")
    stage.store.release("digest", "first")
    stage.claim(101, "second")

    assert stage.claim(99, "made up", owed=True) == "busy"
    assert stage.claim(100, "first") == "busy"
    stage.store.release("digest", "second")
    assert stage.claim(99, "made up", owed=True) == "granted"


def test_ticks_that_may_overlap_leave_no_mark(stage: Stage) -> None:
    """Without exclusion two run side by side."""
    assert stage.claim(100, "m", exclusive_s=None) == "granted"
    assert stage.claim(101, "n", exclusive_s=None) == "granted"


def test_a_mark_is_released_by_its_holder_only(stage: Stage) -> None:
    """A late release of somebody else's changes nothing."""
    stage.claim(100, "m")
    stage.store.release("digest", "n")

    assert stage.claim(101, "o") == "running"


def test_a_killed_runs_mark_ends_with_its_lease_unless_it_is_renewed(stage: Stage) -> None:
    """Renewed it lasts; then its process is gone, and the next tick is granted."""
    stage.claim(100, "m", exclusive_s=60)
    stage.pass_s(50)
    stage.claim(100, "m", exclusive_s=60, owed=True)
    stage.pass_s(50)
    assert stage.claim(101, "n") == "running"

    stage.pass_s(61)

    assert stage.claim(102, "o") == "granted"


def test_claims_are_remembered_for_the_window(stage: Stage) -> None:
    """Until then a twin is told, and afterwards it is as if nobody had asked."""
    stage.claim(100, "m", window_s=600, exclusive_s=None)
    stage.pass_s(590)
    assert stage.claim(100, "twin", window_s=600, exclusive_s=None) == "taken"

    stage.pass_s(20)

    assert stage.claim(100, "twin", window_s=600, exclusive_s=None) == "granted"


def test_a_late_run_covers_what_it_says_and_nothing_that_is_owed(stage: Stage) -> None:
    """Ticks up to there are covered, later ones run, and so does what was granted before or is made up for."""
    stage.claim(90, "before", exclusive_s=None)
    assert stage.claim(100, "late", exclusive_s=None, covers=105) == "granted"
    assert stage.claim(99, "covers less", exclusive_s=None, covers=101, owed=True) == "granted"

    claims = {minute: stage.claim(minute, f"{minute}", exclusive_s=None) for minute in (101, 105, 106)}
    assert claims == {101: "covered", 105: "covered", 106: "granted"}
    assert stage.claim(102, "made up", exclusive_s=None, owed=True) == "granted"
    assert stage.claim(90, "before", exclusive_s=None) == "granted"


def test_an_actor_nobody_knows_is_accounted_for_up_to_now(stage: Stage) -> None:
    """A new schedule has missed nothing."""
    look = stage.store.look("digest", "* * * * * UTC", "me", lease_s=50)

    assert look is not None
    assert 0 <= look.since - stage.minute <= 1
    assert look.seen == frozenset()


def test_a_look_reports_what_was_sent_and_what_was_claimed(stage: Stage) -> None:
    """Everything that came after what is accounted for, however it was dealt with."""
    start = _start(stage)
    stage.store.note_sent("digest", start + 1, window_s=DAY_S)
    stage.claim(start + 2, "granted", covers=start + 3)
    stage.claim(start + 3, "covered")
    stage.claim(start + 4, "running")

    look = stage.store.look("digest", "s", "me", lease_s=50)

    assert look is not None
    assert look.since == start
    assert look.seen == {start + 1, start + 2, start + 3, start + 4}


def _start(stage: Stage) -> int:
    look = stage.store.look("digest", "s", "me", lease_s=50)
    assert look is not None
    return look.since


def test_what_is_accounted_for_is_not_reported_again_and_never_comes_back(stage: Stage) -> None:
    """The account moves forward alone."""
    start = _start(stage)
    for minute in (1, 2, 3):
        stage.store.note_sent("digest", start + minute, window_s=DAY_S)
    stage.store.account("digest", start + 2)
    stage.store.account("digest", start + 1)

    look = stage.store.look("digest", "s", "me", lease_s=50)

    assert look is not None
    assert look.since == start + 2
    assert look.seen == {start + 3}


def test_one_process_looks_at_a_time(stage: Stage) -> None:
    """Another is told to leave it, until the lease is over; other actors are free."""
    assert stage.store.look("digest", "s", "me", lease_s=50) is not None
    assert stage.store.look("digest", "s", "you", lease_s=50) is None
    assert stage.store.look("cleanup", "s", "you", lease_s=50) is not None

    stage.pass_s(51)

    assert stage.store.look("digest", "s", "you", lease_s=50) is not None


def test_a_changed_schedule_has_missed_nothing(stage: Stage) -> None:
    """What the new one would have been due is not made up for, and the account of the old one is closed."""
    start = _start(stage)
    stage.store.account("digest", start + 30)

    look = stage.store.look("digest", "another", "me", lease_s=50)

    assert look is not None
    assert look.since <= start + 1


def test_what_was_sent_is_remembered_for_the_window(stage: Stage) -> None:
    """A schedule that nobody looks at does not grow for ever."""
    start = _start(stage)
    stage.store.note_sent("digest", start + 1, window_s=600)
    stage.store.note_sent("digest", start + 12, window_s=600)

    look = stage.store.look("digest", "s", "me", lease_s=50)

    assert look is not None
    assert look.seen == {start + 12}


def test_every_key_on_the_server_has_an_end(redis_client: redis.Redis) -> None:
    """Claims, marks, what was seen, leases and state all expire; the state last, after more than a year."""
    prefix = uuid4().hex
    stage = Stage(RedisCronStore(redis_client, prefix=prefix), 0, lambda _: None)
    start = _start(stage)
    stage.claim(start + 1, "m", covers=start + 2)
    stage.store.note_sent("digest", start + 3, window_s=DAY_S)
    stage.store.account("digest", start + 1)

    keys = cast("list[bytes]", redis_client.keys(f"{prefix}:*"))
    left_ms = {key.decode().rpartition("}:")[2].partition(":")[0]: redis_client.pttl(key) for key in keys}

    assert set(left_ms) == {"tick", "run", "seen", "look", "state"}
    assert min(left_ms.values()) > 0
    assert left_ms["state"] > 366 * DAY_S * 1_000
