"""The two brokers that are compared, made alike, and where each keeps its messages."""

from typing import Any, Literal

from dramatiq.brokers.redis import MAINTENANCE_SCALE, RedisBroker

from broker import FairRedisBroker

#: Dramatiq's `RedisBroker`, or the `FairRedisBroker`.
Kind = Literal["vanilla", "ours"]
Either = RedisBroker | FairRedisBroker

#: The queue of all these scenarios.
QUEUE = "default"


def make_broker(
    kind: Kind, url: str, namespace: str, *, heartbeat_timeout_ms: int = 60_000, maintained: bool = True
) -> Either:
    """A broker with Dramatiq's own middleware.

    Parameters:
        kind: which.
        url: of the server.
        namespace: what its keys begin with.
        heartbeat_timeout_ms: after so long a silence a worker is taken for dead. Default 60,000.
        maintained: Dramatiq's broker looks for dead workers with every command, where by itself it does with one in a
            thousand, by chance. Default True: the scenarios are kind to it.
    """
    made: Either
    if kind == "ours":
        made = FairRedisBroker(url=url, namespace=namespace, heartbeat_timeout=heartbeat_timeout_ms)
    else:
        chance = {"maintenance_chance": MAINTENANCE_SCALE} if maintained else {}
        made = RedisBroker(url=url, namespace=namespace, heartbeat_timeout=heartbeat_timeout_ms, **chance)  # type: ignore[no-untyped-call]
    made.declare_queue(QUEUE)
    return made


def unfinished(kind: Kind, client: Any, namespace: str) -> int:
    """How many messages are stored that are neither done nor dead."""
    if kind == "ours":
        return int(client.hget(f"{namespace}:{{0}}:n", QUEUE) or 0)
    return sum(client.hlen(f"{namespace}:{queue}.msgs") for queue in (QUEUE, f"{QUEUE}.DQ"))


def held(kind: Kind, client: Any, namespace: str) -> int:
    """How many messages workers have taken, and have not finished."""
    workers = [worker_id.decode() for worker_id in client.zrange(_workers_key(kind, namespace), 0, -1)]
    if kind == "ours":
        return sum(client.hlen(f"{namespace}:{{0}}:lease:{worker_id}") for worker_id in workers)
    queues = (QUEUE, f"{QUEUE}.DQ")
    return sum(
        client.scard(f"{namespace}:__acks__.{worker_id}.{queue}") for worker_id in workers for queue in queues
    )


def beats_ms(kind: Kind, client: Any, namespace: str) -> list[int]:
    """When each known worker was last heard of."""
    beats = client.zrange(_workers_key(kind, namespace), 0, -1, withscores=True)
    return [int(score) for _, score in beats]


def store_key(kind: Kind, namespace: str) -> str:
    """The hash in which the messages themselves stand."""
    return f"{namespace}:{{0}}:m" if kind == "ours" else f"{namespace}:{QUEUE}.msgs"


def _workers_key(kind: Kind, namespace: str) -> str:
    return f"{namespace}:{{0}}:workers" if kind == "ours" else f"{namespace}:__heartbeats__"
