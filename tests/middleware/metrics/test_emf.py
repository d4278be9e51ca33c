"""The CloudWatch handler, writing a real file."""

import io
import json
import os
import threading
from pathlib import Path

from middleware.metrics.emf import MAX_DIMENSIONS, EmfHandler


def test_a_value_is_a_row_that_cloudwatch_reads(tmp_path: Path) -> None:
    """The line names its namespace, dimensions, unit and time, and holds what they refer to."""
    path = tmp_path / "metrics.log"
    with path.open("w") as stream:
        handler = EmfHandler(stream, now_ms=lambda: 1_700_000_000_123)
        handler("timer", "attempt_seconds", 0.25, {"actor": "resize", "queue": "images", "org": "acme"})

    assert json.loads(path.read_text()) == {
        "_aws": {
            "Timestamp": 1_700_000_000_123,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Pressroom",
                    "Dimensions": [["actor", "queue"]],
                    "Metrics": [{"Name": "attempt_seconds", "Unit": "Seconds"}],
                }
            ],
        },
        "actor": "resize",
        "queue": "images",
        "attempt_seconds": 0.25,
    }


def test_every_kind_has_its_unit_and_no_more_dimensions_than_may_be(tmp_path: Path) -> None:
    """Counters count, gauges have no unit, and labels over CloudWatch's limit are left out."""
    path = tmp_path / "metrics.log"
    with path.open("w") as stream:
        handler = EmfHandler(stream)
        handler("counter", "jobs", 1, {f"label_{n}": "x" for n in range(40)})
        handler("gauge", "depth", 3, {})

    counter, gauge = (
        json.loads(row)["_aws"]["CloudWatchMetrics"][0] for row in path.read_text().splitlines()
    )
    assert counter["Metrics"] == [{"Name": "jobs", "Unit": "Count"}]
    assert len(counter["Dimensions"][0]) == MAX_DIMENSIONS
    assert gauge == {
        "Namespace": "Pressroom",
        "Dimensions": [[]],
        "Metrics": [{"Name": "depth", "Unit": "None"}],
    }


class InPieces(io.StringIO):
    """A stream that writes each line in two steps, between which others may come."""

    def write(self, text: str) -> int:
        for piece in (text[:9], text[9:]):
            super().write(piece)
            os.sched_yield()
        return len(text)


def test_threads_do_not_write_into_each_others_lines() -> None:
    """Every line is whole, and none is missing."""
    stream = InPieces()
    handler = EmfHandler(stream)

    def count() -> None:
        for _ in range(50):
            handler("counter", "jobs", 1, {})

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([json.loads(row) for row in stream.getvalue().splitlines()]) == 400
