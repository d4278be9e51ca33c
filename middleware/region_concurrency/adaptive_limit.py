"""How many jobs one process should run at once, by how they end and how many wait."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

#: Above this share of failures a process runs half as many jobs (seed row 13).
DEFAULT_MAX_ERROR_RATE = 0.1
#: Counters start anew after so many jobs, or so many seconds.
RESET_AFTER_JOBS = 100_000
RESET_AFTER_S = 3_600.0
#: A job that has run for so many seconds no longer holds its place.
DEFAULT_STALE_AFTER_S = 600.0
#: Failures among fewer jobs than this say nothing yet.
MIN_SAMPLE = 10


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a process has in hand."""

    in_flight: int
    limit: int
    error_rate: float
    #: Whether fewer jobs run than the most that might.
    backpressure: bool


@dataclass
class AdaptiveConcurrency:
    """Places for jobs: `max_concurrency` of them, fewer under failures or a long backlog, never none.

    Half of them when more than `max_error_rate` of the jobs fail; three quarters when more than twice
    `max_concurrency` wait. Safe to use from any thread; nothing is called with the lock held.

    Parameters:
      max_concurrency: Most places. Default 10.
      max_error_rate: Share of failures, 0 to 1. Default 0.1.
      stale_after_s: Seconds after which a job's place is given to another. Default 600.
      backlog: How many jobs wait. Default: the threads that wait for a place here.
      monotonic: Seconds on a clock that never goes back.

    Example:
      >>> places = AdaptiveConcurrency(max_concurrency=4)
      >>> places.enter("job-1", timeout_s=1)
      True
      >>> places.leave("job-1", failed=False)
    """

    max_concurrency: int = 10
    max_error_rate: float = DEFAULT_MAX_ERROR_RATE
    stale_after_s: float = DEFAULT_STALE_AFTER_S
    backlog: Callable[[], int] | None = None
    monotonic: Callable[[], float] = time.monotonic
    _begun: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _waiting: int = field(default=0, init=False, repr=False)
    _done: int = field(default=0, init=False, repr=False)
    _failed: int = field(default=0, init=False, repr=False)
    _since: float = field(default=0.0, init=False, repr=False)
    _changed: threading.Condition = field(default_factory=threading.Condition, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.max_concurrency < 1:
            raise ValueError(f"max_concurrency must be at least 1, not {self.max_concurrency}")
        if not 0 <= self.max_error_rate <= 1:
            raise ValueError(f"max_error_rate is a share from 0 to 1, not {self.max_error_rate}")
        if self.stale_after_s <= 0:
            raise ValueError(f"stale_after_s must be above 0, not {self.stale_after_s}")
        self._since = self.monotonic()

    def running(self, job_id: str) -> bool:
        """True if this very job has a place already."""
        with self._changed:
            return job_id in self._begun

    def enter(self, job_id: str, *, timeout_s: float) -> bool:
        """Take a place, waiting for one up to `timeout_s`; whether there was one."""
        with self._changed:
            self._waiting += 1
        try:
            deadline = self.monotonic() + timeout_s
            while True:
                backlog = self._backlog()
                with self._changed:
                    if len(self._begun) < self._limit(backlog):
                        self._begun[job_id] = self.monotonic()
                        return True
                    if not self._changed.wait(deadline - self.monotonic()):
                        return False
        finally:
            with self._changed:
                self._waiting -= 1

    def leave(self, job_id: str, *, failed: bool | None) -> None:
        """Give a place back; None for a job that did not really run, and counts neither way."""
        with self._changed:
            self._begun.pop(job_id, None)
            if failed is not None:
                self._done += 1
                self._failed += failed
                if self._done >= RESET_AFTER_JOBS or self.monotonic() - self._since >= RESET_AFTER_S:
                    self._done = self._failed = 0
                    self._since = self.monotonic()
            self._changed.notify_all()

    def clean_stale(self) -> list[str]:
        """Give the places of jobs that run for too long to others; those jobs' ids."""
        with self._changed:
            oldest = self.monotonic() - self.stale_after_s
            stale = [job_id for job_id, begun in self._begun.items() if begun <= oldest]
            for job_id in stale:
                del self._begun[job_id]
            if stale:
                self._changed.notify_all()
            return stale

    def load(self) -> Load:
        """What is in hand now."""
        backlog = self._backlog()
        with self._changed:
            limit = self._limit(backlog)
            return Load(
                in_flight=len(self._begun),
                limit=limit,
                error_rate=self._error_rate(),
                backpressure=limit < self.max_concurrency,
            )

    def _backlog(self) -> int:
        return self._waiting if self.backlog is None else self.backlog()

    def _limit(self, backlog: int) -> int:
        if self._error_rate() > self.max_error_rate:
            return max(1, self.max_concurrency // 2)
        if backlog > 2 * self.max_concurrency:
            return max(1, self.max_concurrency * 3 // 4)
        return self.max_concurrency

    def _error_rate(self) -> float:
        return self._failed / self._done if self._done >= MIN_SAMPLE else 0.0
