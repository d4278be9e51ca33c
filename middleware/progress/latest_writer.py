"""Writes in the background what changes often and is read seldom: the last value of each key, a few times a second."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from ..base.background import Outage, PeriodicThread
from ..base.bounds import check_positive
from ..base.emit import emit_counter

#: Seconds between two writes: at most four a second.
DEFAULT_INTERVAL_S = 0.25

#: Lines that wait at most while the store is away; the oldest give way.
MAX_WAITING = 10_000

#: Lines that are written in one round trip at most.
BATCH_SIZE = 200

#: How long closing waits for the last writes, in seconds.
CLOSE_TIMEOUT_S = 15.0

logger = logging.getLogger(__name__)

T = TypeVar("T")


class ProgressWriter(Generic[T]):
    """Takes values at once and writes the last of each key later, on a thread that starts with the first.

    Parameters:
      write: Writes some values in one round trip; may raise.
      interval_s: Seconds between two writes, at least. Default 0.25.

    Example:
      >>> writer = ProgressWriter(store.write)
      >>> writer.put("m1", line)
    """

    def __init__(self, write: Callable[[list[T]], None], *, interval_s: float = DEFAULT_INTERVAL_S) -> None:
        check_positive(interval_s=interval_s)
        self._write = write
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: dict[str, T] = {}
        self._thread = PeriodicThread(
            "progress",
            self.flush,
            interval_s,
            at_once=True,
            last_run=True,
            outage=Outage(
                logger,
                "Progress cannot be written (%s); the last of it is kept.",
                "Progress is written again.",
            ),
        )

    def put(self, key: str, value: T) -> None:
        """Write this value of this key soon, unless another comes first."""
        with self._lock:
            self._waiting[key] = value
            self._bound()
            self._thread.start()

    def flush(self) -> None:
        """Write everything that waits, in the caller's thread.

        Raises:
            Exception: what the write raised. What is not written is kept, unless something newer was put.
        """
        with self._writing:
            # Taken once: what is put meanwhile waits for the next time, however talkative a job is.
            waiting = self._take()
            try:
                while waiting:
                    batch = {key: waiting[key] for key in list(waiting)[:BATCH_SIZE]}
                    self._write(list(batch.values()))
                    for key in batch:
                        del waiting[key]
            finally:
                self._keep(waiting)

    def close(self, *, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
        """Write what waits and stop; fine when nothing was ever put.

        Parameters:
            timeout_s: how long to wait for that, in seconds. Default 15.

        Returns:
            Whether everything was written.
        """
        # The thread writes last: whoever closes waits for it no longer than it wants to.
        in_time = self._thread.stop(timeout_s)
        with self._lock:
            return in_time and not self._waiting

    def _take(self) -> dict[str, T]:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            return waiting

    def _keep(self, waiting: dict[str, T]) -> None:
        with self._lock:
            # What was put meanwhile is newer.
            self._waiting = {**waiting, **self._waiting}
            self._bound()

    def _bound(self) -> None:
        while len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
            emit_counter("progress_lines_dropped_total")
