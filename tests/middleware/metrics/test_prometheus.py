"""The Prometheus handler, read back as Prometheus would scrape it."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from middleware.metrics.prometheus import PrometheusHandler

#: A worker process: emits, says so, and ends when told, or is killed.
WORKER = """
import sys
from middleware.metrics.prometheus import PrometheusHandler
handler = PrometheusHandler()
handler("counter", "attempts_total", 2, {"actor": "resize"})
handler("gauge", "attempts_in_flight", 3, {"actor": "resize"})
handler("gauge", "queue_depth", float(sys.argv[1]), {"queue": "images"})
handler("timer", "attempt_seconds", 0.2, {"actor": "resize"})
print("emitted", flush=True)
sys.stdin.read()
"""
READER = """
import sys
from middleware.metrics.prometheus import PrometheusHandler
sys.stdout.buffer.write(PrometheusHandler().exposition())
"""

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(exposition: bytes) -> Samples:
    """Every sample by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition.decode())
        for sample in family.samples
    }


def test_counters_gauges_and_timers_are_scraped() -> None:
    """Each kind becomes what Prometheus calls it, under our namespace."""
    handler = PrometheusHandler(registry=CollectorRegistry(), buckets_s=(0.1, 1))
    labels = {"actor": "resize", "outcome": "failed"}

    handler("counter", "attempts_total", 1, labels)
    handler("counter", "attempts_total", 2, labels)
    handler("gauge", "queue_depth", 5, {"queue": "images"})
    handler("gauge", "queue_depth", 4, {"queue": "images"})
    handler("timer", "attempt_seconds", 0.25, {})

    found = samples(handler.exposition())
    assert found["pressroom_attempts_total", (("actor", "resize"), ("outcome", "failed"))] == 3
    assert found["pressroom_queue_depth", (("queue", "images"),)] == 4
    assert found["pressroom_attempt_seconds_bucket", (("le", "0.1"),)] == 0
    assert found["pressroom_attempt_seconds_bucket", (("le", "1.0"),)] == 1
    assert found["pressroom_attempt_seconds_sum", ()] == 0.25


def test_series_are_bounded_and_totals_stay_right() -> None:
    """Whatever a label holds, a metric has `max_series` and one more, and no value is lost."""
    handler = PrometheusHandler(registry=CollectorRegistry(), max_series=3)

    for n in range(50):
        handler("counter", "jobs_total", 1, {"actor": f"actor-{n}", "org": "acme"})

    found = {key: value for key, value in samples(handler.exposition()).items() if key[0].endswith("_total")}
    assert len(found) == 4
    assert found["pressroom_jobs_total", (("actor", "other"),)] == 47
    assert sum(found.values()) == 50


def test_labels_that_change_do_not_lose_the_value() -> None:
    """A metric keeps the labels it began with: a new one is left out, a missing one is empty."""
    handler = PrometheusHandler(registry=CollectorRegistry())

    handler("counter", "jobs_total", 1, {"actor": "a"})
    handler("counter", "jobs_total", 1, {"actor": "a", "more": "x"})
    handler("counter", "jobs_total", 1, {})

    found = samples(handler.exposition())
    assert found["pressroom_jobs_total", (("actor", "a"),)] == 2
    assert found["pressroom_jobs_total", (("actor", ""),)] == 1


@pytest.mark.slow
def test_processes_are_added_up_and_the_dead_are_lost(tmp_path: Path) -> None:
    """What each process counted is summed, depths are not, and a killed worker has nothing in flight."""
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])}

    def read() -> Samples:
        output = subprocess.run(
            [sys.executable, "-c", READER], env=environment, capture_output=True, check=True
        )
        return samples(output.stdout)

    workers = []
    for depth in ("9", "7"):
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, depth],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        workers.append(worker)
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"emitted\n"
    both = read()
    workers[0].kill()
    workers[0].communicate()
    one = read()
    workers[1].communicate()

    resize = (("actor", "resize"),)
    assert both["pressroom_attempts_total", resize] == 4
    assert both["pressroom_attempts_in_flight", resize] == 6
    assert both["pressroom_queue_depth", (("queue", "images"),)] == 7
    assert both["pressroom_attempt_seconds_count", resize] == 2
    assert one["pressroom_attempts_total", resize] == 4
    assert one["pressroom_attempts_in_flight", resize] == 3
    assert list(tmp_path.glob(f"gauge_live*_{workers[0].pid}.db")) == []
