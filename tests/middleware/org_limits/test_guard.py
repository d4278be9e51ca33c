"""The limits per org, on Dramatiq's stub broker with a store in memory and on a real server."""

from collections import Counter
from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker

from middleware import Guard, GuardError, InvalidPayload, Parked, RateLimited, Retries, Skipped
from middleware.base.emit import Kind, add_metric_handler, remove_metric_handler
from middleware.org_limits.guard import OrgLimits
from middleware.org_limits.memory import MemoryOrgLimitsStore
from middleware.org_limits.rate import Rate
from middleware.org_limits.redis import RedisOrgLimitsStore
from middleware.org_limits.slots import OrgLimitsStore
from tests.middleware.brokers import redis_prefix, replace_stack, stored, work
from tests.middleware.org_limits.limited_jobs import Job, SupportsParking, working

#: A rate that the test never sees used twice.
HOURLY = Rate(1, per="1h")


@pytest.fixture
def store(bare_broker: dramatiq.Broker, redis_client: redis.Redis) -> OrgLimitsStore:
    """Where the limits are: beside the broker."""
    prefix = redis_prefix(bare_broker)
    return MemoryOrgLimitsStore() if prefix is None else RedisOrgLimitsStore(redis_client, prefix=prefix)


@pytest.fixture
def counted() -> Iterator[Counter[str]]:
    """The counters that go up during the test."""
    seen: Counter[str] = Counter()

    def handler(kind: Kind, name: str, value: float, labels: Mapping[str, str]) -> None:
        seen[name] += int(value)

    add_metric_handler(handler)
    yield seen
    remove_metric_handler(handler)


def test_what_is_over_the_rate_is_deferred_once_and_evenly(
    bare_broker: dramatiq.Broker, store: OrgLimitsStore
) -> None:
    """Twelve at once at twenty a second: two run, ten wait for their moment, and each runs when it comes."""
    parks = SupportsParking()
    replace_stack(bare_broker, parks, OrgLimits(store), Retries(max_retries=0))
    job = Job(bare_broker, rate=Rate(20, per="1s", burst=2))
    for n in range(12):
        job.send(n)

    begun = monotonic()
    work(bare_broker, job.queue, threads=4)

    assert job.ran == dict.fromkeys(range(12), 1)
    assert set(parks.of("rate")) == {1}
    assert monotonic() - begun >= 0.5


def test_an_org_runs_no_more_at_once_than_it_may(
    bare_broker: dramatiq.Broker, store: OrgLimitsStore, counted: Counter[str]
) -> None:
    """Eight threads, three slots, thirty jobs: never four at once, each once, and each release wakes the next."""
    replace_stack(
        bare_broker, OrgLimits(store, max_active=3, wait_ms=700, lease_ms=9_000), Retries(max_retries=0)
    )
    job = Job(bare_broker, takes_s=0.005)
    for n in range(30):
        job.send(n)

    work(bare_broker, job.queue, threads=8)

    assert job.ran == dict.fromkeys(range(30), 1)
    assert 1 <= job.most <= 3
    assert counted["org_limits_woken_total"] > 0
    assert counted["org_limits_superseded_total"] == counted["org_limits_woken_total"]
    assert counted["guard_errors_total"] == 0


def test_one_orgs_flood_defers_nobody_else(bare_broker: dramatiq.Broker, store: OrgLimitsStore) -> None:
    """The other org's jobs are never parked, whatever is queued before them."""
    parks = SupportsParking()
    guard = OrgLimits(store, max_active_of=lambda org: 2 if org == "flood" else None, wait_ms=500)
    replace_stack(bare_broker, parks, guard, Retries(max_retries=0))
    job = Job(bare_broker, rate=Rate(100, per="1s", burst=10), takes_s=0.002)
    for n in range(60):
        job.send(n, org="flood")
    others = [job.send(100 + n, org="other").message_id for n in range(10)]

    work(bare_broker, job.queue, threads=8)

    assert sum(job.ran.values()) == len(job.ran) == 70
    parked = {message_id for _, message_id in parks.count}
    assert len(parked) >= 20
    assert not parked & set(others)
    assert max(parks.of("rate")) == 1


def test_over_the_rate_can_be_rejected_at_send(
    bare_broker: dramatiq.Broker, store: OrgLimitsStore, counted: Counter[str]
) -> None:
    """The caller is told when to try again, nothing is enqueued, and what was let in is not charged twice."""
    parks = SupportsParking()
    replace_stack(bare_broker, parks, OrgLimits(store, on_limit="reject"), Retries(max_retries=0))
    job = Job(bare_broker, rate=Rate(2, per="1h", burst=2))
    job.send(1)
    job.send(2)

    with pytest.raises(RateLimited) as caught:
        job.send(3)
    job.send(4, org="other")

    assert caught.value.retry_after_s == pytest.approx(1_800, abs=10)
    assert len(stored(bare_broker, job.queue)) == 3
    work(bare_broker, job.queue)
    assert job.ran == {1: 1, 2: 1, 4: 1}
    assert not parks.count
    assert counted["org_limits_rejected_total"] == 1


def test_without_an_org_or_a_limit_the_store_is_never_asked(bare_broker: dramatiq.Broker) -> None:
    """Nothing to limit, no round trip: a store that is gone does not matter."""
    with redis.Redis.from_url("unix:///nowhere.sock") as nowhere:
        guard = OrgLimits(RedisOrgLimitsStore(nowhere), on_limit="reject", max_active_of=lambda org: None)
        replace_stack(bare_broker, guard, Retries(max_retries=0))
        limited, unlimited = Job(bare_broker, rate=HOURLY), Job(bare_broker, name="unlimited")
        limited.send(1, org=None)
        work(bare_broker, limited.queue)

        guard.max_active = None
        unlimited.send(2)
        work(bare_broker, unlimited.queue)

    assert limited.ran == {1: 1}
    assert unlimited.ran == {2: 1}


@pytest.mark.parametrize("verdict", [Parked("busy", delay_ms=1), Skipped("not wanted")])
def test_what_another_guard_stops_is_not_charged(
    bare_broker: dramatiq.Broker, store: OrgLimitsStore, verdict: Exception
) -> None:
    """Slot and start of a message that was parked or skipped further in go to the next."""
    verdicts = [verdict]

    class Inner(Guard):
        def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
            if verdicts:
                raise verdicts.pop()

    replace_stack(bare_broker, OrgLimits(store, max_active=1), Inner(), Retries(max_retries=0))
    job = Job(bare_broker, rate=HOURLY)

    job.send(1)
    if isinstance(verdict, Skipped):
        job.send(2)
    work(bare_broker, job.queue)

    assert job.ran == {1 if isinstance(verdict, Parked) else 2: 1}


def test_each_attempt_is_one_start(bare_broker: dramatiq.Broker, store: OrgLimitsStore) -> None:
    """A retry waits for its turn like anybody else."""
    retries = Retries(max_retries=3, min_backoff=1, max_backoff=1)
    replace_stack(bare_broker, OrgLimits(store), retries)
    queue, attempts = f"q{uuid4().hex}", []

    @dramatiq.actor(broker=bare_broker, queue_name=queue, rate=Rate(5, per="1s"))
    def flaky(payload: dict[str, Any]) -> None:
        attempts.append(monotonic())
        if len(attempts) < 3:
            raise ValueError("again")

    flaky.send({"org_id": "acme"})
    work(bare_broker, queue)

    assert len(attempts) == 3
    assert attempts[2] - attempts[0] >= 0.3


def test_a_message_may_bring_a_key_that_limits_it_further(
    bare_broker: dramatiq.Broker, store: OrgLimitsStore
) -> None:
    """Two jobs of one site never run at once, those of two sites do, and the message's own goes first."""
    guard = OrgLimits(store, max_active=8, wait_ms=400)
    replace_stack(bare_broker, guard, Retries(max_retries=0))
    job = Job(bare_broker, takes_s=0.005, concurrency=("all", 1))
    for n in range(10):
        job.send(n)
    work(bare_broker, job.queue, threads=8)
    assert job.most == 1
    assert job.ran == dict.fromkeys(range(10), 1)

    job.go_on.clear()
    with working(bare_broker):
        for n in (10, 11):
            job.send(n, concurrency=(f"site-{n}", 1))
        for _ in range(12):
            assert job.started.acquire(timeout=10)
        job.go_on.set()
    assert job.most == 2


@pytest.mark.parametrize(
    "wrong", ["site", ("site",), ("site", 0), ("site", "2"), ("", 1), (1, 1), ("site", True)]
)
def test_a_concurrency_that_makes_no_sense_is_refused_at_send(
    bare_broker: dramatiq.Broker, store: OrgLimitsStore, wrong: object
) -> None:
    """The caller learns what it must look like, and nothing is enqueued."""
    replace_stack(bare_broker, OrgLimits(store), Retries(max_retries=0))
    job = Job(bare_broker)

    with pytest.raises(InvalidPayload, match=r"options.concurrency: must be a key and a number"):
        job.send(1, concurrency=wrong)

    assert stored(bare_broker, job.queue) == []


def test_a_rate_that_is_none_is_refused_when_the_actor_is_declared() -> None:
    """The mistake is named where it was made, and Dramatiq does not swallow it."""
    broker = StubBroker()
    replace_stack(broker, OrgLimits(MemoryOrgLimitsStore()))

    with pytest.raises(GuardError, match="crawl: rate must be like Rate"):
        Job(broker, rate="20/m")
    with pytest.raises(InvalidPayload, match=r"options.concurrency"):
        Job(broker, name="other", concurrency="site")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_active": 0}, "max_active must be at least 1, or None"),
        ({"on_limit": "drop"}, "'park' or 'reject', not 'drop'"),
        ({"lease_ms": 2}, "lease_ms must be at least 3"),
        ({"wait_ms": 0}, "wait_ms between 1 and lease_ms"),
        ({"lease_ms": 30_000, "wait_ms": 30_000}, "has to last until it comes by itself"),
        ({"on_error": "panic"}, "'park' or 'allow'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], says: str) -> None:
    """The mistake is named where it was made."""
    with pytest.raises(ValueError, match=says):
        OrgLimits(MemoryOrgLimitsStore(), **options)
