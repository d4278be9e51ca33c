"""The limits per org while their server is away."""

import threading
from collections.abc import Iterator
from time import monotonic

import pytest
import redis
from dramatiq.brokers.stub import StubBroker

from middleware import Retries
from middleware.org_limits.guard import OrgLimits
from middleware.org_limits.rate import Rate
from middleware.org_limits.redis import RedisOrgLimitsStore
from tests.middleware.brokers import replace_stack, work
from tests.middleware.org_limits.limited_jobs import Job, SupportsParking, working
from tests.middleware.own_server import OwnValkey, own_valkey

#: A rate that the test never sees used twice.
HOURLY = Rate(1, per="1h")


@pytest.fixture
def valkey() -> Iterator[OwnValkey]:
    """A server that may go away."""
    with own_valkey() as server:
        yield server


def test_while_the_store_is_away_messages_are_parked_and_run_later(valkey: OwnValkey) -> None:
    """Nothing runs unlimited, nothing is lost, and no attempt is charged."""
    with redis.Redis.from_url(valkey.url) as client:
        broker, parks = StubBroker(), SupportsParking()
        guard = OrgLimits(RedisOrgLimitsStore(client), undecided_delay_ms=20)
        replace_stack(broker, parks, guard, Retries(max_retries=0))
        job = Job(broker)
        valkey.stop()
        job.send(1)
        with working(broker):
            assert parks.first.wait(10)
            assert not job.ran
            valkey.start()
            broker.join(job.queue, timeout=10_000)

    assert job.ran == {1: 1}


def test_with_allow_messages_run_while_the_store_is_away(valkey: OwnValkey) -> None:
    """Who prefers work over limits says so, at send and at perform."""
    with redis.Redis.from_url(valkey.url) as client:
        broker = StubBroker()
        guard = OrgLimits(RedisOrgLimitsStore(client), on_limit="reject", on_error="allow")
        replace_stack(broker, guard, Retries(max_retries=0))
        job = Job(broker, rate=HOURLY)
        valkey.stop()
        job.send(1)
        job.send(2)
        work(broker, job.queue)

    assert job.ran == {1: 1, 2: 1}


def test_a_release_that_the_store_did_not_receive_is_repeated(valkey: OwnValkey) -> None:
    """A slot does not stay taken for its whole lease because the store was away when its job ended."""
    with redis.Redis.from_url(valkey.url) as client:
        broker, parks = StubBroker(), SupportsParking()
        guard = OrgLimits(RedisOrgLimitsStore(client), max_active=1, lease_ms=3_000, wait_ms=2_500)
        replace_stack(broker, parks, guard, Retries(max_retries=0))
        job = Job(broker)
        job.go_on.clear()
        with working(broker):
            job.send(1)
            assert job.started.acquire(timeout=10)
            job.send(2)
            assert parks.first.wait(10)
            client.execute_command("ACL", "SETUSER", "default", "-evalsha")
            ended = monotonic()
            job.go_on.set()
            while not job.ran:
                threading.Event().wait(0.01)
            client.execute_command("ACL", "SETUSER", "default", "+evalsha")
            assert job.started.acquire(timeout=10)
            assert monotonic() - ended < 2.4

    assert job.ran == {1: 1, 2: 1}
