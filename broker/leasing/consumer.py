"""Hands one queue's messages to Dramatiq's worker, and waits for more without polling all the time."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import SimpleQueue
from uuid import uuid4

import redis
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.errors import BrokerError, ConnectionClosed

from ..connection import drop_connections
from ..keys import wake_key
from ..scripts import Script
from .lease import BACK, DEAD, DONE, Lease, LeasedMessage
from .session import WorkerSession
from .wakeup import Wakeup

#: What becomes of a lease and its bytes before the worker sees them.
Receive = Callable[[Lease, bytes], LeasedMessage | None]

#: An idle worker polls by itself this often, in seconds; what wakes it in time is the sender's token.
MAX_WAIT_S = 5.0

#: How long to leave a server alone that does not answer, in seconds; doubled each time, up to the longest.
_PAUSE_S = 0.1
_MAX_PAUSE_S = 1.0
#: How long a waiting thread may take to end, in seconds.
_END_S = 1.0

_PASS_ON = Script("pass_on")

logger = logging.getLogger(__name__)


class FairConsumer(Consumer):
    """Iterates over one queue's messages.

    Parameters:
        session: Holds the leases and the budget.
        base: The shard's base key.
        queue: Its name.
        timeout_ms: After so long without a message, `next` returns None.
        intake: Makes a message of a lease; None where there is none for the worker.
    """

    def __init__(
        self, session: WorkerSession, base: str, queue: str, timeout_ms: int, intake: Receive
    ) -> None:
        self._receive = intake
        self._session = session
        self._queue = queue
        self._timeout_s = timeout_ms / 1_000
        self._buffer: deque[tuple[Lease, bytes]] = deque()
        self._base = base
        self._wakeup = Wakeup()
        self._waiter = self._new_waiter()
        self._losses = 0
        self._pause_s = 0.0
        self._poll_at_s = 0.0
        session.register_consumer(self._poll, close=self._close_waiter)

    def __next__(self) -> MessageProxy | None:
        until_s = time.monotonic() + self._timeout_s
        while True:
            message = self._from_buffer()
            if message is not None:
                return message
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return None
            if self._session.stopping:
                self._wakeup.wait(left_s)
            elif not self._session.budget.wait_for_capacity(self._queue, self._wakeup, left_s):
                self._waiter.pass_on()
            elif self._waiter.woken or time.monotonic() >= self._poll_at_s:
                self._fetch_or_pause(left_s)
            else:
                self._session.budget.wake_consumers()
                self._arm_waiter()
                self._wakeup.wait(min(left_s, self._poll_at_s - time.monotonic()))

    def ack(self, message: MessageProxy) -> None:
        """Remember that the message is done; never fails, the lease is held until that is reported."""
        self._end(message, DONE)

    def nack(self, message: MessageProxy) -> None:
        """Remember that the message is dead."""
        self._end(message, DEAD)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Return messages to the heads of their lanes."""
        held = [message for message in messages if isinstance(message, LeasedMessage)]
        for message in sorted(held, key=lambda message: message.lease.number, reverse=True):
            self._end(message, BACK)

    def close(self) -> None:
        """Return what was fetched for the worker and not begun."""
        self._buffer.clear()
        self._session.hand_back(queue=self._queue)
        self._close_waiter()

    def _end(self, message: MessageProxy, outcome: str) -> None:
        if isinstance(message, LeasedMessage):
            self._session.end(message.lease, outcome)

    def _from_buffer(self) -> LeasedMessage | None:
        while self._buffer:
            lease, body = self._buffer.popleft()
            if lease.outcome is None and (message := self._receive(lease, body)) is not None:
                return message
        return None

    def _fetch_or_pause(self, left_s: float) -> None:
        """Fetch; a worker whose server is away tries again by itself, sooner than Dramatiq would."""
        try:
            self._fetch()
        except ConnectionClosed as error:
            if self._session.worker is None:
                raise
            if not self._pause_s:
                logger.warning(
                    "The broker is away (%s); queue %s is fetched from when it is back.", error, self._queue
                )
            self._pause_s = min(2 * self._pause_s or _PAUSE_S, _MAX_PAUSE_S)
            self._poll_at_s = 0.0
            self._wakeup.wait(min(left_s, self._pause_s))
        else:
            self._pause_s = 0.0

    def _arm_waiter(self) -> None:
        if self._losses != self._session.losses:
            # It may wait at a server that is frozen, or no primary any more; the tokens are left elsewhere by now.
            self._losses = self._session.losses
            self._waiter.abandon()
            self._waiter = self._new_waiter()
        self._waiter.arm()

    def _new_waiter(self) -> "_Waiter":
        return _Waiter(self._session.waiting_client, self._base, self._queue, self._wakeup)

    def _fetch(self) -> None:
        self._waiter.woken = False
        try:
            fetched = self._session.fetch(self._queue)
        finally:
            self._session.budget.wake_consumers()
        self._buffer.extend(fetched.leases)
        wait_s = 0.0 if fetched.more else min(fetched.due_s, MAX_WAIT_S)
        self._poll_at_s = time.monotonic() + wait_s

    def _close_waiter(self) -> None:
        with suppress(BrokerError):
            self._waiter.close()

    def _poll(self) -> None:
        self._poll_at_s = 0.0
        self._wakeup.set()


class _Waiter:
    """A thread that waits for a token on a connection of its own, once it was armed."""

    def __init__(self, client: "redis.Redis", base: str, queue: str, wakeup: Wakeup) -> None:
        self.woken = False
        self._client = client
        self._base = base
        self._queue = queue
        #: What ends the waiting.
        self._own = f"{queue}:{uuid4().hex}"
        self._wakeup = wakeup
        self._arming: SimpleQueue[bool] = SimpleQueue()
        self._armed = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def arm(self) -> None:
        """Start to wait for a token, unless that was done before."""
        if self._armed:
            return
        self._armed = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pressroom-wake", daemon=True)
            self._thread.start()
        self._arming.put(True)

    def pass_on(self) -> None:
        """Pass the token on to another worker, since this one is busy."""
        if self.woken:
            self.woken = False
            _PASS_ON(self._client, self._base, [self._queue])

    def abandon(self) -> None:
        """Have the thread end when it wakes; a token it gets goes to others."""
        self._closed = True
        self._arming.put(False)

    def close(self) -> None:
        """End the thread; a token it has goes to others."""
        self._closed = True
        self._arming.put(False)
        thread = self._thread
        if thread is not None and thread.is_alive():
            _PASS_ON(self._client, self._base, [self._own])
            thread.join(_END_S)
        self.pass_on()

    def _run(self) -> None:
        key, own_key = wake_key(self._base, self._queue), wake_key(self._base, self._own)
        while self._arming.get():
            try:
                while not self._closed:
                    found = self._client.blpop([key, own_key], MAX_WAIT_S)
                    if found is not None:
                        self.woken = found[0] == key.encode()
                        break
            except redis.RedisError:
                drop_connections(self._client)
                # The consumer's own poll finds out, and reports, what is wrong.
                self.woken = not self._closed
                time.sleep(_PAUSE_S)
            self._armed = False
            if self._closed:
                with suppress(BrokerError):
                    self.pass_on()
                return
            self._wakeup.set()
