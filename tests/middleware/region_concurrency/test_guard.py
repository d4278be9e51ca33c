"""The region guard on Dramatiq's brokers."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker

from middleware import Parked, Retries, add_metric_handler, remove_metric_handler
from middleware.region_concurrency.guard import RegionConcurrency, in_region
from tests.middleware.brokers import replace_stack, work

NINE = {
    f"region_worker_{name}"
    for name in (
        "processed_total",
        "errors_total",
        "error_rate",
        "concurrency",
        "in_flight",
        "backpressure",
        "job_started",
        "job_completed",
        "job_failed",
    )
}


@pytest.fixture
def metrics() -> Iterator[Counter[tuple[str, str]]]:
    """What was emitted, by name and region."""
    seen: Counter[tuple[str, str]] = Counter()

    def handler(kind: str, name: str, value: float, labels: Mapping[str, str]) -> None:
        seen[name, labels.get("region", "")] += 1

    add_metric_handler(handler)
    yield seen
    remove_metric_handler(handler)


def test_no_more_jobs_run_at_once_than_there_are_slots(bare_broker: dramatiq.Broker) -> None:
    """All of them run in the end, none is failed."""
    replace_stack(bare_broker, RegionConcurrency(max_concurrency=2), Retries(max_retries=0))
    queue = f"q{uuid4().hex}"
    lock, now, most, ran = threading.Lock(), [0], [0], []

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def job(number: int) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        ran.append(number)
        with lock:
            now[0] -= 1

    for number in range(30):
        job.send(number)
    work(bare_broker, queue, threads=8)

    assert sorted(ran) == list(range(30))
    assert most[0] <= 2


def test_a_message_that_finds_no_place_is_parked_without_using_a_retry(bare_broker: dramatiq.Broker) -> None:
    """With no retry at all it still runs, once there is one."""
    guard = RegionConcurrency(max_concurrency=1, hold_ms=0, park_ms=1)
    replace_stack(bare_broker, guard, Retries(max_retries=0))
    queue, ran = f"q{uuid4().hex}", []
    assert guard.slots.enter("somebody else", timeout_s=0)
    parked = threading.Event()

    class Watch(Retries):
        def after_process_message(self, broker, message, *, result=None, exception=None):  # type: ignore[no-untyped-def]
            if isinstance(exception, Parked):
                guard.slots.leave("somebody else", failed=None)
                parked.set()

    bare_broker.add_middleware(Watch())

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def job() -> None:
        ran.append(1)

    job.send()
    work(bare_broker, queue)

    assert parked.is_set()
    assert ran == [1]


def test_a_message_that_runs_locally_already_is_refused() -> None:
    """Parked, since the first one may yet fail."""
    guard = RegionConcurrency()
    broker = StubBroker(middleware=[guard])

    @dramatiq.actor(broker=broker)
    def job() -> None: ...

    message = job.send()
    guard.admit(broker, MessageProxy(message))

    with pytest.raises(Parked, match="runs here already"):
        guard.admit(broker, MessageProxy(message))


def test_all_nine_metrics_appear_with_the_region(
    bare_broker: dramatiq.Broker, metrics: Counter[tuple[str, str]]
) -> None:
    """Under their names, for successes and failures."""
    replace_stack(bare_broker, RegionConcurrency(region="eu"), Retries(max_retries=0))
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def job(fail: bool) -> None:
        if fail:
            raise ValueError

    job.send(False)
    job.send(True)
    work(bare_broker, queue)

    assert {name for name, region in metrics if region == "eu"} >= NINE
    assert metrics["region_worker_processed_total", "eu"] == 2
    assert metrics["region_worker_errors_total", "eu"] == metrics["region_worker_job_failed", "eu"] == 1


def test_a_regions_messages_have_a_queue_of_their_own(bare_broker: dramatiq.Broker) -> None:
    """Declared by the region's workers, found by whoever sends there."""
    replace_stack(bare_broker, RegionConcurrency(region="eu"), Retries(max_retries=0))
    queue, ran = f"q{uuid4().hex}", []

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def job() -> None:
        ran.append(1)

    assert f"{queue}.eu" in bare_broker.get_declared_queues()
    bare_broker.enqueue(in_region(job.message(), "eu"))
    work(bare_broker, f"{queue}.eu")
    assert ran == [1]


def test_a_message_is_put_into_a_region_once() -> None:
    """Twice is as good as once, and one region needs no name."""
    broker = StubBroker()

    @dramatiq.actor(broker=broker)
    def job() -> None: ...

    message = job.message()

    assert in_region(message, None) is message
    there = in_region(message, "eu")
    assert (there.queue_name, there.options["region"]) == ("default.eu", "eu")
    assert in_region(there, "eu") is there


@pytest.mark.parametrize("options", [{"region": "a b"}, {"hold_ms": -1}, {"park_ms": 0}], ids=str)
def test_nonsense_is_refused_when_the_guard_is_made(options: dict[str, object]) -> None:
    """With the parameter's name."""
    with pytest.raises(ValueError, match=r"region|hold_ms"):
        RegionConcurrency(**options)  # type: ignore[arg-type]
