"""Drains a queue of no-op jobs in this process, and counts what it cost."""

import json
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass
from uuid import uuid4

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware
from pydantic import BaseModel

from benchmarks.stacks import stack

#: Threads of the worker.
THREADS = 8


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the jobs cost, all together."""

    jobs: int
    send_s: float
    drain_s: float
    cpu_s: float
    reads: int
    net_bytes: int


class Job(BaseModel):
    """The payload; the guards that look for an org or a key find one."""

    org_id: str
    n: int
    idempotency_key: str | None = None


def measure(name: str, jobs: int, url: str) -> Cost:
    """Send and drain `jobs` messages through one stack.

    Parameters:
        name: of the stack, see `benchmarks.stacks`.
        jobs: how many.
        url: a Redis server that nobody else uses meanwhile.
    """
    client = redis.Redis.from_url(url)
    client.flushall()
    namespace = uuid4().hex
    middleware: list[Middleware] = stack(name, client, namespace)
    broker = RedisBroker(client=redis.Redis.from_url(url), namespace=namespace, middleware=middleware)  # type: ignore[no-untyped-call]
    broker.emit_after("process_boot")
    keyed = name.endswith("with keys")

    @dramatiq.actor(broker=broker)
    def job(payload: Job) -> None: ...

    if not any(type(each).__name__ == "Contracts" for each in middleware):
        job.fn = lambda payload: None

    begun = time.perf_counter()
    for n in range(jobs):
        payload = {"org_id": f"org-{n % 10}", "n": n, "idempotency_key": f"k{n}" if keyed else None}
        broker.get_actor("job").send(payload)
    send_s = time.perf_counter() - begun

    before, cpu = client.info("stats"), _cpu_s()
    begun = time.perf_counter()
    worker = dramatiq.Worker(broker, worker_threads=THREADS, worker_timeout=1000)
    worker.start()
    broker.join("default", interval=5)
    drain_s = time.perf_counter() - begun
    cpu_s = _cpu_s() - cpu
    after = client.info("stats")
    worker.stop()
    return Cost(
        jobs=jobs,
        send_s=send_s,
        drain_s=drain_s,
        cpu_s=cpu_s,
        reads=after["total_reads_processed"] - before["total_reads_processed"],
        net_bytes=sum(
            after[key] - before[key] for key in ("total_net_input_bytes", "total_net_output_bytes")
        ),
    )


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(measure(sys.argv[1], int(sys.argv[2]), os.environ["REDIS_URL"]))))
