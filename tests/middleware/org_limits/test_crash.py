"""Limits per org across worker processes, under a flood and when a worker is killed."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import dramatiq
import pytest

from app.embedded import Servers
from middleware import Retries
from tests.middleware.crash.crash_broker import KINDS
from tests.middleware.crash.scenario import Scenario, Stage, staged

pytestmark = pytest.mark.slow

FLOOD, OTHERS = 1_000, 40


@pytest.fixture(params=KINDS)
def where(request: pytest.FixtureRequest, servers: Servers) -> dict[str, Any]:
    """A broker, and keys that nobody else uses."""
    return {"broker": request.param, "redis_url": servers.redis_url, "namespace": f"t{uuid4().hex}"}


@pytest.fixture
def flooded(where: dict[str, Any]) -> Iterator[Stage]:
    """Five slots for the org that floods."""
    with staged(Scenario(**where)) as stage:
        yield stage


@pytest.fixture
def single(where: dict[str, Any]) -> Iterator[Stage]:
    """One slot for the org, which comes back soon."""
    with staged(Scenario(**where, max_active=1, lease_ms=1_500, wait_ms=1_000)) as stage:
        yield stage


@pytest.fixture
def brief(where: dict[str, Any]) -> Iterator[Stage]:
    """Five slots, which come back soon."""
    with staged(Scenario(**where, lease_ms=1_500, wait_ms=1_000)) as stage:
        yield stage


def send(stage: Stage, actor_name: str, org: str, names: list[str]) -> None:
    """Put jobs of an org into the queue."""
    broker = stage.broker(Retries())

    @dramatiq.actor(broker=broker, actor_name=actor_name)
    def job(payload: dict[str, str]) -> None: ...

    for name in names:
        job.send_with_options(args=({"name": name, "org_id": org},), org=org)


def test_an_org_that_floods_is_held_to_its_limits_and_defers_nobody(flooded: Stage) -> None:
    """A thousand jobs, two processes: each runs once, deferred once at most for the rate; five at a time."""
    names = [f"flood-{n}" for n in range(FLOOD)]
    others = [f"other-{n}" for n in range(OTHERS)]
    send(flooded, "quick", "flood", names[: FLOOD // 2])
    send(flooded, "quick", "other", others)
    send(flooded, "quick", "flood", names[FLOOD // 2 :])

    for _ in range(2):
        flooded.start(threads=8)
    flooded.drain()

    assert flooded.counts("effects") == dict.fromkeys([*names, *others], 1)
    rate, slots = flooded.counts("parks:rate"), flooded.counts("parks:limit")
    if flooded.scenario.broker == "fair":
        # What may not run is not even fetched.
        assert (rate, slots) == ({}, {})
    else:
        assert len(rate) >= FLOOD / 10
        assert set(rate.values()) == {1}
        assert flooded.counts("counters")["org_limits_woken_total"] >= FLOOD / 10
    assert 1 <= flooded.most()["flood"] <= 5
    assert not flooded.counts("parks:running")
    assert not {name for name in (*rate, *slots) if name.startswith("other")}
    # Sixty at once, then two hundred and fifty a second.
    starts = [
        moment
        for _, moment in flooded.client.zrange(flooded.scenario.key("starts:flood"), 0, -1, withscores=True)
    ]
    assert starts[-1] - starts[0] >= (FLOOD - 60) / 250


def test_the_slots_of_a_killed_worker_come_back(single: Stage) -> None:
    """SIGKILL with the org's only slot in hand: after its lease the waiting job runs, and the killed one again."""
    doomed = single.start(threads=1)
    send(single, "gated", "flood", ["first"])
    assert single.await_in("started") == "first 1"
    doomed.kill()

    single.start(threads=2)
    send(single, "gated", "flood", ["second"])
    if single.scenario.broker == "redis":
        assert single.await_in("parked") in {"first", "second"}
    runs = [single.await_in("started")]
    single.open_gate(runs[0])
    runs.append(single.await_in("started"))
    single.open_gate(runs[1])

    single.drain()
    assert sorted(runs) == ["first 2", "second 1"]
    assert single.counts("effects") == {"first": 1, "second": 1}


def test_nothing_is_lost_when_a_worker_dies_in_the_flood(brief: Stage) -> None:
    """SIGKILL while messages run, wait, are woken and are handed over: all have their effect in the end."""
    names = [f"flood-{n}" for n in range(300)]
    send(brief, "quick", "flood", names)
    doomed = brief.start(threads=8)
    brief.start(threads=8)
    brief.wait_until(lambda: sum(brief.counts("effects").values()) >= 100)

    doomed.kill()
    brief.drain()

    effects = brief.counts("effects")
    assert set(effects) == set(names)
    assert sum(effects.values()) - len(names) <= 8, "only what the dead worker had in hand may have run again"
