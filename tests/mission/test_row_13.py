"""Row 13: `RegionConcurrency`."""

import json
from pathlib import Path
from uuid import uuid4

from .guarded import write_program
from .platform import Org, Platform

THREADS = 8
FAILING = 20

#: By the names that they have without Prometheus, too.
METRICS = {
    "region_worker_processed_total",
    "region_worker_errors_total",
    "region_worker_error_rate",
    "region_worker_concurrency",
    "region_worker_in_flight",
    "region_worker_backpressure",
    "region_worker_job_started",
    "region_worker_job_completed",
    "region_worker_job_failed",
}

PROGRAM = """
def note(kind, name, value, labels):
    with open({path!r}, "a") as file:
        file.write(json.dumps([name, value, labels.get("region")]) + "\\n")

library.add_metric_handler(note)
"""


def test_a_worker_whose_jobs_fail_runs_half_as_many_and_says_so(
    platform: Platform, org: Org, tmp_path: Path
) -> None:
    """All nine `region_worker_*` metrics carry the region; after failures the limit is four of eight, at first all.

    The worker is a program that imports the actors and adds a handler of metrics, as `docs/guards/metrics.md` shows;
    it takes the library from the actors' own broker.

    Seen red with the halving at a high rate of errors (`middleware/region_concurrency/adaptive_limit.py`) left out:
    the limit stayed at eight.
    """
    region, path = f"r{uuid4().hex[:8]}", tmp_path / "metrics.jsonl"
    write_program(tmp_path, "counted", PROGRAM.format(path=str(path)))

    with platform.worker(
        "dramatiq",
        "counted",
        "--processes=1",
        f"--threads={THREADS}",
        f"--path={tmp_path}",
        f"--queues=exports.{region}",
        PRESSROOM_REGION=region,
        PRESSROOM_WORKER_THREADS=str(THREADS),
    ):
        platform.result_of(platform.send("domain_export", org.job(format="json"), region=region))
        nowhere = {**org.job(format="json"), "domain_id": str(uuid4())}
        failing = [platform.send("domain_export", nowhere, region=region) for _ in range(FAILING)]
        ends = [platform.end_of(each) for each in failing]

    assert {each["outcome"] for each in ends} == {"failed"}
    said = [json.loads(row) for row in path.read_text().splitlines()]
    ours = [(name, value) for name, value, of in said if of == region]
    assert {name for name, _ in ours} >= METRICS
    limits = [value for name, value in ours if name == "region_worker_concurrency"]
    assert (limits[0], limits[-1]) == (THREADS, THREADS / 2)
    counted = {name: sum(value for each, value in ours if each == name) for name in METRICS}
    assert counted["region_worker_processed_total"] == FAILING + 1
    assert counted["region_worker_job_completed"] == 1
    assert counted["region_worker_errors_total"] == counted["region_worker_job_failed"] == FAILING
