"""Idempotency when workers are killed and frozen in the middle of a job."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import dramatiq
import pytest

from app.embedded import Servers
from middleware import DuplicateMessage, Retries
from middleware.idempotency.guard import Idempotency
from middleware.idempotency.redis import RedisIdempotencyStore
from tests.middleware.crash.crash_broker import KINDS
from tests.middleware.crash.scenario import Scenario, Stage, staged

pytestmark = pytest.mark.slow

Send = Callable[[str], None]


@pytest.fixture(params=KINDS)
def stage_for(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Callable[[str], Stage]]:
    """Makes the stage for a choice of `on_duplicate`."""
    with ExitStack() as cleaning:

        def make(on_duplicate: str) -> Stage:
            scenario = Scenario(
                redis_url=servers.redis_url,
                namespace=f"t{uuid4().hex}",
                broker=request.param,
                on_duplicate=on_duplicate,
            )
            return cleaning.enter_context(staged(scenario))

        yield make


def sender(stage: Stage) -> Send:
    """Sends gated jobs that all have one key."""
    guard = Idempotency(
        RedisIdempotencyStore(stage.client, prefix=stage.scenario.claims),
        on_duplicate=stage.scenario.on_duplicate,  # type: ignore[arg-type]  # the guard says what is allowed
    )
    broker = stage.broker(guard, Retries())

    @dramatiq.actor(broker=broker)
    def gated(payload: dict[str, str]) -> None: ...

    def send(name: str) -> None:
        gated.send({"name": name, "idempotency_key": "the same"})

    return send


@pytest.mark.parametrize("on_duplicate", ["skip", "park", "reject"])
def test_a_killed_workers_message_takes_its_claim_over_and_runs_once(
    stage_for: Callable[[str], Stage], on_duplicate: str
) -> None:
    """SIGKILL in the middle: the message comes back and runs; another with its key does not, as was chosen."""
    stage = stage_for(on_duplicate)
    send = sender(stage)
    doomed = stage.start()
    send("first")
    assert stage.await_in("started") == "first 1"
    doomed.kill()

    stage.start()
    if on_duplicate == "reject":
        with pytest.raises(DuplicateMessage):
            send("second")
    else:
        send("second")
    if on_duplicate == "park":
        assert stage.await_in("parked") == "second"
    assert stage.await_in("started") == "first 2"
    stage.open_gate("first 2")

    stage.drain()
    assert stage.counts("effects") == {"first": 1}
    assert stage.counts("counters").get("idempotency_stale_finish_total") is None


def test_a_thawed_workers_finish_is_refused(stage_for: Callable[[str], Stage]) -> None:
    """Taken for dead and replaced, it wakes up and ends its job: its word counts no more.

    The guard counts it; where the broker ends claims together with messages, its lease is not this worker's any more.
    """
    stage = stage_for("skip")
    send = sender(stage)
    frozen = stage.start()
    send("first")
    assert stage.await_in("started") == "first 1"
    frozen.freeze()
    stage.start()
    assert stage.await_in("started") == "first 2"

    stage.open_gate("first 1")
    frozen.thaw()
    refused = int(stage.scenario.broker == "redis")
    stage.wait_until(lambda: stage.counts("effects").get("first") == 1)
    stage.wait_until(lambda: stage.counts("counters").get("idempotency_stale_finish_total", 0) == refused)
    send("second")
    stage.wait_until(lambda: "idempotency_duplicates_total" in stage.counts("counters"))
    (claim,) = stage.client.scan_iter(f"{stage.scenario.claims}:idempotency:*")
    assert stage.client.hget(claim, "state") == b"held"
    stage.open_gate("first 2")

    stage.drain()
    assert stage.counts("counters").get("idempotency_stale_finish_total", 0) == refused
    assert stage.counts("effects").get("second") is None, "the claim was still the second run's"
