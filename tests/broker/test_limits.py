"""Limits of orgs, decided when messages are fetched: what may not run is not handed out, and keeps nobody back."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import dramatiq
import pytest
import redis

from broker import FairRedisBroker, OrgShare
from tests.broker.conftest import Work
from tests.broker.workers import all_of, left_for_ever, run_all, take

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class MaxActive:
    """As the guard for limits hands it over."""

    default: int | None
    kind: Literal["max_active"] = "max_active"


@dataclass(frozen=True)
class StartRate:
    """As the guard for limits hands it over."""

    actor: str
    interval_ms: float
    tolerance_ms: float
    kind: Literal["rate"] = "rate"


@dataclass(frozen=True)
class ConcurrencyKeys:
    """As the guard for limits hands it over."""

    kind: Literal["concurrency"] = "concurrency"


def test_no_more_of_an_org_is_leased_than_it_may(fair: FairRedisBroker) -> None:
    """Two of each, whatever room there is; an end lets the next one in."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    assert fair.enforce(MaxActive(2))
    for _ in range(5):
        for org in ("a", "b"):
            actor.send_with_options(org=org)
    consumer = fair.consume("default", prefetch=10, timeout=300)

    held = all_of(consumer)
    assert Counter(each.options["org"] for each in held) == {"a": 2, "b": 2}
    consumer.ack(held[0])
    again = all_of(consumer)

    assert [each.options["org"] for each in again] == [held[0].options["org"]]


def test_an_org_at_its_limit_keeps_nobody_back(fair: FairRedisBroker) -> None:
    """Even when there are more such orgs than a fetch looks at in one go."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    fair.enforce(MaxActive(1))
    for org in range(12):
        for _ in range(3):
            actor.send_with_options(org=f"full-{org}")
    consumer = fair.consume("default", prefetch=13, timeout=300)
    assert len(all_of(consumer)) == 12
    actor.send_with_options(org="free")

    assert [each.options["org"] for each in all_of(consumer)] == ["free"]


def test_an_org_has_its_own_number(fair: FairRedisBroker) -> None:
    """And one that is raised counts at once, also for what waits already."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    fair.enforce(MaxActive(1))
    fair.configure_orgs({"big": OrgShare(max_active=3)})
    for _ in range(5):
        for org in ("big", "small"):
            actor.send_with_options(org=org)
    consumer = fair.consume("default", prefetch=10, timeout=300)
    assert Counter(each.options["org"] for each in all_of(consumer)) == {"big": 3, "small": 1}

    fair.configure_orgs({"big": OrgShare(max_active=3), "small": OrgShare(max_active=2)})

    assert [each.options["org"] for each in all_of(consumer)] == ["small"]


def test_a_full_concurrency_key_keeps_only_its_own_messages_back(fair: FairRedisBroker) -> None:
    """Other keys of the org, and messages without one, go on."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    assert fair.enforce(ConcurrencyKeys())
    for _ in range(3):
        actor.send_with_options(org="a", concurrency=("site-1", 1))
    actor.send_with_options(org="a", concurrency=("site-2", 2))
    actor.send_with_options(org="a")
    consumer = fair.consume("default", prefetch=10, timeout=300)

    held = all_of(consumer)
    assert sorted(str(each.options.get("concurrency")) for each in held) == [
        "None",
        "['site-1', 1]",
        "['site-2', 2]",
    ]
    [full] = [each for each in held if each.options.get("concurrency") == ["site-1", 1]]
    consumer.ack(full)

    assert [each.options["concurrency"] for each in all_of(consumer)] == [["site-1", 1]]


def test_starts_over_the_rate_wait_for_their_time(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """Per org and actor; the lane comes back by itself when the next start is due."""
    actor = dramatiq.actor(broker=fair, actor_name="limited")(_nothing)
    free = dramatiq.actor(broker=fair, actor_name="free")(_nothing)
    assert fair.enforce(StartRate("limited", interval_ms=60_000, tolerance_ms=60_000))
    for _ in range(4):
        actor.send_with_options(org="a")
    actor.send_with_options(org="b")
    free.send_with_options(org="a")
    consumer = fair.consume("default", prefetch=10, timeout=300)

    assert Counter((each.options["org"], each.actor_name) for each in all_of(consumer)) == {
        ("a", "limited"): 2,
        ("a", "free"): 1,
        ("b", "limited"): 1,
    }
    assert raw.zrange(f"{fair.base}:qs:default", 0, -1) == [b"a\nlimited"]
    at_ms = raw.zscore(f"{fair.base}:qs:default", "a\nlimited")
    assert at_ms is not None
    assert 0 < at_ms - fair.server_now_ms() <= 60_000


def test_a_start_that_was_none_is_given_back(fair: FairRedisBroker) -> None:
    """What a worker hands back, or a guard lets go uncharged, leaves the rate as it was."""
    actor = dramatiq.actor(broker=fair, actor_name="limited")(_nothing)
    fair.enforce(StartRate("limited", interval_ms=60_000, tolerance_ms=0))
    for _ in range(3):
        actor.send_with_options(org="a")
    consumer = fair.consume("default", prefetch=1, timeout=300)
    first = take(consumer)
    assert all_of(consumer) == []

    fair.refund_start(first)
    consumer.ack(first)
    fair._sessions.current.flush()  # type: ignore[union-attr]
    fair.client.zadd(f"{fair.base}:qs:default", {b"a\nlimited": 0})
    second = take(consumer)
    consumer.requeue([second])
    fair._sessions.current.flush()  # type: ignore[union-attr]
    fair.client.zadd(f"{fair.base}:qs:default", {b"a\nlimited": 0})

    assert take(consumer).message_id == second.message_id


def test_nothing_is_left_of_limits(fair: FairRedisBroker, raw: "redis.Redis", work: Work) -> None:
    """When all is done, only what was configured stays."""
    actor = dramatiq.actor(broker=fair, actor_name="limited")(_nothing)
    fair.enforce(MaxActive(1))
    fair.enforce(StartRate("limited", interval_ms=1, tolerance_ms=1))
    fair.configure_orgs({"a": OrgShare(2)})
    for n in range(30):
        actor.send_with_options(org="ab"[n % 2], concurrency=("key", 1))
    run_all(fair, threads=4)

    assert sorted(left_for_ever(raw, fair)) == [f"{fair.base}:o".encode(), f"{fair.base}:r".encode()]


def _nothing() -> None:
    pass
