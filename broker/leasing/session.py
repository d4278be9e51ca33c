"""What one worker process does with the server: fetches leases, reports their ends, and stays known as alive.

Worker threads may be interrupted between any two lines of Python. Whatever they do here is therefore one atomic step
on a deque, a dictionary or a `Wakeup`; nothing they run takes a lock. What an interrupt leaves half done is found
by the timer's next check.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any
from uuid import uuid4

import redis
from dramatiq import Worker
from dramatiq.errors import BrokerError, ConnectionClosed

from ..announcements import announce_worker_id
from ..bounds import from_wire, to_wire
from ..keys import split_record
from ..scripts import Argument, Script
from .call_failures import CallFailures
from .culprits import Culprits
from .dramatiq_worker import drop_ended, replace_dead_threads
from .finish_buffer import FinishBuffer
from .heartbeat import HeartbeatSender
from .lease import BACK, Fetched, Lease
from .lease_table import LeaseTable
from .prefetch import Mode, PrefetchBudget
from .session_timer import CHECK_S, SessionTimer
from .worker_info import WorkerInfo

#: What was fetched and not begun goes back after this many seconds.
UNSTARTED_S = 1.0
#: Seconds between two beats of a process that makes no other call, and of its helper.
BEAT_S = 2.0

#: Queues whose due messages one call makes ready, beside that of its fetch.
_MAX_PROMOTED_QUEUES = 16
#: Numbers before the messages in the answer to a fetch.
_HEAD = 5

_FETCH = Script("fetch")
_FINISH = Script("finish")
_RECONCILE = Script("reconcile")
_LEAVE = Script("leave")
_REPORT_STOP = Script("report_stop")

logger = logging.getLogger(__name__)


class WorkerSession:
    """An incarnation of a worker process: it lives from its first `consume` until its worker is shut down.

    State: the lease table, the finish buffer, the prefetch budget, the timer and the heartbeat each own theirs. What
    is left here is about calls to the server (`_reply_lost`, `_known`, `_last_reply_s`, and when due messages were
    made ready), and belongs to whoever holds `_call_lock`: consumer threads for a fetch, any of them and the timer for
    a flush; worker threads take it only where the process may have been frozen.

    Parameters:
        client: A client that never sends a command twice by itself.
        waiting_client: Likewise, for connections on which consumers wait.
        base: The shard's base key.
        heartbeat_timeout_ms: After so long a silence others take its leases.
        dead_ttl_ms: How long dead letters are kept.
        stall_timeout_ms: So long a worker may run no Python until nobody beats for it.
        max_active: asked at each fetch: messages of an org that may be leased at once, None for any number. Default:
            any number.
        age_share: the part of the work that goes by age. Default 0.
        mode: whether it runs suspects; see `PrefetchBudget`.
        facts: what is published of it besides.
        worker: Dramatiq's worker; None where somebody consumes by hand.
    """

    def __init__(
        self,
        client: "redis.Redis",
        waiting_client: "redis.Redis",
        base: str,
        *,
        heartbeat_timeout_ms: int,
        dead_ttl_ms: int,
        stall_timeout_ms: int,
        worker: Worker | None,
        max_active: Callable[[], int | None] = lambda: None,
        age_share: float = 0.0,
        mode: Mode = "any",
        facts: Mapping[str, str] | None = None,
    ) -> None:
        self.worker_id = uuid4().hex
        self.worker = worker
        self.waiting_client = waiting_client
        self.stopping = False
        #: Of these it serves, or has served, messages.
        self.queues: set[str] = set()
        #: How many finishes were refused, because the lease was somebody else's by then.
        self.refused = 0
        #: How often the server was found away: what waits on a connection made before may wait in vain.
        self.losses = 0
        self._client = client
        self._base = base
        self._max_active = max_active
        self._age_share = age_share
        self._beat_s = min(BEAT_S, heartbeat_timeout_ms / 6_000)
        # Found within the time-out, although a beat may have come just before the end, and others check just before.
        self._silent_s = heartbeat_timeout_ms / 1_000 - 2 * self._beat_s
        self._head: tuple[Argument, ...] = (self.worker_id, int(self._silent_s * 1_000), dead_ttl_ms)
        #: Which calls fail, though the server answers.
        self.failures = CallFailures(heartbeat_timeout_ms / 3_000)
        self._leases = LeaseTable()
        self._finished = FinishBuffer()
        self._culprits = Culprits(client, base, dead_ttl_ms, end=partial(self._report, _FINISH))
        threads = worker.worker_threads if worker else 1
        #: How much may be fetched now; consumers wait for it.
        self.budget = PrefetchBudget(
            threads,
            ahead=worker is not None,
            held=self._held,
            unstarted_bytes=self._leases.unstarted_bytes,
            mode=mode,
        )
        self._worker_info = WorkerInfo(self.worker_id, threads, facts or {})
        self._call_lock = threading.Lock()
        self._reply_lost = False
        self._away = False
        self._known = False
        self._last_reply_s = time.monotonic()
        self._promoted_s = time.monotonic()
        self._promoted_first = 0
        self._consumers: list[tuple[Callable[[], None], Callable[[], None]]] = []
        self._heartbeat = HeartbeatSender(every_s=self._beat_s, stall_timeout_s=stall_timeout_ms / 1_000)
        if worker is not None:
            announce_worker_id(self.worker_id)
            # Before the first job, which may hold the interpreter's lock at once.
            self._heartbeat.start_for(self.worker_id, base, client)
        self._timer = SessionTimer(self._finished, flush=self.flush, check=self._check, every_s=self._beat_s)

    def allow(self, prefetch: int) -> None:
        """Raise the budget to what a consumer may hold, where no worker determines it."""
        if self.worker is None:
            self.budget.threads = max(self.budget.threads, prefetch)

    def register_consumer(self, poll: Callable[[], None], *, close: Callable[[], None]) -> None:
        """Register a consumer's callbacks.

        Parameters:
            poll: called when there may be something to fetch for which no wake-up token was left.
            close: called at the end.
        """
        self._consumers.append((poll, close))

    def fetch(self, queue: str) -> Fetched:
        """Lease what is next, and report what is finished.

        Raises:
            ConnectionClosed: the server does not answer; what it may have leased is given back later.
        """
        budget = self.budget
        with self.failures.watched(f"fetching from queue {queue}"), self._call_lock:
            self._reconcile()
            capacity, mode = budget.capacity(queue), budget.mode(queue)
            room_bytes, max_active = budget.room_bytes(), self._max_active() or 0
            reply = self._call(_FETCH, queue, capacity, room_bytes, max_active, self._age_share, mode)
            fetched = []
            for at in range(_HEAD, len(reply), 3):
                message_id, token = from_wire(reply[at]), from_wire(reply[at + 1])
                stored_in, org, lane, body = split_record(reply[at + 2])
                fetched.append((Lease(message_id, token, stored_in, org, lane, len(body)), body))
            self._leases.add([lease for lease, _ in fetched])
            budget.note_suspects(queue, reply[4], isolated=mode == "alone" and bool(fetched))
        more = len(fetched) >= capacity or budget.isolated_in == queue
        return Fetched(fetched, more, math.inf if reply[3] < 0 else reply[3] / 1_000)

    def begin(self, lease: Lease) -> bool:
        """Mark a job as running on this thread. Returns False if its lease is not this session's any more."""
        now_s = time.monotonic()
        if now_s - self._last_reply_s > self._silent_s:
            # The process may have been frozen for so long that others took over.
            with suppress(BrokerError):
                self.flush(beat=True)
            now_s = time.monotonic()
        has_begun = self._leases.start(lease, threading.current_thread(), now_s)
        if self.budget.is_full_of_bytes:
            self.budget.release_capacity()
        return has_begun

    def end(self, lease: Lease, outcome: str) -> None:
        """Record what became of a message; it is reported with the next fetch, or in a few milliseconds."""
        if lease.outcome is not None:
            return
        lease.done_s = time.monotonic()
        lease.outcome = outcome
        if lease.began_s is not None:
            self.budget.record_run((lease.done_s - lease.began_s) * 1_000)
        else:
            self._leases.withdraw(lease)
        self._finished.append(lease)
        self.budget.release_capacity()

    def flush(self, *, beat: bool = False) -> None:
        """Report now what is finished.

        Parameters:
            beat: make a call even when nothing is. Default False.

        Raises:
            ConnectionClosed: the server does not answer; everything is kept.
        """
        with self.failures.watched("reporting what is finished"), self._call_lock:
            while self._finished or beat:
                beat = False
                queues = self._queues_to_promote()
                reply = self._call(_FINISH, *queues, len(queues))
                if reply[3]:
                    # A token may be lost with a worker that froze while it waited for one.
                    self._poll_consumers()
        self.budget.wake_consumers()

    def hand_back(self, *, older_than_s: float = 0.0, queue: str | None = None) -> int:
        """Return what was fetched and not begun.

        Parameters:
            older_than_s: only what was fetched so many seconds ago. Default 0: all.
            queue: only of this queue. Default None: of any.

        Returns:
            How many messages.
        """
        # The last one leased goes first: each is put before the others.
        returned = self._leases.unstarted(before_s=time.monotonic() - older_than_s, queue=queue)
        for lease in returned:
            if self._leases.withdraw(lease):
                self.end(lease, BACK)
        if returned and self.worker is not None:
            drop_ended(self.worker)
        return len(returned)

    def stop(self) -> None:
        """Fetch nothing more, and return what was not begun."""
        self.stopping = True
        # Whatever ends this process now, its messages are not to blame.
        with suppress(BrokerError):
            _REPORT_STOP(self._client, self._base, [self.worker_id])
        self.hand_back()

    def close(self) -> None:
        """Report what is finished, and leave the list of workers unless something still runs."""
        self._timer.stop()
        for _, close in self._consumers:
            close()
        self.hand_back()
        self._timer.join(CHECK_S)
        try:
            self.flush()
            _LEAVE(self._client, self._base, [self.worker_id])
        except BrokerError as error:
            logger.warning("The broker is away at the end (%s); others take the leases over.", error)
        finally:
            self._heartbeat.stop()

    def _queues_to_promote(self) -> list[str]:
        """The queues of which due messages are to be made ready without a fetch: some of them, once a beat.

        A fetch does it for its queue, but none comes while all threads are busy; and what is due has to be in line with
        what comes meanwhile.
        """
        now_s = time.monotonic()
        if now_s - self._promoted_s < self._beat_s - CHECK_S / 2:
            return []
        self._promoted_s = now_s
        queues = sorted(self.queues)
        self._promoted_first += _MAX_PROMOTED_QUEUES
        first = self._promoted_first % max(1, len(queues))
        return [*queues[first:], *queues[:first]][:_MAX_PROMOTED_QUEUES]

    def _held(self) -> int:
        return len(self._leases) - len(self._finished)

    def _call(self, script: Script, *rest: Argument) -> Any:
        """Report what is finished, and whatever else the script does.

        Where that fails though the server answers, each end is reported by itself, and the call made without them.
        """
        batch = self._finished.take()
        try:
            return self._report(script, batch, *rest)
        except ConnectionClosed:
            self._finished.put_back(batch)
            raise
        except Exception:
            left = batch
            try:
                self._culprits.end_each(left)
            finally:
                self._finished.put_back(left)
            if left:
                raise
        except BaseException:
            self._finished.put_back(batch)
            raise
        return self._report(script, [], *rest)

    def _report(self, script: Script, batch: list[Lease], *rest: Argument) -> Any:
        try:
            ends = chain.from_iterable([lease.record() for lease in batch])
            arguments = [*self._head, len(batch), *ends, *rest]
            reply = script(self._client, self._base, arguments)
        except BaseException as error:
            self._reply_lost = True
            for lease in batch:
                lease.unanswered = True
            if isinstance(error, ConnectionClosed) and not self._away:
                self._away = True
                self.losses += 1
            raise
        if self._away:
            self._away = False
            self._poll_consumers()
        self._leases.remove(batch)
        self.budget.quiet = bool(reply[2])
        # Who is on the list as before has lost no lease: what is refused then was ended by the call without an answer.
        known = 0 if reply[1] else sum(lease.unanswered for lease in batch)
        if reply[0] > known:
            self.refused += reply[0] - known
            logger.warning("%s messages were finished too late: others have them by now.", reply[0] - known)
        if reply[1] and self._known:
            self._forfeit_all()
        self._known = True
        self._last_reply_s = time.monotonic()
        return reply

    def _poll_consumers(self) -> None:
        for poll, _ in self._consumers:
            poll()

    def _forfeit_all(self) -> None:
        """Others took this process for dead: whatever it held is theirs."""
        count = self._leases.forfeit()
        logger.warning("This worker was silent for too long: others have taken over its %s messages.", count)
        if self.worker is not None:
            drop_ended(self.worker)

    def _reconcile(self) -> None:
        """A fetch whose answer got lost has leased messages that nobody here knows of."""
        if self._reply_lost:
            given_back, is_all = 0, 0
            while not is_all:
                known = map(to_wire, self._leases.tokens())
                number, is_all = _RECONCILE(self._client, self._base, [self.worker_id, *known])
                given_back += number
            self._reply_lost = False
            if given_back:
                logger.warning("%s messages came with an answer that got lost; they went back.", given_back)

    def _check(self) -> None:
        worker = self.worker
        if worker is not None and self.hand_back(older_than_s=UNSTARTED_S):
            self.budget.stuck = True
        if worker is not None and not self.stopping:
            replace_dead_threads(worker)
        try:
            with self.failures.watched("giving back what nobody here knows of"), self._call_lock:
                self._return_lost()
                self._reconcile()
            if time.monotonic() - self._last_reply_s >= self._beat_s - CHECK_S / 2:
                self.flush(beat=True)
        finally:
            if worker is not None:
                self._worker_info.publish(self._client, self._base, self.queues, self.failures.text)

    def _return_lost(self) -> None:
        """Leases whose thread died, or was interrupted before it could say what became of them."""
        before_s = time.monotonic() - CHECK_S
        unreported, lost = self._leases.find_lost(self._finished.contents(), before_s=before_s)
        self._finished.extend(unreported)
        for lease in lost:
            logger.warning("The thread of a message of queue %s lost it; it goes back.", lease.queue)
            self.end(lease, BACK)
