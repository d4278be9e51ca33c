"""Bounds how many series a metric may have, so that a bug in a label cannot bring a monitoring system down."""

import logging
import threading
from collections.abc import Collection, Mapping

#: Combinations of label values that a metric may have.
DEFAULT_MAX_SERIES = 1_000

#: Labels with as many values as there are tenants, messages or users.
UNBOUNDED_LABELS = ("org", "org_id", "message_id", "job_id", "user", "user_id", "trace_id")

#: What every label of a combination over the bound says.
OVERFLOW = "other"

#: Characters of a label's value that are kept.
MAX_VALUE_CHARS = 128

logger = logging.getLogger(__name__)


class SeriesBound:
    """Lets the first combinations of labels through, and folds all others into one, so that totals stay right.

    Parameters:
      max_series: Combinations for each metric. Default 1,000.
      dropped_labels: Labels that are left out wherever they turn up. Default `UNBOUNDED_LABELS`.

    Example:
      >>> bound = SeriesBound(max_series=1)
      >>> bound("jobs_total", {"actor": "a"}), bound("jobs_total", {"actor": "b"})
      ({'actor': 'a'}, {'actor': 'other'})
    """

    def __init__(
        self,
        *,
        max_series: int = DEFAULT_MAX_SERIES,
        dropped_labels: Collection[str] = UNBOUNDED_LABELS,
    ) -> None:
        if max_series < 1:
            raise ValueError(f"max_series must be at least 1, not {max_series}")
        self._max_series = max_series
        self._dropped = frozenset(dropped_labels)
        self._known: dict[str, set[frozenset[tuple[str, str]]]] = {}
        self._complained: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, name: str, labels: Mapping[str, str]) -> dict[str, str]:
        kept = {
            label: str(value)[:MAX_VALUE_CHARS]
            for label, value in labels.items()
            if label not in self._dropped
        }
        series = frozenset(kept.items())
        # Read without the lock: sets only grow, and the second look is made under it.
        if series in self._known.get(name, ()) or self._admit(name, series):
            return kept
        return dict.fromkeys(kept, OVERFLOW)

    def _admit(self, name: str, series: frozenset[tuple[str, str]]) -> bool:
        with self._lock:
            known = self._known.setdefault(name, set())
            if series in known or len(known) < self._max_series:
                known.add(series)
                return True
            if name not in self._complained:
                self._complained.add(name)
                logger.warning(
                    "Metric %s has more than %d series; the others are counted as %r. Look for a label with "
                    "too many values.",
                    name,
                    self._max_series,
                    OVERFLOW,
                )
            return False
