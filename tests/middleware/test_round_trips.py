"""What the guards cost: how often a job asks the server, counted by the server itself."""

from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers.stub import StubBroker

from middleware import Retries
from middleware.idempotency.guard import Idempotency
from middleware.idempotency.redis import RedisIdempotencyStore
from middleware.org_limits.guard import OrgLimits
from middleware.org_limits.rate import Rate
from middleware.org_limits.redis import RedisOrgLimitsStore
from tests.middleware.brokers import replace_stack, work
from tests.middleware.own_server import own_valkey

JOBS = 25
#: Commands that scripts run inside the server are counted as well; only these cross the wire.
SENT = {"cmdstat_evalsha", "cmdstat_eval"}


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    """A server that the guards have to themselves; the messages are elsewhere."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as made:
        yield made


def trips_a_job(client: redis.Redis, payload: dict[str, Any], **guard_options: Any) -> float:
    """How many scripts one job runs on the server, its send included, after all scripts are loaded."""
    broker = StubBroker()
    idempotency = Idempotency(
        RedisIdempotencyStore(client), on_duplicate=guard_options.pop("on_duplicate", "skip")
    )
    limits = OrgLimits(RedisOrgLimitsStore(client), **guard_options)
    replace_stack(broker, idempotency, limits, Retries(max_retries=0))
    done = []

    @dramatiq.actor(broker=broker, rate=Rate(10_000, per="1s", burst=1_000))
    def job(payload: dict[str, Any]) -> None:
        done.append(payload)

    def run(*names: str) -> None:
        for name in names:
            job.send({**payload, "idempotency_key": name} if "idempotency_key" in payload else payload)
        work(broker, "default")

    run("first")
    before = calls(client)
    run(*(f"k{number}" for number in range(JOBS)))
    assert len(done) == JOBS + 1
    return (calls(client) - before) / JOBS


def calls(client: redis.Redis) -> int:
    """How many scripts were called so far."""
    stats: Any = client.info("commandstats")
    return sum(int(each["calls"]) for name, each in stats.items() if name in SENT)


def test_both_guards_together_cost_four_round_trips(client: redis.Redis) -> None:
    """A claim and a finish, an acquire and a release."""
    assert trips_a_job(client, {"org_id": "acme", "idempotency_key": "k"}) == 4


def test_each_guard_costs_two_where_the_other_has_nothing_to_do(client: redis.Redis) -> None:
    """A key without an org, an org without a key."""
    assert trips_a_job(client, {"idempotency_key": "k"}) == 2
    assert trips_a_job(client, {"org_id": "acme"}) == 2


def test_a_message_with_neither_key_nor_org_costs_nothing(client: redis.Redis) -> None:
    """Jobs that no guard has an opinion on never wait for one."""
    assert trips_a_job(client, {"n": 1}) == 0


def test_rejecting_at_send_is_paid_by_the_sender(client: redis.Redis) -> None:
    """Three more at send: the key is reserved, the start charged, the reservation kept."""
    both = {"org_id": "acme", "idempotency_key": "k"}
    assert trips_a_job(client, both, on_duplicate="reject", on_limit="reject") == 7
