"""The brokers that worker processes are killed on: Dramatiq's on Redis, and ours."""

from typing import Any

from dramatiq import Broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware

from broker import FairRedisBroker

KINDS = ("redis", "fair")


def crash_broker(
    kind: str, redis_url: str, namespace: str, *middleware: Middleware, heartbeat_ms: int | None = None
) -> Broker:
    """A broker with this middleware.

    Parameters:
      kind: `redis` or `fair`.
      heartbeat_ms: After so long a silence a worker's messages go to others, who look for them with every command.
        Default None: as each broker has it.
    """
    options: dict[str, Any] = {"url": redis_url, "namespace": namespace, "middleware": list(middleware)}
    if heartbeat_ms is not None:
        options["heartbeat_timeout"] = heartbeat_ms
        # A frozen process of the fair broker's is beaten for until it is taken for stuck.
        options |= {"stall_timeout": heartbeat_ms} if kind == "fair" else {"maintenance_chance": 1_000_000}
    return FairRedisBroker(**options) if kind == "fair" else RedisBroker(**options)  # type: ignore[no-untyped-call]
