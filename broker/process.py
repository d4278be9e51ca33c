"""What one process has leased, over all its queues: one budget, one list of finished messages, one thread.

Worker threads may be interrupted between any two lines of Python. Whatever they do here is therefore one atomic step
on a deque, a dictionary or a `SimpleQueue`; nothing they run takes a lock. What an interrupt leaves half done is found
by the thread's next look.
"""

import logging
import math
import threading
import time
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple
from uuid import uuid4

import redis
from dramatiq import Worker
from dramatiq.common import iter_queue
from dramatiq.errors import BrokerError

from .keys import split_record
from .leases import BACK, LOST, Lease
from .scripts import Argument, Script

#: A finished message waits this long for a fetch to go with, in seconds.
FLUSH_S = 0.005
#: Fetched ahead is what the threads finish in this time, in milliseconds, and never more than so many messages.
AHEAD_MS = 20
MOST_AHEAD = 128
#: What was fetched and not begun goes back after this many seconds.
UNSTARTED_S = 1.0
#: Seconds between two looks, and between two beats of a process that says nothing else.
LOOK_S = 1.0

#: Most leases ended by one call.
_PORTION = 256
_SMOOTHING = 0.02
_FIRST_GUESS_MS = 10.0

_FETCH = Script("fetch")
_FINISH = Script("finish")
_RECONCILE = Script("reconcile")
_LEAVE = Script("leave")

logger = logging.getLogger(__name__)


class Fetched(NamedTuple):
    """What a fetch brought."""

    leases: list[tuple[Lease, bytes]]
    #: Whether there may be more right away.
    more: bool
    #: Seconds until a delayed message of the queue is due; infinite when there is none.
    due_s: float


class Process:
    """One incarnation of a worker process: it lives from its first `consume` until its worker is shut down.

    Parameters:
        client: A client that never sends a command twice by itself.
        base: The shard's base key.
        heartbeat_timeout_ms: After so long a silence others take its leases.
        dead_ttl_ms: How long dead letters are kept.
        worker: Dramatiq's worker; None where somebody consumes by hand.
    """

    def __init__(
        self,
        client: "redis.Redis",
        base: str,
        *,
        heartbeat_timeout_ms: int,
        dead_ttl_ms: int,
        worker: Worker | None,
    ) -> None:
        self.wid = uuid4().hex
        self.worker = worker
        self.stopping = False
        #: How many finishes were refused, because the lease was somebody else's by then.
        self.refused = 0
        self._client = client
        self._base = base
        self._beat_s = min(LOOK_S, heartbeat_timeout_ms / 5_000)
        # Found within the time-out, although a beat may have come just before the end.
        self._silent_s = heartbeat_timeout_ms / 1_000 - self._beat_s
        self._head: tuple[Argument, ...] = (self.wid, int(self._silent_s * 1_000), dead_ttl_ms)
        self._threads = worker.worker_threads if worker else 1
        self._leases: dict[str, Lease] = {}
        self._unstarted: dict[str, Lease] = {}
        self._finished: deque[Lease] = deque()
        self._running: dict[int, str] = {}
        self._spent: dict[int, SimpleQueue[None]] = {}
        self._mean_ms = _FIRST_GUESS_MS
        self._stuck = False
        self._calls = threading.Lock()
        self._unsure = False
        self._known = False
        self._heard_s = time.monotonic()
        self._signals: SimpleQueue[None] = SimpleQueue()
        self._flagged = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="pressroom-broker", daemon=True)
        self._thread.start()

    def allow(self, prefetch: int) -> None:
        """Without a worker, a consumer may hold what it asked for."""
        if self.worker is None:
            self._threads = max(self._threads, prefetch)

    def room(self) -> int:
        """How many messages may be fetched now; 0 while fetching would be for too few."""
        ahead = self._ahead()
        free = self._threads + ahead - (len(self._leases) - len(self._finished))
        return free if free >= max(1, ahead // 2) else 0

    def wait_for_room(self, signals: "SimpleQueue[None]", timeout_s: float) -> bool:
        """Whether there is room, before the time is over."""
        self._spent[id(signals)] = signals
        try:
            if self.room():
                return True
            with suppress(Empty):
                signals.get(timeout=timeout_s)
            return bool(self.room())
        finally:
            self._spent.pop(id(signals), None)

    def fetch(self, queue: str) -> Fetched:
        """Lease what is next, and say what is finished.

        Raises:
            ConnectionClosed: the server does not answer; what it may have leased is given back later.
        """
        with self._calls:
            self._reconcile()
            room, batch = self.room(), self._take_finished()
            arguments = [*self._head, len(batch), *_records(batch), queue, room]
            reply = self._call(_FETCH, arguments, batch)
            fetched = []
            for at in range(3, len(reply), 3):
                mid, token = reply[at].decode(), reply[at + 1].decode()
                where, org, lane, body = split_record(reply[at + 2])
                lease = Lease(mid, token, where, org, lane)
                self._unstarted[mid] = self._leases[mid] = lease
                fetched.append((lease, body))
        self._offer_room()
        return Fetched(fetched, len(fetched) >= room, math.inf if reply[2] < 0 else reply[2] / 1_000)

    def begin(self, lease: Lease) -> bool:
        """Whether the lease is still ours, and its job may begin."""
        lease.thread = threading.get_ident()
        if time.monotonic() - self._heard_s > self._silent_s:
            # The process may have been frozen for so long that others took over.
            with suppress(BrokerError):
                self.flush(beat=True)
        if self._unstarted.pop(lease.mid, None) is None:
            return False
        self._running[lease.thread] = lease.mid
        lease.began_s = time.monotonic()
        return True

    def end(self, lease: Lease, outcome: str) -> None:
        """Remember what became of a message; it is told with the next fetch, or in a few milliseconds."""
        if lease.outcome is not None:
            return
        lease.done_s = time.monotonic()
        lease.outcome = outcome
        self._unstarted.pop(lease.mid, None)
        if lease.began_s is not None:
            self._stuck = False
            self._mean_ms += ((lease.done_s - lease.began_s) * 1_000 - self._mean_ms) * _SMOOTHING
        self._finished.append(lease)
        if not self._flagged:
            self._flagged = True
            self._signals.put(None)
        if self._spent:
            self._offer_room()

    def flush(self, *, beat: bool = False) -> None:
        """Say now what is finished.

        Raises:
            ConnectionClosed: the server does not answer; everything is kept.
        """
        with self._calls:
            while self._finished or beat:
                beat = False
                batch = self._take_finished()
                self._call(_FINISH, [*self._head, len(batch), *_records(batch)], batch)
        self._offer_room()

    def hand_back(self, *, older_than_s: float = 0.0, queue: str | None = None) -> int:
        """Return what was fetched and not begun."""
        before_s = time.monotonic() - older_than_s
        returned = [
            lease
            for lease in list(self._unstarted.values())
            if lease.fetched_s <= before_s and queue in (None, lease.queue)
        ]
        # The last one leased goes first: each is put before the others.
        for lease in sorted(returned, key=lambda each: each.number, reverse=True):
            if self._unstarted.pop(lease.mid, None) is not None:
                self.end(lease, BACK)
        if returned and self.worker is not None:
            _drop_ended(self.worker)
        return len(returned)

    def stop(self) -> None:
        """Fetch nothing more, and return what was not begun."""
        self.stopping = True
        self.hand_back()

    def close(self) -> None:
        """Say what is left to say, and leave the list of workers unless something still runs."""
        self._closed = True
        self.hand_back()
        self._signals.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join(LOOK_S)
        try:
            self.flush()
            _LEAVE(self._client, self._base, [self.wid])
        except BrokerError as error:
            logger.warning("The broker is away at the end (%s); others take the leases over.", error)

    def _ahead(self) -> int:
        if self.worker is None or self._stuck:
            return 0
        return min(MOST_AHEAD, int(self._threads * AHEAD_MS / max(self._mean_ms, 0.01)))

    def _offer_room(self) -> None:
        if self._spent and self.room():
            for signals in list(self._spent.values()):
                signals.put(None)

    def _take_finished(self) -> list[Lease]:
        batch: list[Lease] = []
        while self._finished and len(batch) < _PORTION:
            batch.append(self._finished.popleft())
        return batch

    def _call(self, script: Script, arguments: list[Argument], batch: list[Lease]) -> Any:
        try:
            reply = script(self._client, self._base, arguments)
        except BaseException:
            self._unsure = True
            self._finished.extendleft(reversed(batch))
            raise
        for lease in batch:
            self._leases.pop(lease.mid, None)
        if reply[0]:
            self.refused += reply[0]
            logger.warning("%s messages were finished too late: others have them by now.", reply[0])
        if reply[1] and self._known:
            self._lose_all()
        self._known = True
        self._heard_s = time.monotonic()
        return reply

    def _lose_all(self) -> None:
        """Others took this process for dead: whatever it held is theirs."""
        lost = list(self._leases.values())
        logger.warning(
            "This worker was silent for too long: others have taken over its %s messages.", len(lost)
        )
        for lease in lost:
            self._leases.pop(lease.mid, None)
            if self._unstarted.pop(lease.mid, None) is not None:
                lease.outcome = LOST
        if self.worker is not None:
            _drop_ended(self.worker)

    def _reconcile(self) -> None:
        """A fetch whose answer got lost has leased messages that nobody here knows of."""
        if self._unsure:
            given_back = _RECONCILE(self._client, self._base, [self.wid, *self._leases])
            self._unsure = False
            if given_back:
                logger.warning("%s messages came with an answer that got lost; they went back.", given_back)

    def _run(self) -> None:
        wait_s, look_s = FLUSH_S, time.monotonic() + self._beat_s
        while not self._closed:
            with suppress(Empty):
                self._signals.get(timeout=max(0.0, look_s - time.monotonic()))
            try:
                self._flush_old()
                if time.monotonic() >= look_s:
                    look_s = time.monotonic() + self._beat_s
                    self._look()
                wait_s = FLUSH_S
            except BrokerError as error:
                logger.warning("The broker cannot be told what is finished (%s); it is tried again.", error)
                wait_s = min(2 * wait_s, LOOK_S)
                time.sleep(wait_s)
                self._signals.put(None)
            except Exception:
                logger.exception("The broker's thread failed; it goes on.")
                time.sleep(LOOK_S)

    def _flush_old(self) -> None:
        self._flagged = False
        while self._finished and not self._closed:
            try:
                left_s = self._finished[0].done_s + FLUSH_S - time.monotonic()
            except IndexError:  # a fetch took it
                return
            if left_s > 0:
                time.sleep(left_s)
            else:
                self.flush()

    def _look(self) -> None:
        if self.worker is not None and self.hand_back(older_than_s=UNSTARTED_S):
            self._stuck = True
        with self._calls:
            self._find_forgotten()
            self._reconcile()
        if time.monotonic() - self._heard_s >= self._beat_s / 2:
            self.flush(beat=True)

    def _find_forgotten(self) -> None:
        """Leases whose thread died, or was interrupted before it could say what became of them."""
        alive = {thread.ident for thread in threading.enumerate()}
        for ident in [each for each in self._running if each not in alive]:
            self._running.pop(ident, None)
        old_s = time.monotonic() - LOOK_S
        told = set(self._finished)
        for lease in list(self._leases.values()):
            if lease.outcome is not None and lease.done_s < old_s and lease not in told:
                self._finished.append(lease)
            elif (
                lease.outcome is None
                and lease.began_s is not None
                and lease.began_s < old_s
                and self._running.get(lease.thread) != lease.mid
            ):
                logger.warning(
                    "A message of queue %s was forgotten by its thread; it goes back.", lease.queue
                )
                self.end(lease, BACK)


def _records(batch: list[Lease]) -> list[Argument]:
    return [value for lease in batch for value in lease.record()]


def _drop_ended(worker: Worker) -> None:
    """Take what is not ours any more out of the worker's memory."""
    for item in list(iter_queue(worker.work_queue)):  # type: ignore[no-untyped-call]
        lease = getattr(item.message, "lease", None)
        if lease is None or lease.outcome is None:
            worker.work_queue.put(item)
        worker.work_queue.task_done()
