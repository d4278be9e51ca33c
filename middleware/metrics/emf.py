"""Metrics for CloudWatch in its embedded metric format: lines of JSON in the log, which CloudWatch reads out."""

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import TextIO

from ..base.emit import Kind
from .series import UNBOUNDED_LABELS, SeriesBound

_UNITS: dict[Kind, str] = {"counter": "Count", "gauge": "None", "timer": "Seconds"}

#: Combinations of label values that a metric may have; CloudWatch charges for each.
DEFAULT_MAX_SERIES = 200

#: Labels that CloudWatch takes as dimensions of one metric.
MAX_DIMENSIONS = 30


class EmfHandler:
    """Writes each value as one line in CloudWatch's embedded metric format; its agent, or Lambda, does the rest.

    Labels become dimensions.

    Parameters:
      stream: Where the lines go: standard output, or a file that the agent reads.
      namespace: Default "Pressroom".
      max_series: Combinations of label values for each metric; all beyond become one, "other". Default 200.
      dropped_labels: Labels left out wherever they turn up. Default: org, ids and the like.
      now_ms: Milliseconds since 1970. Default the system's clock.

    Example:
      >>> add_metric_handler(EmfHandler(sys.stdout))
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        namespace: str = "Pressroom",
        max_series: int = DEFAULT_MAX_SERIES,
        dropped_labels: Collection[str] = UNBOUNDED_LABELS,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._stream = stream
        self._namespace = namespace
        self._bound = SeriesBound(max_series=max_series, dropped_labels=dropped_labels)
        self._now_ms = now_ms
        # Lines of two threads must not end up in one.
        self._lock = threading.Lock()

    def __call__(self, kind: Kind, name: str, value: float, labels: Mapping[str, str]) -> None:
        dimensions = dict(list(self._bound(name, labels).items())[:MAX_DIMENSIONS])
        directive = {
            "Namespace": self._namespace,
            "Dimensions": [list(dimensions)],
            "Metrics": [{"Name": name, "Unit": _UNITS[kind]}],
        }
        row = json.dumps(
            {
                **dimensions,
                name: value,
                "_aws": {"Timestamp": self._now_ms(), "CloudWatchMetrics": [directive]},
            }
        )
        with self._lock:
            self._stream.write(row + "\n")
            self._stream.flush()
