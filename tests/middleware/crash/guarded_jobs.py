"""Jobs behind the guards, for `python -m dramatiq tests.middleware.crash.guarded_jobs`.

What they do is written to Redis, under the namespace of the test that started the process.
"""

import json
import os
import threading
from collections.abc import Mapping
from typing import Any

import dramatiq
import redis
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware

from middleware import Parked, Retries
from middleware.base.emit import Kind, add_metric_handler
from middleware.idempotency.guard import Idempotency
from middleware.idempotency.redis import RedisIdempotencyStore
from middleware.org_limits.guard import OrgLimits
from middleware.org_limits.rate import Rate
from middleware.org_limits.redis import RedisOrgLimitsStore
from tests.middleware.crash.crash_broker import crash_broker
from tests.middleware.crash.scenario import Scenario

scenario = Scenario(**json.loads(os.environ["GUARDED_JOBS"]))
client: Any = redis.Redis.from_url(scenario.redis_url)


class SupportsParking(Middleware):
    """Counts by job how often it was parked, and for what."""

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        if isinstance(exception, Parked):
            cause = str(exception.key).partition(":")[0]
            name = message.args[0]["name"]
            client.hincrby(scenario.key(f"parks:{cause}"), name, 1)
            client.lpush(scenario.key("parked"), name)


def count(kind: Kind, name: str, value: float, labels: Mapping[str, str]) -> None:
    client.hincrby(scenario.key("counters"), name, int(value))


def _max_active_of(org: str) -> int | None:
    return None if org.startswith("flood") else 100


add_metric_handler(count)
broker = crash_broker(
    scenario.broker,
    scenario.redis_url,
    scenario.namespace,
    SupportsParking(),
    Idempotency(
        RedisIdempotencyStore(client, prefix=scenario.claims),
        on_duplicate=scenario.on_duplicate,  # type: ignore[arg-type]  # the guard says what is allowed
        park_ms=200,
    ),
    OrgLimits(
        RedisOrgLimitsStore(client, prefix=scenario.key("guards")),
        max_active=scenario.max_active,
        # The fair broker does the guard's work where nobody but the guard is to know numbers.
        max_active_of=None if scenario.broker == "fair" else _max_active_of,
        lease_ms=scenario.lease_ms,
        wait_ms=scenario.wait_ms,
    ),
    Retries(max_retries=0),
    # A dead worker's messages come back within seconds.
    heartbeat_ms=2_000,
)
dramatiq.set_broker(broker)


@dramatiq.actor
def gated(payload: dict[str, str]) -> None:
    """Says that it runs, waits until the test opens the gate of this run, then has its effect."""
    name = payload["name"]
    run = client.incr(scenario.key(f"runs:{name}"))
    client.lpush(scenario.key("started"), f"{name} {run}")
    if client.blpop([scenario.key(f"gate:{name} {run}")], timeout=60) is None:
        raise TimeoutError("the test never opened the gate")
    client.hincrby(scenario.key("effects"), name, 1)


@dramatiq.actor(rate=Rate(250, per="1s", burst=60))
def quick(payload: dict[str, str]) -> None:
    """Takes a few milliseconds, and notes how many of its org run at once."""
    org = payload["org_id"]
    with client.pipeline() as pipe:
        pipe.incr(scenario.key(f"active:{org}")).time()
        active, (seconds, microseconds) = pipe.execute()
    client.zadd(scenario.key("most"), {org: active}, gt=True)
    client.zadd(scenario.key(f"starts:{org}"), {payload["name"]: seconds + microseconds / 1e6})
    threading.Event().wait(0.025)
    client.hincrby(scenario.key("effects"), payload["name"], 1)
    client.decr(scenario.key(f"active:{org}"))
