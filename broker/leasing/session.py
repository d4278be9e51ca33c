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
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

import redis
from dramatiq import Worker
from dramatiq.errors import BrokerError

from ..announcements import announce_suspects, announce_worker_id
from ..keys import split_record
from ..scripts import Argument, Script
from .dramatiq_worker import drop_ended, replace_dead_threads
from .heartbeat import HeartbeatSender
from .lease import BACK, LOST, Fetched, Lease, drop, find_lost_leases
from .prefetch import Budget, Mode
from .worker_info import EVERY_S, WorkerInfo

#: A finished message waits this long for a fetch to go with, in seconds.
FLUSH_S = 0.005
#: What was fetched and not begun goes back after this many seconds.
UNSTARTED_S = 1.0
#: Seconds between two looks at what is held.
LOOK_S = 1.0
#: Seconds between two beats of a process that says nothing else, and of its helper.
BEAT_S = 2.0

#: How long a worker that stops is known to have been told so, in milliseconds.
_STOP_KNOWN_MS = 10 * 60 * 1_000
#: Most leases ended by one call.
_BATCH_SIZE = 256
#: Numbers before the messages in the answer to a fetch.
_HEAD = 5

_FETCH = Script("fetch")
_FINISH = Script("finish")
_RECONCILE = Script("reconcile")
_LEAVE = Script("leave")

logger = logging.getLogger(__name__)


class Process:
    """One incarnation of a worker process: it lives from its first `consume` until its worker is shut down.

    Parameters:
        client: A client that never sends a command twice by itself.
        base: The shard's base key.
        heartbeat_timeout_ms: After so long a silence others take its leases.
        dead_ttl_ms: How long dead letters are kept.
        stall_timeout_ms: So long a worker may run no Python until nobody beats for it.
        max_active: messages of an org that may be leased at once. Default None: any number.
        mode: whether it runs suspects; see `Budget`.
        facts: what whoever looks at the fleet is told of it.
        worker: Dramatiq's worker; None where somebody consumes by hand.
    """

    def __init__(
        self,
        client: "redis.Redis",
        base: str,
        *,
        heartbeat_timeout_ms: int,
        dead_ttl_ms: int,
        stall_timeout_ms: int,
        worker: Worker | None,
        max_active: int | None = None,
        mode: Mode = "any",
        facts: Mapping[str, str] | None = None,
    ) -> None:
        self.worker_id = uuid4().hex
        self.worker = worker
        self.stopping = False
        #: Messages of an org that may be leased at once; 0 for any number.
        self.max_active = max_active or 0
        #: Of these it serves, or has served, messages.
        self.queues: set[str] = set()
        #: How many finishes were refused, because the lease was somebody else's by then.
        self.refused = 0
        self._client = client
        self._base = base
        self._beat_s = min(BEAT_S, heartbeat_timeout_ms / 6_000)
        # Found within the time-out, although a beat may have come just before the end, and others look just before.
        self._silent_s = heartbeat_timeout_ms / 1_000 - 2 * self._beat_s
        self._head: tuple[Argument, ...] = (self.worker_id, int(self._silent_s * 1_000), dead_ttl_ms)
        self._leases: dict[str, Lease] = {}
        self._unstarted: dict[str, Lease] = {}
        self._finished: deque[Lease] = deque()
        self._running: dict[threading.Thread, Lease] = {}
        self._spent: dict[int, SimpleQueue[None]] = {}
        threads = worker.worker_threads if worker else 1
        self._budget = Budget(threads, ahead=worker is not None, held=self._held, mode=mode)
        self._worker_info = WorkerInfo(self.worker_id, threads, facts or {})
        self._published_s = -math.inf
        self._full_above = 0
        self._calls = threading.Lock()
        self._unsure = False
        self._known = False
        self._heard_s = time.monotonic()
        self._lookouts: list[Callable[[], None]] = []
        self._closing: list[Callable[[], None]] = []
        self._signals: SimpleQueue[None] = SimpleQueue()
        self._flagged = False
        self._closed = False
        self._heartbeat = HeartbeatSender(every_s=self._beat_s, stall_timeout_s=stall_timeout_ms / 1_000)
        if worker is not None:
            announce_worker_id(self.worker_id)
            # Before the first job, which may hold the interpreter's lock at once.
            self._heartbeat.start_for(self.worker_id, base, client)
        self._thread = threading.Thread(target=self._run, name="pressroom-broker", daemon=True)
        self._thread.start()

    def allow(self, prefetch: int) -> None:
        """Without a worker, a consumer may hold what it asked for."""
        if self.worker is None:
            self._budget.threads = max(self._budget.threads, prefetch)

    def look_out(self, look: Callable[[], None], *, close: Callable[[], None]) -> None:
        """`look` is called when there may be something to fetch of which no token tells, `close` at the end."""
        self._lookouts.append(look)
        self._closing.append(close)

    def wait_for_room(self, queue: str, signals: "SimpleQueue[None]", timeout_s: float) -> bool:
        """Whether there is room, before the time is over."""
        self._spent[id(signals)] = signals
        self._full_above = self._budget.full_above()
        try:
            if self._budget.room(queue):
                return True
            with suppress(Empty):
                signals.get(timeout=timeout_s)
            return bool(self._budget.room(queue))
        finally:
            self._spent.pop(id(signals), None)

    def fetch(self, queue: str) -> Fetched:
        """Lease what is next, and say what is finished.

        Raises:
            ConnectionClosed: the server does not answer; what it may have leased is given back later.
        """
        with self._calls:
            self._reconcile()
            room, mode, batch = self._budget.room(queue), self._budget.mode(queue), self._take_finished()
            arguments = [*self._head, len(batch), *_records(batch), queue, room, self.max_active, mode]
            reply = self._call(_FETCH, arguments, batch)
            fetched = []
            for at in range(_HEAD, len(reply), 3):
                message_id, token = reply[at].decode(), reply[at + 1].decode()
                where, org, lane, body = split_record(reply[at + 2])
                lease = Lease(message_id, token, where, org, lane)
                self._unstarted[message_id] = self._leases[message_id] = lease
                fetched.append((lease, body))
            self._heed_suspects(queue, reply[4], isolated=mode == "alone" and bool(fetched))
        self._offer_room()
        more = len(fetched) >= room or self._budget.isolated_in == queue
        return Fetched(fetched, more, math.inf if reply[3] < 0 else reply[3] / 1_000)

    def begin(self, lease: Lease) -> bool:
        """Whether the lease is still ours, and its job may begin."""
        lease.thread = threading.current_thread()
        if time.monotonic() - self._heard_s > self._silent_s:
            # The process may have been frozen for so long that others took over.
            with suppress(BrokerError):
                self.flush(beat=True)
        if not drop(self._unstarted, lease):
            return False
        self._running[lease.thread] = lease
        lease.began_s = time.monotonic()
        return True

    def end(self, lease: Lease, outcome: str) -> None:
        """Remember what became of a message; it is told with the next fetch, or in a few milliseconds."""
        if lease.outcome is not None:
            return
        lease.done_s = time.monotonic()
        lease.outcome = outcome
        drop(self._unstarted, lease)
        if lease.began_s is not None:
            self._budget.learn((lease.done_s - lease.began_s) * 1_000)
        self._finished.append(lease)
        if not self._flagged:
            self._flagged = True
            self._signals.put(None)
        # Asked for each job: what the budget says is looked up only when it may say something new, and told once.
        if self._spent and len(self._leases) - len(self._finished) <= self._full_above:
            self._full_above = -1
            if not self._offer_room():
                self._full_above = self._budget.full_above()

    def flush(self, *, beat: bool = False) -> None:
        """Say now what is finished.

        Raises:
            ConnectionClosed: the server does not answer; everything is kept.
        """
        with self._calls:
            while self._finished or beat:
                beat = False
                batch = self._take_finished()
                reply = self._call(_FINISH, [*self._head, len(batch), *_records(batch)], batch)
                if reply[3]:
                    # A token may be lost with a worker that froze while it waited for one.
                    for look in self._lookouts:
                        look()
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
            if drop(self._unstarted, lease):
                self.end(lease, BACK)
        if returned and self.worker is not None:
            drop_ended(self.worker)
        return len(returned)

    def stop(self) -> None:
        """Fetch nothing more, and return what was not begun."""
        self.stopping = True
        # Whatever ends this process now, its messages are not to blame.
        with suppress(redis.RedisError):
            self._client.set(f"{self._base}:dw:{self.worker_id}", "stopped", px=_STOP_KNOWN_MS)
        self.hand_back()

    def close(self) -> None:
        """Say what is left to say, and leave the list of workers unless something still runs."""
        self._closed = True
        for close in self._closing:
            close()
        self.hand_back()
        self._signals.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join(LOOK_S)
        try:
            self.flush()
            _LEAVE(self._client, self._base, [self.worker_id])
        except BrokerError as error:
            logger.warning("The broker is away at the end (%s); others take the leases over.", error)
        finally:
            self._heartbeat.stop()

    def _held(self) -> int:
        return len(self._leases) - len(self._finished)

    def _heed_suspects(self, queue: str, waiting: int, *, isolated: bool) -> None:
        """Messages wait to be run alone: here, once nothing else runs, or in a process of the supervisor's."""
        if waiting == 1 and self._budget.mode(queue) == "share":
            announce_suspects()
        if waiting == 2:
            self._budget.isolated_in = queue
        elif self._budget.isolated_in == queue and not isolated:
            self._budget.isolated_in = None

    def _offer_room(self) -> bool:
        has_room = bool(self._spent and self._budget.room())
        if has_room:
            for signals in list(self._spent.values()):
                signals.put(None)
        return has_room

    def _take_finished(self) -> list[Lease]:
        batch: list[Lease] = []
        while self._finished and len(batch) < _BATCH_SIZE:
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
            drop(self._leases, lease)
        self._budget.quiet = bool(reply[2])
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
            # What runs keeps its thread, and is told, and refused, at its end.
            if drop(self._unstarted, lease):
                drop(self._leases, lease)
                lease.outcome = LOST
        if self.worker is not None:
            drop_ended(self.worker)

    def _reconcile(self) -> None:
        """A fetch whose answer got lost has leased messages that nobody here knows of."""
        if self._unsure:
            known = [value for lease in self._leases.values() for value in (lease.message_id, lease.token)]
            given_back = _RECONCILE(self._client, self._base, [self.worker_id, *known])
            self._unsure = False
            if given_back:
                logger.warning("%s messages came with an answer that got lost; they went back.", given_back)

    def _run(self) -> None:
        every_s = min(LOOK_S, self._beat_s)
        wait_s, look_s = FLUSH_S, time.monotonic() + every_s
        while not self._closed:
            with suppress(Empty):
                self._signals.get(timeout=max(0.0, look_s - time.monotonic()))
            try:
                self._flush_old()
                if time.monotonic() >= look_s:
                    look_s = time.monotonic() + every_s
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
            self._budget.stuck = True
        if self.worker is not None and not self.stopping:
            replace_dead_threads(self.worker)
        with self._calls:
            self._find_lost()
            self._reconcile()
        if time.monotonic() - self._heard_s >= self._beat_s - LOOK_S / 2:
            self.flush(beat=True)
        if self.worker is not None and time.monotonic() - self._published_s >= EVERY_S:
            self._worker_info.tell(self._client, self._base, self.queues)
            self._published_s = time.monotonic()

    def _find_lost(self) -> None:
        """Leases whose thread died, or was interrupted before it could say what became of them."""
        # Not by their idents: a new thread may have a dead one's.
        for thread in [each for each in self._running if not each.is_alive()]:
            self._running.pop(thread, None)
        unreported, lost = find_lost_leases(
            list(self._leases.values()), self._running, set(self._finished), time.monotonic() - LOOK_S
        )
        self._finished.extend(unreported)
        for lease in lost:
            logger.warning("A message of queue %s was forgotten by its thread; it goes back.", lease.queue)
            self.end(lease, BACK)


def _records(batch: list[Lease]) -> list[Argument]:
    return [value for lease in batch for value in lease.record()]
