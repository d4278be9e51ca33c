"""Metrics for StatsD and Datadog, one datagram each."""

import re
import socket
from collections.abc import Collection, Mapping
from typing import Literal

from ..base.emit import Kind
from .series import DEFAULT_MAX_SERIES, UNBOUNDED_LABELS, SeriesBound

#: Characters that mean something in the protocol, or that servers refuse in names.
_UNSAFE = re.compile(r"[^A-Za-z0-9_.\-/]")

_TYPES: dict[Kind, str] = {"counter": "c", "gauge": "g", "timer": "ms"}


class StatsdHandler:
    """Sends each value as a UDP datagram and never waits: what the socket does not take at once is dropped.

    Timers are sent in milliseconds, as the protocol has them.

    Parameters:
      host: Looked up once, when the handler is made. Default 127.0.0.1.
      port: Default 8125.
      prefix: Put before every name, with a dot. Default "pressroom".
      tags: `"datadog"` appends labels as tags, `|#actor:resize`; `"name"` makes their values part of the name, for
        servers that know no tags. Default datadog.
      max_series: Combinations of label values for each metric; all beyond become one, "other". Default 1,000.
      dropped_labels: Labels left out wherever they turn up. Default: org, ids and the like.

    Raises:
      OSError: `host` has no address.

    Example:
      >>> add_metric_handler(StatsdHandler("127.0.0.1", 8125))
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8125,
        *,
        prefix: str = "pressroom",
        tags: Literal["datadog", "name"] = "datadog",
        max_series: int = DEFAULT_MAX_SERIES,
        dropped_labels: Collection[str] = UNBOUNDED_LABELS,
    ) -> None:
        if tags not in ("datadog", "name"):
            raise ValueError(f"tags must be 'datadog' or 'name', not {tags!r}")
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._address = address
        self._socket = socket.socket(family, kind)
        self._socket.setblocking(False)
        self._prefix = f"{prefix}." if prefix else ""
        self._tags = tags
        self._bound = SeriesBound(max_series=max_series, dropped_labels=dropped_labels)
        #: How many datagrams the socket did not take.
        self.dropped = 0

    def __call__(self, kind: Kind, name: str, value: float, labels: Mapping[str, str]) -> None:
        for datagram in self._datagrams(kind, name, value, self._bound(name, labels)):
            try:
                self._socket.sendto(datagram.encode(), self._address)
            except OSError:
                # A full buffer, or nobody there: the value is not worth a job's time.
                self.dropped += 1

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def _datagrams(self, kind: Kind, name: str, value: float, labels: Mapping[str, str]) -> list[str]:
        path, tags = self._prefix + _safe(name), ""
        if self._tags == "name":
            path = ".".join([path, *(_safe(each).replace(".", "_") for each in labels.values())])
        elif labels:
            tags = "|#" + ",".join(f"{_safe(label)}:{_safe(text)}" for label, text in labels.items())
        number = value * 1_000 if kind == "timer" else value
        row = f"{path}:{number:.12g}|{_TYPES[kind]}{tags}"
        if kind == "gauge" and value < 0 and self._tags == "name":
            # A sign makes a gauge of plain StatsD a difference, so it starts from zero.
            return [f"{path}:0|g", row]
        return [row]


def _safe(text: str) -> str:
    return _UNSAFE.sub("_", text)
