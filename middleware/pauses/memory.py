"""Pauses, in this process's memory."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from .pauses import InForce, Pause, PauseTarget


class MemoryPauseStore:
    """Keeps pauses for this process alone.

    Parameters:
      now_ms: The time as epoch milliseconds; for tests. Default the system's.

    Example:
      >>> broker.add_middleware(Pauses(MemoryPauseStore()))
    """

    def __init__(self, *, now_ms: Callable[[], float] = lambda: time.time() * 1_000) -> None:
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._version = 0
        self._kept: dict[PauseTarget, Pause] = {}

    def put(self, pause: Pause, *, for_ms: int | None) -> Pause:
        """See `PauseStore`."""
        with self._lock:
            now_ms = int(self._now_ms())
            self._forget_what_ended(now_ms)
            kept = replace(pause, since_ms=now_ms, until_ms=None if for_ms is None else now_ms + for_ms)
            # Taken out first, so that the later one is last.
            self._kept.pop(pause.what, None)
            self._kept[pause.what] = kept
            self._version += 1
            return kept

    def remove(self, what: PauseTarget) -> bool:
        """See `PauseStore`."""
        with self._lock:
            self._forget_what_ended(int(self._now_ms()))
            if self._kept.pop(what, None) is None:
                return False
            self._version += 1
            return True

    def read(self, since: int) -> InForce | None:
        """See `PauseStore`."""
        with self._lock:
            if since == self._version:
                return None
            now_ms = int(self._now_ms())
            self._forget_what_ended(now_ms)
            return InForce(version=self._version, now_ms=now_ms, pauses=list(self._kept.values()))

    def _forget_what_ended(self, now_ms: int) -> None:
        self._kept = {
            what: each for what, each in self._kept.items() if each.until_ms is None or each.until_ms > now_ms
        }
