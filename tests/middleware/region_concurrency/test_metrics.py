"""The region worker's metrics as a Prometheus server would scrape them, under every kind of load."""

import threading
import time
from collections.abc import Iterator

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from middleware import RegionConcurrency, Retries
from middleware.metrics.prometheus import PrometheusHandler
from tests.middleware.brokers import replace_stack
from tests.middleware.eventually import PATIENCE_S, eventually
from tests.middleware.recorded_metrics import handling

#: The nine of the platform's specification, and the two of ours.
NAMES = {
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
        "duplicate_job_rejected",
        "stale_job_cleaned",
    )
}


@pytest.fixture
def prometheus() -> Iterator[PrometheusHandler]:
    """A handler with a registry of its own, and no prefix before the names."""
    handler = PrometheusHandler(registry=CollectorRegistry(), namespace="")
    with handling(handler):
        yield handler


def scraped(prometheus: PrometheusHandler) -> dict[str, float]:
    """Every sample of our region, by its name with and without the ending that Prometheus gives each counter."""
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(prometheus.exposition().decode())
        for sample in family.samples
        if sample.labels.get("region") == "eu" and not sample.name.endswith("_created")
    }
    bare = {name.removesuffix("_total"): value for name, value in samples.items()}
    return {**bare, **samples}


def test_all_of_them_appear_under_load_with_their_names(prometheus: PrometheusHandler) -> None:
    """Successes, failures, a backlog that parks, one message twice and one that runs for too long."""
    leap_s = [0.0]
    guard = RegionConcurrency(region="eu", max_concurrency=4, hold_ms=20, park_ms=1, stale_after_s=600)
    guard.slots.monotonic = lambda: time.monotonic() + leap_s[0]
    broker = StubBroker(middleware=[])
    replace_stack(broker, guard, Retries(max_retries=0))
    holding, go_on, rushed = threading.Semaphore(0), threading.Event(), threading.Semaphore(0)

    @dramatiq.actor(broker=broker)
    def holds() -> None:
        holding.release()
        go_on.wait()

    @dramatiq.actor(broker=broker)
    def works() -> None:
        rushed.release()

    @dramatiq.actor(broker=broker)
    def fails() -> None:
        rushed.release()
        raise ValueError

    def value(name: str) -> float:
        return scraped(prometheus).get(f"region_worker_{name}", 0)

    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=16)
    worker.start()
    try:
        held = [holds.send() for _ in range(4)]
        for _ in held:
            assert holding.acquire(timeout=PATIENCE_S)
        assert eventually(lambda: value("in_flight") == 4)

        broker.enqueue(held[0].copy())
        assert eventually(lambda: value("duplicate_job_rejected") >= 1)

        for _ in range(20):
            works.send()
            fails.send()
        assert eventually(lambda: value("backpressure") == 1 and value("concurrency") == 3)
        assert not rushed.acquire(blocking=False), "nothing runs without a place; it is parked"

        leap_s[0] += 601
        assert eventually(lambda: value("stale_job_cleaned") == 4)
        for _ in range(40):
            assert rushed.acquire(timeout=PATIENCE_S)
        go_on.set()
        # 44 jobs, and the one that was sent twice.
        assert eventually(lambda: value("processed_total") == 45)
    finally:
        go_on.set()
        worker.stop(timeout=10_000)

    seen = scraped(prometheus)
    assert seen.keys() >= NAMES
    assert seen["region_worker_errors_total"] == seen["region_worker_job_failed"] == 20
    assert seen["region_worker_job_completed"] == 25
    assert seen["region_worker_job_started"] == seen["region_worker_processed_total"]
    assert seen["region_worker_error_rate"] > 0.1
    assert (seen["region_worker_concurrency"], seen["region_worker_backpressure"]) == (2, 1)
    assert seen["region_worker_in_flight"] == 0
