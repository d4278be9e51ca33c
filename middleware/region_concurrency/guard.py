"""Region concurrency: a process takes less on when its jobs fail or its backlog grows."""

from collections.abc import Callable
from typing import Any

from dramatiq import Actor, Broker, Message
from dramatiq.broker import MessageProxy

from ..base.emit import emit_counter, emit_gauge
from ..base.errors import Parked
from ..base.guard import Guard, OnError, Option, Outcome, Position
from .adaptive_limit import DEFAULT_MAX_ERROR_RATE, DEFAULT_STALE_AFTER_S, AdaptiveConcurrency

#: Label of a process that serves the one region there is.
ONE_REGION = "default"
#: How long a thread waits for a place before it parks the message, and for how long, in milliseconds.
DEFAULT_HOLD_MS = 5_000
DEFAULT_PARK_MS = 1_000


class RegionConcurrency(Guard[str]):
    """Runs fewer jobs at once in a process whose jobs fail, or behind which many wait.

    Without it a worker whose region's database is struggling keeps hitting it with every thread it has. With it
    the process runs half as many jobs while more than a tenth of them fail, three quarters while its backlog is
    more than twice its places, and all again when that is over. Jobs are held before they start, and parked
    uncharged when that takes long; none is ever failed for it. A message that runs here already, and is delivered
    again, is parked too.

    A region's queue is named `<queue>.<region>`: the guard declares it for its own region beside every queue, and
    `in_region` puts a message on another region's. Everything is counted per process and costs no round trip.

    Metrics, labelled with the region: `region_worker_processed_total`, `_errors_total`, `_error_rate`,
    `_concurrency`, `_in_flight`, `_backpressure`, `_job_started`, `_job_completed`, `_job_failed`,
    `_duplicate_job_rejected`, `_stale_job_cleaned`.

    Parameters:
      region: What this process serves. Default None: the one region there is.
      max_concurrency: Most jobs at once. Default 10.
      max_error_rate: Share of failures above which it is halved. Default 0.1.
      stale_after_s: Seconds after which a job's place is given to another. Default 600.
      backlog: How many jobs wait. Default: the threads of this process that wait for a place.
      hold_ms: How long a thread waits for a place before it parks the message. Default 5,000.
      park_ms: For how long it parks it. Default 1,000.
      on_error: As for every guard.

    Example:
      >>> broker.add_middleware(RegionConcurrency(region="eu", max_concurrency=20))
      >>> broker.enqueue(in_region(resize.message(job), "us"))
    """

    position = Position.THROTTLE
    message_options = (Option("region", "caller"),)

    def __init__(
        self,
        *,
        region: str | None = None,
        max_concurrency: int = 10,
        max_error_rate: float = DEFAULT_MAX_ERROR_RATE,
        stale_after_s: float = DEFAULT_STALE_AFTER_S,
        backlog: Callable[[], int] | None = None,
        hold_ms: int = DEFAULT_HOLD_MS,
        park_ms: int = DEFAULT_PARK_MS,
        on_error: OnError = "park",
    ) -> None:
        super().__init__(on_error=on_error)
        if hold_ms < 0 or park_ms < 1:
            raise ValueError(f"hold_ms must be at least 0 and park_ms at least 1, not {hold_ms}, {park_ms}")
        if region is not None and not region.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"region is part of queue names: letters, digits, - and _ only, not {region!r}")
        self.region = region
        self.slots = AdaptiveConcurrency(
            max_concurrency=max_concurrency,
            max_error_rate=max_error_rate,
            stale_after_s=stale_after_s,
            backlog=backlog,
        )
        self._hold_s = hold_ms / 1_000
        self._park_ms = park_ms
        self._labels = {"region": region or ONE_REGION}

    def after_declare_actor(self, broker: Broker, actor: "Actor[..., Any]") -> None:
        if self.region is not None:
            broker.declare_queue(f"{actor.queue_name}.{self.region}")

    def admit(self, broker: Broker, message: MessageProxy) -> str:
        for _ in self.slots.clean_stale():
            emit_counter("region_worker_stale_job_cleaned", self._labels)
        if self.slots.running(message.message_id):
            emit_counter("region_worker_duplicate_job_rejected", self._labels)
            raise Parked("this very message runs here already", delay_ms=self._park_ms, key="region")
        if not self.slots.enter(message.message_id, timeout_s=self._hold_s):
            # Said here too: while every place is held by long jobs nothing else would.
            self._emit_load()
            raise Parked("the process has no free place", delay_ms=self._park_ms, key="region")
        emit_counter("region_worker_job_started", self._labels)
        self._emit_load()
        return message.message_id

    def settle(self, broker: Broker, message: MessageProxy, held: str, outcome: Outcome) -> None:
        ran = not (outcome.skipped or outcome.parked)
        self.slots.leave(held, failed=not outcome.succeeded if ran else None)
        if ran:
            emit_counter("region_worker_processed_total", self._labels)
            if outcome.succeeded:
                emit_counter("region_worker_job_completed", self._labels)
            else:
                emit_counter("region_worker_errors_total", self._labels)
                emit_counter("region_worker_job_failed", self._labels)
        self._emit_load()

    def _emit_load(self) -> None:
        load = self.slots.load()
        emit_gauge("region_worker_error_rate", load.error_rate, self._labels)
        emit_gauge("region_worker_concurrency", load.limit, self._labels)
        emit_gauge("region_worker_in_flight", load.in_flight, self._labels)
        emit_gauge("region_worker_backpressure", float(load.backpressure), self._labels)


def in_region(message: "Message[Any]", region: str | None) -> "Message[Any]":
    """Return the message on its region's queue; as it is when there is one region, or when it is there already.

    Parameters:
      message: Not enqueued yet.
      region: Where it is to run; None for the one region there is.

    Example:
      >>> in_region(resize.message(job), "eu").queue_name
      'default.eu'
    """
    if region is None or message.queue_name.endswith(f".{region}"):
        return message
    return message.copy(queue_name=f"{message.queue_name}.{region}", options={"region": region})
