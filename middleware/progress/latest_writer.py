"""Writes in the background what changes often and is read seldom: the last value of each key, a few times a second."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

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
        if not interval_s > 0:
            raise ValueError(f"interval_s must be more than 0, not {interval_s}")
        self._write = write
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: dict[str, T] = {}
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False

    def put(self, key: str, value: T) -> None:
        """Write this value of this key soon, unless another comes first."""
        with self._lock:
            self._waiting[key] = value
            self._bound()
            # After a fork the object is here and its thread is not.
            if self._thread is None or not self._thread.is_alive():
                self._stopping = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stopping,), name="pressroom-progress", daemon=True
                )
                self._thread.start()
            self._news.set()

    def flush(self) -> bool:
        """Write everything now, in the caller's thread; whether that worked. What fails is kept."""
        with self._writing:
            # Taken once: what is put meanwhile waits for the next time, however talkative a job is.
            waiting = self._take()
            while waiting:
                batch = {key: waiting[key] for key in list(waiting)[:BATCH_SIZE]}
                try:
                    self._write(list(batch.values()))
                except Exception as error:  # noqa: BLE001  # whoever put it has long gone on
                    self._keep(waiting, error)
                    return False
                for key in batch:
                    del waiting[key]
            if self._failing:
                self._failing = False
                logger.info("Progress is written again.")
            return True

    def close(self, *, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
        """Write what waits and stop; fine when nothing was ever put.

        Parameters:
            timeout_s: how long to wait for that, in seconds. Default 15.

        Returns:
            Whether everything was written.
        """
        with self._lock:
            thread, self._thread = self._thread, None
            self._stopping.set()
            self._news.set()
        if thread is not None:
            thread.join(timeout_s)
        with self._lock:
            return not self._waiting and not (thread is not None and thread.is_alive())

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self._news.wait()
            self._news.clear()
            if not self.flush():
                self._news.set()
            stopping.wait(self._interval_s)
        # In this thread: whoever closes waits for it no longer than it wants to.
        self.flush()

    def _take(self) -> dict[str, T]:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            return waiting

    def _keep(self, waiting: dict[str, T], error: Exception) -> None:
        with self._lock:
            # What was put meanwhile is newer.
            self._waiting = {**waiting, **self._waiting}
            self._bound()
        if not self._failing:
            self._failing = True
            logger.warning("Progress cannot be written (%s); the last of it is kept.", type(error).__name__)

    def _bound(self) -> None:
        while len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
            emit_counter("progress_lines_dropped_total")
