"""Writes records in batches from a thread of its own, so that whoever has one never waits for the store."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from ..base.background import Outage, PeriodicThread
from ..base.classification import is_retryable
from ..base.emit import emit_counter

#: Longest wait after a batch that could not be written, in seconds; it doubles from `every_s`.
MAX_WAIT_S = 30.0

T = TypeVar("T")

logger = logging.getLogger(__name__)


class BatchWriter(Generic[T]):
    """Takes records at any time from any thread, and writes them once a `every_s`, some at a time.

    A batch that cannot be written stays and is tried again. While the store is away records wait, up to
    `max_waiting`; then new ones are dropped and counted, and nobody ever waits. An error that says
    `retryable = False` is about a record: then each of the batch is written alone, and those refused are dropped.
    So `write` has to take the same record twice without harm.

    Parameters:
      write: Writes a batch, oldest first.
      name: Names the thread and the metrics: `<name>_dropped_total` by cause, `<name>_writes_failed_total`.
      every_s: Seconds between two batches.
      batch_size: Records in one at most.
      max_waiting: Records that may wait.

    Example:
      >>> writer = BatchWriter(store.record, name="history", every_s=1.0, batch_size=100, max_waiting=10_000)
      >>> writer.start()
      >>> writer.put(record)
      >>> writer.stop(timeout_s=5.0)
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], None],
        *,
        name: str,
        every_s: float,
        batch_size: int,
        max_waiting: int,
    ) -> None:
        self._write = write
        self._name = name
        self._batch_size = batch_size
        self._max_waiting = max_waiting
        # A deque's own operations are atomic: an interrupt that lands in a job's hook leaves no lock taken.
        self._waiting: deque[T] = deque()
        self._batch: list[T] = []
        self._outage = Outage(
            logger,
            "The %s cannot be written: %s",
            "The %s is written again.",
            name,
            counter=f"{name}_writes_failed_total",
        )
        self._thread = PeriodicThread(
            name, self._flush, every_s, last_run=True, max_wait_s=MAX_WAIT_S, outage=self._outage
        )

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, record: T) -> None:
        """Have a record written soon; it is dropped when too many wait already."""
        if len(self._waiting) + len(self._batch) >= self._max_waiting:
            self._drop(1, "full")
        else:
            self._waiting.append(record)

    def stop(self, *, timeout_s: float) -> bool:
        """Write what waits, end, and return whether all was written; what was not in time is dropped and counted.

        Parameters:
          timeout_s: How long to wait for that, in seconds.
        """
        self._thread.stop(timeout_s)
        lost = len(self._waiting) + len(self._batch)
        if lost:
            logger.error("%d records of the %s were not written before the end.", lost, self._name)
            self._drop(lost, "shutdown")
        return not lost

    def _flush(self) -> None:
        while True:
            while len(self._batch) < self._batch_size and self._waiting:
                self._batch.append(self._waiting.popleft())
            if not self._batch:
                return
            # When this raises, the batch is kept and tried again.
            self._write_or_sift(self._batch)
            self._batch = []

    def _write_or_sift(self, records: Sequence[T]) -> None:
        try:
            self._write(records)
        except Exception as error:
            if is_retryable(error):
                raise
            if len(records) == 1:
                self._drop(1, "refused")
                self._outage.failed(error)
                return
            for record in records:
                self._write_or_sift([record])

    def _drop(self, count: int, cause: str) -> None:
        emit_counter(f"{self._name}_dropped_total", {"cause": cause}, by=count)
