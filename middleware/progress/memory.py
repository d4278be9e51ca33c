"""What jobs are doing, in this process's memory."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from ..base.bounds import check_at_least
from .guard import JobProgress

#: How long a line is kept after it was written last, in milliseconds: a day.
DEFAULT_KEEP_FOR_MS = 24 * 60 * 60 * 1_000


class MemoryProgressStore:
    """Keeps lines for this process alone.

    Parameters:
      keep_for_ms: How long a line is kept after it was written last, in milliseconds. Default a day.
      now_ms: The time as epoch milliseconds; for tests. Default the system's.

    Example:
      >>> broker.add_middleware(Progress(MemoryProgressStore()))
    """

    def __init__(
        self,
        *,
        keep_for_ms: int = DEFAULT_KEEP_FOR_MS,
        now_ms: Callable[[], float] = lambda: time.time() * 1_000,
    ) -> None:
        check_at_least(1, keep_for_ms=keep_for_ms)
        self._keep_for_ms = keep_for_ms
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._lines: dict[str, JobProgress] = {}

    def write(self, lines: list[JobProgress]) -> None:
        """See `ProgressStore`."""
        with self._lock:
            now_ms = int(self._now_ms())
            self._forget_old_lines(now_ms)
            for latest in lines:
                kept = self._lines.pop(latest.message_id, None)
                newer = kept if kept is not None and kept.turn > latest.turn else None
                self._lines[latest.message_id] = newer or replace(latest, updated_at_ms=now_ms)

    def read(self, message_id: str) -> JobProgress | None:
        """See `ProgressStore`."""
        with self._lock:
            latest = self._lines.get(message_id)
            return latest if latest is not None and not self._is_old(latest, self._now_ms()) else None

    def _forget_old_lines(self, now_ms: float) -> None:
        for message_id in [each for each, latest in self._lines.items() if self._is_old(latest, now_ms)]:
            del self._lines[message_id]

    def _is_old(self, latest: JobProgress, now_ms: float) -> bool:
        return latest.updated_at_ms + self._keep_for_ms <= now_ms
