"""What has to be put right in Dramatiq's worker: its memory of fetched messages, and its threads."""

import heapq
import logging
from itertools import count
from queue import PriorityQueue
from typing import Any

from dramatiq import Worker
from dramatiq.common import iter_queue

from .lease import LeasedMessage

logger = logging.getLogger(__name__)


def drop_ended(worker: Worker) -> None:
    """Take what is not ours any more out of the worker's memory."""
    for item in list(iter_queue(worker.work_queue)):  # type: ignore[no-untyped-call]
        lease = getattr(item.message, "lease", None)
        if lease is None or lease.outcome is None:
            worker.work_queue.put(item)
        worker.work_queue.task_done()


def replace_dead_threads(worker: Worker) -> None:
    """Start a thread for each that died: an interrupt inside an ack ends one, and nobody else would notice."""
    for thread in [each for each in worker.workers if not each.is_alive() and each.running]:
        worker.workers.remove(thread)
        worker._add_worker()
        logger.warning("A worker thread had died; another one works in its place.")


class FairWorkQueue(PriorityQueue[Any]):
    """Takes the place of the worker's own queue: fair by queue and org, and first in, first out within one.

    Each item stands where the server's order would have it: start-time fair queueing, by what its org was charged for
    it (see `lua/parts/selection.lua`), in each queue apart. An item that belongs to no lease stands as if it were an
    org's of its own.

    It has no bound, and so nobody waits to put: `put` and `get` are those of the standard library without that, which
    are called for each message.
    """

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item, and wake a thread that waits for one; never blocks."""
        with self.mutex:
            self._put(item)
            self.unfinished_tasks += 1
            self.not_empty.notify()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Remove and return the next item; as the standard library's where there is none yet."""
        with self.mutex:
            if self.queue:
                return self._get()
        return super().get(block, timeout)

    def _init(self, maxsize: int) -> None:
        self.queue: list[Any] = []
        self._ends: dict[tuple[str, str] | None, float] = {}
        self._now = 0.0
        self._numbers = count()

    def _put(self, item: Any) -> None:
        message = item.message
        lease = message.lease if isinstance(message, LeasedMessage) else None
        flow, cost = (None, 1.0) if lease is None else ((lease.queue, lease.org), lease.charged_ms)
        start = max(self._now, self._ends.get(flow, 0.0))
        self._ends[flow] = start + cost
        heapq.heappush(self.queue, (start, next(self._numbers), item))

    def _get(self) -> Any:
        self._now, _, item = heapq.heappop(self.queue)
        if not self.queue:
            self._ends.clear()
        return item
