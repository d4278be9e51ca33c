"""Requests to cancel, in this process's memory."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from .requests import CancelRequest, Changes


class MemoryCancellationStore:
    """Keeps requests to cancel for this process alone.

    Parameters:
      now_ms: The time as epoch milliseconds; for tests. Default the system's.

    Example:
      >>> broker.add_middleware(Cancellation(MemoryCancellationStore()))
    """

    def __init__(self, *, now_ms: Callable[[], float] = lambda: time.time() * 1_000) -> None:
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._version = 0
        #: By id: the version that it was changed in last, when it ends, and itself.
        self._kept: dict[str, tuple[int, float, CancelRequest]] = {}

    def add(self, request: CancelRequest) -> None:
        """See `CancellationStore`."""
        with self._lock:
            now_ms = self._now_ms()
            self._kept = {each: kept for each, kept in self._kept.items() if kept[1] > now_ms}
            self._keep(replace(request, requested_at_ms=int(now_ms)), now_ms + request.keep_for_ms)

    def withdraw(self, request_id: str) -> bool:
        """See `CancellationStore`."""
        with self._lock:
            _, end_ms, request = self._kept.get(request_id, (0, 0.0, None))
            if request is None or request.withdrawn or end_ms <= self._now_ms():
                return False
            self._keep(replace(request, withdrawn=True), end_ms)
            return True

    def changes(self, since: int) -> Changes:
        """See `CancellationStore`."""
        with self._lock:
            now_ms = self._now_ms()
            newer = [
                replace(request, keep_for_ms=int(end_ms - now_ms))
                for version, end_ms, request in self._kept.values()
                if version > since and end_ms > now_ms
            ]
            return Changes(version=max(since, self._version), requests=newer)

    def _keep(self, request: CancelRequest, end_ms: float) -> None:
        self._version += 1
        # Taken out first, so that values stay in the order of their versions.
        self._kept.pop(request.request_id, None)
        self._kept[request.request_id] = (self._version, end_ms, request)
