"""What `OrgLimits` asks its store for, and how a process keeps the slots it has."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from dramatiq import Broker

from ..base.background import PeriodicThread, Wait
from ..base.emit import emit_counter
from ..base.errors import StoreUnavailable
from .rate import Rate

logger = logging.getLogger(__name__)


class Concurrency(NamedTuple):
    """How many jobs with one key may run at once, within an org."""

    key: str
    limit: int


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A delivery of a message that wants to run, and what it needs for it."""

    org: str
    actor_name: str
    message_id: str
    #: Names this attempt; only it renews and releases what it got.
    token: str
    #: Which copy of the message this is: the id of the wake that made it, empty for the message as sent.
    copy: str
    #: How long its slots last without being renewed, in milliseconds.
    lease_ms: int
    #: How many jobs of the org may run at once; None: any number.
    max_active: int | None
    concurrency: Concurrency | None
    rate: Rate | None
    #: Until when its start is paid, in the store's milliseconds; 0 when it is not paid yet.
    paid_until_ms: float
    #: The message as bytes, kept while it waits, to be woken by whoever frees a slot.
    message: bytes


@dataclass(frozen=True)
class Answer:
    """What a store says to an attempt.

    - `run`: it has all it needs; release it afterwards.
    - `rate`: its start is reserved and due in `wait_ms`; `paid_until_ms` says that it is paid.
    - `slot`: no slot is free; it waits in line, and `paid_until_ms` says that its start is paid.
    - `running`: another delivery of the message has its slot, for `wait_ms` at least.
    - `superseded`: another copy of the message came first and goes on in its place.
    """

    outcome: Literal["run", "rate", "slot", "running", "superseded"]
    wait_ms: float = 0
    paid_until_ms: float = 0


@dataclass(frozen=True)
class Slot:
    """What an attempt holds while it runs."""

    attempt: Attempt
    paid_until_ms: float


@dataclass(frozen=True)
class Wake:
    """A waiter that was handed a slot, to be enqueued by whoever freed it."""

    #: The id of this wake.
    copy: str
    #: The message as bytes, as it was when it began to wait.
    message: bytes


class OrgLimitsStore(Protocol):
    """The limits of all orgs. Every method is atomic; nothing one org does changes another's.

    A slot belongs to a message id, so that no two deliveries of a message have one each. A waiter that is handed
    a slot keeps it for a lease. Of a message and the copies that wake it, the first that comes lives on.
    """

    def charge(self, org: str, actor_name: str, rate: Rate) -> tuple[float, float]:
        """Charge one start, if it may be now. Returns `(0, paid_until_ms)`, or `(wait_ms, 0)` if it may not."""

    def acquire(self, attempt: Attempt) -> Answer:
        """Take, reserve or wait for all the attempt needs."""

    def release(self, slot: Slot, *, refund: bool, patience_ms: int) -> list[Wake]:
        """Free the slot, hand what is free to waiters, and give the start back to the rate if `refund`.

        A waiter that has not asked for `patience_ms` is passed over: its message may be gone.
        """

    def renew(self, slots: list[Slot]) -> list[Slot]:
        """Let the slots last for another lease. Returns those that are lost."""


class SlotKeeper:
    """Renews all slots of this process in one call, three times a lease, from one thread.

    The thread starts with a slot and ends when there are none. It also repeats releases that failed because the
    store was away.

    Parameters:
      store: Where the slots are.
      lease_ms: How long they last.
      wake: Enqueues the waiters that a release handed slots to.
      wait: Waits for an event, at most so many seconds; for tests. Default `threading.Event.wait`.
    """

    def __init__(
        self,
        store: OrgLimitsStore,
        *,
        lease_ms: int,
        wake: Callable[[Broker, list[Wake]], None],
        wait: Wait = threading.Event.wait,
    ) -> None:
        self._store = store
        self._every_s = lease_ms / 3 / 1_000
        self._wake = wake
        self._slots: dict[str, Slot] = {}
        self._late: list[tuple[Broker, Slot, bool, int]] = []
        self._lock = threading.Lock()
        self._thread = PeriodicThread("org-limits", self._keep, self._every_s, wait=wait)

    def hold(self, slot: Slot) -> None:
        """Renew this slot from now on."""
        with self._lock:
            self._slots[slot.attempt.token] = slot
            self._thread.start()

    def let_go(self, slot: Slot) -> None:
        """Renew this slot no more."""
        with self._lock:
            self._slots.pop(slot.attempt.token, None)

    def release_later(self, broker: Broker, slot: Slot, *, refund: bool, patience_ms: int) -> None:
        """Repeat a release that failed until it succeeds."""
        with self._lock:
            self._late.append((broker, slot, refund, patience_ms))
            self._thread.start()

    def _keep(self) -> None:
        try:
            self._release_late_ones()
            self._renew()
        except StoreUnavailable as error:
            logger.warning("Slots were not renewed, the next try is in %.1f s: %s", self._every_s, error)
        except Exception:
            logger.exception("Slots were not renewed, the next try is in %.1f s.", self._every_s)
        with self._lock:
            if not self._slots and not self._late:
                # Under the lock, so that whoever adds a slot next sees that a thread is needed.
                self._thread.stop()

    def _renew(self) -> None:
        with self._lock:
            slots = list(self._slots.values())
        for lost in self._store.renew(slots) if slots else ():
            with self._lock:
                held = self._slots.pop(lost.attempt.token, None)
            # A job that ended while the call was under way has lost nothing.
            if held is not None:
                emit_counter("org_limits_slots_lost_total", {"actor": lost.attempt.actor_name})
                logger.warning(
                    "Message %s runs on without its slot, which was not renewed in time.",
                    lost.attempt.message_id,
                )

    def _release_late_ones(self) -> None:
        while self._late:
            broker, slot, refund, patience_ms = self._late[0]
            wakes = self._store.release(slot, refund=refund, patience_ms=patience_ms)
            with self._lock:
                self._late.pop(0)
            self._wake(broker, wakes)
