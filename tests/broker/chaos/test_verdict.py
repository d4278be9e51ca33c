"""The judge of storms sees what is wrong, and says where to look."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from broker.keys import base_key
from tests.broker.chaos.jobs import BEGUN, EFFECTS, REPEATS, TAKEN
from tests.broker.chaos.plan import NAMESPACE, QUEUE, Plan, job_of
from tests.broker.chaos.verdict import MOST_DEATHS, State
from tests.middleware.own_server import own_valkey

pytestmark = pytest.mark.slow

BASE = base_key(NAMESPACE)
#: Jobs 0 to 5, of which 2 is poison.
PLAN = Plan(jobs=6, poison_every=5, poison_burst=1, restarts=0)


@pytest.fixture
def server() -> Iterator[Any]:
    """What a storm leaves behind when all went well; an own server, since all keys of it are judged."""
    with own_valkey() as own, redis.Redis.from_url(own.url) as client:
        for job in PLAN.ordinary():
            client.hset(EFFECTS, str(job), f"7 job-{job} worker")
        client.zadd(f"{BASE}:xq:{QUEUE}", {"job-2": 1})
        client.pexpire(f"{BASE}:xq:{QUEUE}", 600_000)
        yield client


def wrong(client: Any) -> list[str]:
    """What the judge finds."""
    path = client.connection_pool.connection_kwargs["path"]
    with redis.Redis.from_url(f"unix://{path}?db=0", decode_responses=True) as connected:
        return State(PLAN, lambda: connected).judge().wrong


def test_a_storm_that_lost_nothing_is_found_right(server: Any) -> None:
    """Repeats included that a death or a silence explains."""
    server.rpush(REPEATS, "3|7 job-3 worker|dead|9 job-3 worker", "4|7 job-4 worker|alive|9 job-4 probe")
    server.rpush(REPEATS, "5|8 job-5 worker|alive|7 job-5 worker")
    server.sadd(TAKEN, 7)

    assert wrong(server) == []


def test_a_job_without_an_effect_is_named_with_its_state(server: Any) -> None:
    """Whether it is lost, or still there and where."""
    server.hdel(EFFECTS, "3", "4", "5")
    for message_id in ("job-4", "job-5"):
        server.hset(f"{BASE}:m", message_id, "record")
    server.zadd(f"{BASE}:qd:{QUEUE}", {"job-4": 17})
    server.hset(f"{BASE}:lease:w", "job-5", "token")
    for kept in ("m", f"qd:{QUEUE}", "lease:w"):
        server.pexpire(f"{BASE}:{kept}", 600_000)

    assert wrong(server) == [
        "3 jobs had no effect, 1 of them are lost.",
        "Job 3: nowhere: it is lost",
        "Job 4: job-4 is delayed or parked until 17 (None)",
        f"Job 5: job-5 is leased, {BASE}:lease:w token",
    ]


def test_what_ran_again_without_a_reason_is_named(server: Any) -> None:
    """By another message with its key, or while the process of its first run lived."""
    server.rpush(
        REPEATS, "3|7 job-3 worker|dead|9 job-3-again worker", "4|7 job-4 worker|alive|9 job-4 worker"
    )

    assert wrong(server) == [
        "Job 3 was run by two messages, job-3 and job-3-again.",
        "Job 4 ran again although the process of its first run lived: 7 job-4 worker.",
    ]


def test_poison_that_is_free_and_innocents_that_are_not_are_named(server: Any) -> None:
    """Both are broken promises."""
    server.zrem(f"{BASE}:xq:{QUEUE}", "job-2")
    server.zadd(f"{BASE}:xq:{QUEUE}", {"job-3~1": 1})
    server.pexpire(f"{BASE}:xq:{QUEUE}", 600_000)
    server.hset(EFFECTS, "2", "7 job-2 worker")
    server.hset(BEGUN, mapping={f"2 {pid}": "1" for pid in range(MOST_DEATHS + 1)})

    assert wrong(server) == [
        "Job 2 must not have had an effect, but had one in 7 job-2 worker.",
        "Job 3 is no poison, but was quarantined: job-3~1 is a dead letter.",
        "Job 2 is poison, but was not quarantined: nowhere: it is lost.",
        "Job 2 ended 5 processes: nowhere: it is lost.",
    ]


def test_keys_that_stay_are_named_with_what_they_hold(server: Any) -> None:
    """Unless an operator declared them."""
    server.hset(f"{BASE}:o", "org-1", "3|")
    server.hset(f"{BASE}:a", "org-1", "1")

    assert wrong(server) == [f"Key {BASE}:a (hash) stays for ever: {{'org-1': '1'}}."]


def test_copies_are_of_their_job() -> None:
    """Whatever made them."""
    assert [
        job_of(message_id) for message_id in ("job-17", "job-17-again", "job-17~x4", "job-17-again~1")
    ] == [17] * 4
