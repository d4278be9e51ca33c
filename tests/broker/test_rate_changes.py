"""A rate that is loosened or removed: what waits for it goes at once, and until then it is said what it waits for."""

from typing import Any

import dramatiq
import pytest
import redis

from broker import FairRedisBroker, configuration
from broker.scripts import Script
from tests.broker.test_limits import StartRate
from tests.broker.workers import all_of, take

pytestmark = pytest.mark.slow

HOUR_MS = 3_600_000


def slow(fair: FairRedisBroker, number: int, **options: Any) -> list[str]:
    """Jobs of which one an hour may start."""
    actor = dramatiq.actor(broker=fair, actor_name="slow")(_nothing)
    fair.enforce(StartRate("slow", interval_ms=HOUR_MS, tolerance_ms=0))
    sent = [actor.send_with_options(**{"org": "acme", **options}) for _ in range(number)]
    return [each.message_id for each in sent]


def test_a_rate_that_is_removed_lets_go_at_once(fair: FairRedisBroker) -> None:
    """All that waited for it."""
    sent = slow(fair, 4)
    consumer = fair.consume("default", prefetch=10, timeout=300)
    assert [each.message_id for each in all_of(consumer)] == sent[:1]

    fair.enforce(StartRate("slow", interval_ms=0, tolerance_ms=0))

    assert [each.message_id for each in all_of(consumer)] == sent[1:]


def test_a_rate_that_is_raised_lets_go_at_once(fair: FairRedisBroker) -> None:
    """One that waits, and from then on what the new rate lets."""
    sent = slow(fair, 4)
    consumer = fair.consume("default", prefetch=10, timeout=300)
    assert [each.message_id for each in all_of(consumer)] == sent[:1]

    fair.enforce(StartRate("slow", interval_ms=HOUR_MS / 2, tolerance_ms=0))
    assert [each.message_id for each in all_of(consumer)] == sent[1:2]

    fair.enforce(StartRate("slow", interval_ms=1, tolerance_ms=0))
    assert [take(consumer).message_id for _ in range(2)] == sent[2:]


def test_a_rate_that_stays_or_is_lowered_lets_nobody_go(fair: FairRedisBroker) -> None:
    """Each process says it when it starts."""
    sent = slow(fair, 2)
    consumer = fair.consume("default", prefetch=10, timeout=300)
    assert [each.message_id for each in all_of(consumer)] == sent[:1]

    for interval_ms in (HOUR_MS, 2 * HOUR_MS):
        fair.enforce(StartRate("slow", interval_ms=interval_ms, tolerance_ms=0))
        assert all_of(consumer) == []


def test_only_lanes_of_the_actor_are_looked_at_again(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """What a gate keeps, or another rate, stays where it is."""
    slow(fair, 2)
    other = dramatiq.actor(broker=fair, actor_name="other")(_nothing)
    fair.enforce(StartRate("other", interval_ms=HOUR_MS, tolerance_ms=0))
    for _ in range(2):
        other.send_with_options(org="acme")
    consumer = fair.consume("default", prefetch=10, timeout=300)
    all_of(consumer)

    before = raw.zscore(f"{fair.base}:qs:default", "acme\nother")
    fair.enforce(StartRate("slow", interval_ms=0, tolerance_ms=0))

    assert raw.zscore(f"{fair.base}:qs:default", "acme\nother") == before


def test_lanes_are_looked_at_in_batches(
    fair: FairRedisBroker, raw: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    """No call looks at more than it may, however many wait; none is missed."""
    slow(fair, 1)
    blocked = f"{fair.base}:qs:default"
    until_ms = fair.server_now_ms() + HOUR_MS
    lanes = {
        f"org {number}\n{'slow' if number % 3 else 'other'}": until_ms + number // 7 for number in range(100)
    }
    raw.zadd(blocked, lanes)
    looked_at: list[int] = []

    class Counted(Script):
        def __call__(self, *arguments: object) -> object:
            answer = super().__call__(*arguments)  # type: ignore[arg-type]
            looked_at.append(int(answer[0]))
            return answer

    monkeypatch.setattr(configuration, "_FREE_LANES", Counted("free_lanes"))
    monkeypatch.setattr(configuration, "_LANES_BATCH_SIZE", 10)
    fair.enforce(StartRate("slow", interval_ms=0, tolerance_ms=0))

    waiting: Any = raw.zrangebyscore(blocked, until_ms - 1, "+inf")
    assert {each.partition(b"\n")[2] for each in waiting} == {b"other"}
    assert len(waiting) == 34
    assert max(looked_at) <= 10


def test_a_change_that_was_cut_off_is_finished_by_the_next(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """Who set the rate died before all lanes were looked at."""
    sent = slow(fair, 2)
    consumer = fair.consume("default", prefetch=10, timeout=300)
    all_of(consumer)
    Script("set_rates")(raw, fair.base, ["slow", "", ""])
    assert all_of(consumer) == []

    fair.enforce(StartRate("slow", interval_ms=0, tolerance_ms=0))

    assert [each.message_id for each in all_of(consumer)] == sent[1:]
    assert raw.hgetall(f"{fair.base}:r") == {}


def test_what_waits_for_a_rate_that_is_gone_says_so(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """Also one that was sent later, and stands behind others of its lane."""
    slow(fair, 3)
    all_of(fair.consume("default", prefetch=10, timeout=300))
    Script("set_rates")(raw, fair.base, ["slow", "", ""])
    [late] = [dramatiq.actor(broker=fair, actor_name="again")(_nothing)]
    message = late.message_with_options(org="acme").copy(actor_name="slow")
    fair.enqueue(message)

    causes = [each.cause for each in fair._inspector.why(message.message_id).reasons]

    assert causes[0] == "rate"


def _nothing() -> None:
    pass
