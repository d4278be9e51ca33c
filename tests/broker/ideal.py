"""The ideal that fair shares are measured by: generalised processor sharing, and first in, first out beside it."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping


class Ideal:
    """Shares work by weight among all orgs that have some left, in pieces as small as one likes.

    Parameters:
        weight_of: an org's weight.
    """

    def __init__(self, weight_of: Callable[[str], float]) -> None:
        self._weight_of = weight_of
        self.left: Counter[str] = Counter()
        #: What each org was served, in milliseconds.
        self.served: Mapping[str, float] = defaultdict(float)

    def add(self, org: str, ms: float) -> None:
        """An org has so much more work."""
        self.left[org] += ms  # type: ignore[assignment]

    def serve(self, work_ms: float, may_run: Callable[[str], bool]) -> None:
        """Share so much work among those who may run."""
        while work_ms > 1e-9:
            busy = {org: self._weight_of(org) for org, ms in self.left.items() if ms > 1e-9 and may_run(org)}
            if not busy:
                return
            total = sum(busy.values())
            time = min(work_ms / total, min(self.left[org] / weight for org, weight in busy.items()))
            for org, weight in busy.items():
                self.left[org] -= time * weight  # type: ignore[assignment]
                self.served[org] += time * weight  # type: ignore[index]
            work_ms -= time * total


def first_in_first_out(jobs: list[tuple[float, float]], threads: int) -> list[float]:
    """How long each job would wait if all ran in the order of their coming.

    Parameters:
        jobs: when each comes and what it takes, in this order.
        threads: how many run at once.
    """
    free = [0.0] * threads
    waits = []
    for came_ms, takes_ms in jobs:
        start_ms = max(came_ms, heapq.heappop(free))
        heapq.heappush(free, start_ms + takes_ms)
        waits.append(start_ms - came_ms)
    return waits
