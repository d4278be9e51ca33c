"""Metrics for Prometheus, from one process or from all of a worker's."""

import os
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.emit import Kind
from .series import DEFAULT_MAX_SERIES, UNBOUNDED_LABELS, SeriesBound

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

#: Upper bounds of a timer's buckets, in seconds: jobs take from milliseconds to minutes.
DEFAULT_BUCKETS_S = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

#: Gauges with these endings count what a process does, so processes are added up; of all others the value that was
#: set last is true for the whole fleet.
SUMMED_ENDINGS = ("_in_flight", "_concurrency")

#: The variable that switches prometheus_client to files which all processes share. It has to be set, to an empty
#: folder, before prometheus_client is first imported.
MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class PrometheusHandler:
    """Counters, gauges and histograms in a registry of prometheus_client.

    A metric's labels are those it was first emitted with: one that is missing later is empty, one that is new is
    left out. A timer becomes a histogram in seconds.

    Parameters:
      registry: Default None: prometheus_client's own, `REGISTRY`.
      namespace: Put before every name, with an underscore. Default "pressroom".
      buckets_s: Upper bounds of a timer's buckets, in seconds. Default 5 ms to 10 minutes.
      max_series: Combinations of label values for each metric; all beyond become one, "other". Default 1,000.
      dropped_labels: Labels left out wherever they turn up. Default: org, ids and the like.

    Raises:
      ImportError: prometheus_client is missing; install `pressroom[metrics]`.

    Example:
      >>> prometheus = PrometheusHandler()
      >>> add_metric_handler(prometheus)
      >>> prometheus.exposition()
      b'# HELP ...'
    """

    #: What `exposition` gives, for a web server's header.
    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(
        self,
        *,
        registry: "CollectorRegistry | None" = None,
        namespace: str = "pressroom",
        buckets_s: Sequence[float] = DEFAULT_BUCKETS_S,
        max_series: int = DEFAULT_MAX_SERIES,
        dropped_labels: Collection[str] = UNBOUNDED_LABELS,
    ) -> None:
        try:
            import prometheus_client
        except ImportError as error:
            raise ImportError(
                "PrometheusHandler needs prometheus_client; install pressroom[metrics]"
            ) from error
        self._client = prometheus_client
        self._registry = prometheus_client.REGISTRY if registry is None else registry
        self._namespace = namespace
        self._buckets_s = tuple(buckets_s)
        self._bound = SeriesBound(max_series=max_series, dropped_labels=dropped_labels)
        self._metrics: dict[tuple[Kind, str], tuple[Any, tuple[str, ...]]] = {}
        self._lock = threading.Lock()

    def __call__(self, kind: Kind, name: str, value: float, labels: Mapping[str, str]) -> None:
        kept = self._bound(name, labels)
        metric, names = self._metrics.get((kind, name)) or self._made(kind, name, tuple(kept))
        series = metric.labels(*(kept.get(each, "") for each in names)) if names else metric
        if kind == "counter":
            series.inc(value)
        elif kind == "gauge":
            series.set(value)
        else:
            series.observe(value)

    def exposition(self) -> bytes:
        """Everything as Prometheus scrapes it; in multiprocess mode of every process that shares the folder.

        Gauges of processes that are gone are removed first, so a killed worker is in flight no longer.

        Example:
            >>> Response(prometheus.exposition(), media_type=prometheus.content_type)
        """
        folder = os.environ.get(MULTIPROCESS_FOLDER)
        if not folder:
            return bytes(self._client.generate_latest(self._registry))
        from prometheus_client.multiprocess import MultiProcessCollector

        _forget_the_dead(Path(folder))
        registry = self._client.CollectorRegistry()
        MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
        return bytes(self._client.generate_latest(registry))

    def _made(self, kind: Kind, name: str, labels: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
        with self._lock:
            known = self._metrics.get((kind, name))
            if known is None:
                known = self._metric(kind, name, labels), labels
                self._metrics[kind, name] = known
            return known

    def _metric(self, kind: Kind, name: str, labels: tuple[str, ...]) -> Any:
        reported = name.replace("_", " ").capitalize() + "."
        options: dict[str, Any] = {"namespace": self._namespace, "registry": self._registry}
        if kind == "counter":
            return self._client.Counter(name, reported, labels, **options)
        if kind == "timer":
            return self._client.Histogram(name, reported, labels, buckets=self._buckets_s, **options)
        options["multiprocess_mode"] = "livesum" if name.endswith(SUMMED_ENDINGS) else "livemostrecent"
        return self._client.Gauge(name, reported, labels, **options)


def _forget_the_dead(folder: Path) -> None:
    from prometheus_client.multiprocess import mark_process_dead

    pids = {path.stem.rpartition("_")[2] for path in folder.glob("gauge_live*.db")}
    for pid in pids:
        if pid.isdecimal() and not _is_alive(int(pid)):
            mark_process_dead(int(pid), str(folder))  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
