"""Progress: what every job is doing, readable from anywhere, at no cost to the job."""

import threading
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from dramatiq import Broker, Worker
from dramatiq.broker import MessageProxy
from dramatiq.common import q_name

from ..base.attempts import Attempt, AttemptOutcome
from ..base.observer import Observer, Option, Position
from .latest_writer import CLOSE_TIMEOUT_S, DEFAULT_INTERVAL_S, ProgressWriter

#: The longest note that is kept, in characters; of a longer one the beginning is.
MAX_NOTE_CHARS = 200

#: How often the message has been admitted, in its options: a late write of one turn never covers a later turn's.
TURN = "progress_turn"

#: What may be known of a job: `parked` comes back later, be it parked or waiting for its next attempt; `skipped` is
#: done without running.
ProgressState = Literal["running", "parked", "done", "failed", "cancelled", "skipped"]

#: What an attempt's outcome makes of its message.
_STATES: dict[AttemptOutcome, ProgressState] = {
    "running": "running",
    "succeeded": "done",
    "failed": "failed",
    "expired": "failed",
    "died": "failed",
    "retried": "parked",
    "parked": "parked",
    "cancelled": "cancelled",
    "skipped": "skipped",
}

#: Outcomes after which the message comes back.
_COME_BACK = ("retried", "parked")


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """The last that is known of one message."""

    message_id: str
    #: What the message carries as option `org`.
    org: str | None
    actor: str
    queue: str
    state: ProgressState
    #: 0 to 100.
    percent: int = 0
    note: str = ""
    #: Attempts that were begun and charged, this one included.
    attempts: int = 1
    #: Why it failed last, as a category; None when it did not.
    category: str | None = None
    turn: int = 0
    #: When this was written, epoch milliseconds by the store's clock. Set by the store.
    updated_at_ms: int = 0

    @property
    def updated_at(self) -> datetime:
        """Return when this was written."""
        return datetime.fromtimestamp(self.updated_at_ms / 1_000, UTC)


class ProgressStore(Protocol):
    """Keeps the last line of each message for a day. Both methods may raise `StoreUnavailable`."""

    def write(self, lines: "list[JobProgress]") -> None:
        """Keep these, each unless a line of a later turn is kept; in one round trip."""

    def read(self, message_id: str) -> JobProgress | None:
        """Return the last line of a message; None when none is kept."""


class ProgressReader:
    """Reads what jobs are doing, from anywhere.

    Parameters:
      store: Where the workers' guard `Progress` writes.

    Example:
      >>> ProgressReader(RedisProgressStore(client)).read(message.message_id).percent
      40
    """

    def __init__(self, store: ProgressStore) -> None:
        self._store = store

    def read(self, message_id: str, *, org: str | None = None) -> JobProgress | None:
        """Return the last that is known of a message, at most about a quarter of a second old.

        Parameters:
            message_id: the message's.
            org: whose it must be; another org's message is as unknown as one that never was. Default anybody's.

        Returns:
            None before its first attempt, and a day after the last news.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        latest = self._store.read(message_id)
        return None if latest is not None and org not in (None, latest.org) else latest


class Progress(Observer):
    """Keeps a line for every message: its state, how far it is and what it is doing.

    Without it whoever waits for a job sees nothing until it is over. With it a job says `progress(40, "images")` as
    often as it likes.

    Nothing is written in the job's time: lines go to a background thread, which writes what changed at most four
    times a second, all messages of the process in one round trip, the last value always. A store that is away costs
    nothing but old news: the last lines are kept and written when it is back. A worker that stops writes first.

    Parameters:
      store: Where lines are kept.
      interval_s: Seconds between two writes. Default 0.25.
      shutdown_timeout_s: How long a worker that stops waits for the last writes, in seconds. Default 15.

    Example:
      >>> broker.add_middleware(Progress(RedisProgressStore(client)))
      >>> @dramatiq.actor
      ... def export(rows):
      ...     for number, row in enumerate(rows):
      ...         progress(100 * number / len(rows), "writing rows")
      ...         write(row)
    """

    position = Position.REPORT
    message_options = (Option(TURN, "life"),)

    def __init__(
        self,
        store: ProgressStore,
        *,
        interval_s: float = DEFAULT_INTERVAL_S,
        shutdown_timeout_s: float = CLOSE_TIMEOUT_S,
    ) -> None:
        super().__init__()
        self._shutdown_timeout_s = shutdown_timeout_s
        #: Whether the last stop wrote everything.
        self.flushed = True
        self._writer = ProgressWriter(store.write, interval_s=interval_s)

    def began(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        message.options[TURN] = _turn(message) + 1
        tracker = self._tracker(message, attempt)
        _current.set(tracker)
        tracker.update(state="running")

    def processed(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        _current.set(None)

    def ended(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        # A message that a guard before this one parked or skipped has news too, and no tracker yet.
        tracker = self._tracker(message, attempt)
        news: dict[str, Any] = {
            "state": _STATES[attempt.outcome or "died"],
            "category": attempt.error_category,
        }
        if attempt.outcome == "succeeded":
            news["percent"] = 100
        if attempt.outcome not in _COME_BACK:
            # One turn on: nothing comes after this, and a write of the turn before may still be under way.
            news["turn"] = _turn(message) + 1
        tracker.end(**news)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self.flushed = self._writer.close(timeout_s=self._shutdown_timeout_s)

    def _tracker(self, message: MessageProxy, attempt: Attempt) -> "_Tracker":
        tracker: _Tracker = attempt.kept.setdefault(id(self), _Tracker(_first_row(message), self._writer))
        return tracker


def progress(percent: float, note: str = "") -> None:
    """Report how far the job that calls is, and what it does. Costs no round trip; outside a job it does nothing.

    Parameters:
        percent: 0 to 100; what is beyond is brought back.
        note: for people, of at most 200 characters; the rest is cut off. It is shown: no secrets, nobody's data.

    Example:
        >>> progress(40, "images")
    """
    tracker = _current.get()
    if tracker is not None:
        within = max(0, min(100, int(percent)))
        tracker.update(percent=within, note=note[:MAX_NOTE_CHARS])


class _Tracker:
    """The line of one attempt, until it is over; threads that the job started may hold it for longer."""

    def __init__(self, latest: JobProgress, writer: ProgressWriter[JobProgress]) -> None:
        self._lock = threading.Lock()
        self._latest = latest
        self._writer = writer
        self._over = False

    def update(self, **news: Any) -> None:
        with self._lock:
            if not self._over:
                self._latest = replace(self._latest, **news)
                self._writer.put(self._latest.message_id, self._latest)

    def end(self, **news: Any) -> None:
        self.update(**news)
        with self._lock:
            self._over = True


_current: ContextVar[_Tracker | None] = ContextVar("pressroom_progress", default=None)


def _turn(message: MessageProxy) -> int:
    return int(message.options.get(TURN, 0))


def _first_row(message: MessageProxy) -> JobProgress:
    org = message.options.get("org")
    return JobProgress(
        message_id=message.message_id,
        org=None if org is None else str(org),
        actor=message.actor_name,
        queue=q_name(message.queue_name),
        state="running",
        attempts=int(message.options.get("retries", 0)) + 1,
        turn=_turn(message),
    )
