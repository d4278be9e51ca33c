"""The line inside a worker: what was fetched ahead of one org does not hold up what came later of another."""

import heapq
from itertools import count
from queue import PriorityQueue
from typing import Any

from .leases import LeasedMessage


class FairLine(PriorityQueue[Any]):
    """Takes the place of the worker's own queue: fair by org, and first in, first out within one.

    Each item stands where the server's order would have it: start-time fair queueing, by what its org was charged for
    it (see `lua/parts/picking.lua`). An item that belongs to no lease stands as if it were an org's of its own.
    """

    def _init(self, maxsize: int) -> None:
        self.queue: list[Any] = []
        self._ends: dict[str | None, float] = {}
        self._now = 0.0
        self._numbers = count()

    def _put(self, item: Any) -> None:
        message = item.message
        lease = message.lease if isinstance(message, LeasedMessage) else None
        org, cost = (None, 1.0) if lease is None else (lease.org, lease.charged_ms)
        start = max(self._now, self._ends.get(org, 0.0))
        self._ends[org] = start + cost
        heapq.heappush(self.queue, (start, next(self._numbers), item))

    def _get(self) -> Any:
        self._now, _, item = heapq.heappop(self.queue)
        if not self.queue:
            self._ends.clear()
        return item
