"""Limits per org in this process's memory."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from .rate import Rate
from .slots import Answer, Attempt, Concurrency, Slot, Wake

#: How late a message that was woken, and has run, may come out of its delay and still be told from one that has not.
_KEEP_MS = 24 * 60 * 60 * 1_000
#: How often what is over is swept out.
_SWEEP_MS = 60_000


@dataclass
class _Holding:
    until_ms: float
    #: Empty while the slot waits for the waiter it was handed to.
    token: str
    concurrency: Concurrency | None


@dataclass
class _Waiter:
    attempt: Attempt
    asked_ms: float


@dataclass
class _Record:
    #: The copy that lives on, and the one on its way that may take over.
    living: str
    until_ms: float
    waking: str | None = None
    #: Its number in the line, which it keeps while a slot is on offer to it.
    place: int | None = None


@dataclass
class _Org:
    holdings: dict[str, _Holding] = field(default_factory=dict)
    waiters: dict[str, _Waiter] = field(default_factory=dict)
    #: Of each message that ever waited.
    records: dict[str, _Record] = field(default_factory=dict)

    def drop_lapsed(self, now_ms: float) -> None:
        self.holdings = {key: each for key, each in self.holdings.items() if each.until_ms > now_ms}


class MemoryOrgLimitsStore:
    """The limits of one process: for tests, and for brokers that live in the process themselves.

    Workers in several processes would each have limits of their own, and would not know of each other's wakes.

    Parameters:
      now_ms: Reads a clock, in milliseconds. Default: the monotonic one.

    Example:
      >>> broker.add_middleware(OrgLimits(MemoryOrgLimitsStore()))
    """

    def __init__(self, *, now_ms: Callable[[], float] = lambda: time.monotonic() * 1_000) -> None:
        self._now_ms = now_ms
        self._due_ms: dict[tuple[str, str], float] = {}
        self._orgs: dict[str, _Org] = {}
        self._sweep_at_ms = now_ms() + _SWEEP_MS
        self._slots = count(1)
        self._lock = threading.Lock()

    def charge(self, org: str, actor_name: str, rate: Rate) -> tuple[float, float]:
        with self._lock:
            wait_ms, due_ms = self._next_start(org, actor_name, rate)
            return (wait_ms, 0) if wait_ms > 0 else (0, self._reserve(org, actor_name, rate, due_ms))

    def acquire(self, attempt: Attempt) -> Answer:
        with self._lock:
            org = self._org(attempt.org)
            if not _lives_on(org, attempt):
                return Answer("superseded")
            held = org.holdings.get(attempt.message_id)
            if held is not None and held.token not in ("", attempt.token):
                return Answer("running", held.until_ms - self._now_ms())
            paid_until_ms = attempt.paid_until_ms
            if attempt.rate is not None and not paid_until_ms:
                wait_ms, due_ms = self._next_start(attempt.org, attempt.actor_name, attempt.rate)
                paid_until_ms = self._reserve(attempt.org, attempt.actor_name, attempt.rate, due_ms)
                if wait_ms > 0:
                    return Answer("rate", wait_ms, paid_until_ms)
            if held is None and not _is_free(org, attempt.max_active, attempt.concurrency):
                self._wait(org, attempt)
                return Answer("slot", 0, paid_until_ms)
            self._take(org, attempt)
            return Answer("run", 0, paid_until_ms)

    def release(self, slot: Slot, *, refund: bool, patience_ms: int) -> list[Wake]:
        attempt = slot.attempt
        with self._lock:
            org = self._org(attempt.org)
            if refund and attempt.rate is not None:
                self._refund(attempt.org, attempt.actor_name, attempt.rate, slot.paid_until_ms)
            held = org.holdings.get(attempt.message_id)
            if held is not None and held.token == attempt.token:
                del org.holdings[attempt.message_id]
            return self._hand_over(org, attempt, patience_ms)

    def renew(self, slots: list[Slot]) -> list[Slot]:
        lost = []
        with self._lock:
            for slot in slots:
                held = self._org(slot.attempt.org).holdings.get(slot.attempt.message_id)
                if held is not None and held.token == slot.attempt.token:
                    held.until_ms = self._now_ms() + slot.attempt.lease_ms
                else:
                    lost.append(slot)
        return lost

    def _org(self, name: str) -> _Org:
        now_ms = self._now_ms()
        if now_ms >= self._sweep_at_ms:
            self._sweep(now_ms)
        org = self._orgs.setdefault(name, _Org())
        org.drop_lapsed(now_ms)
        return org

    def _sweep(self, now_ms: float) -> None:
        self._sweep_at_ms = now_ms + _SWEEP_MS
        self._due_ms = {key: due for key, due in self._due_ms.items() if due > now_ms}
        for name, org in list(self._orgs.items()):
            org.records = {key: each for key, each in org.records.items() if each.until_ms > now_ms}
            org.waiters = {key: each for key, each in org.waiters.items() if key in org.records}
            org.drop_lapsed(now_ms)
            if not (org.holdings or org.records):
                del self._orgs[name]

    def _next_start(self, org: str, actor_name: str, rate: Rate) -> tuple[float, float]:
        now_ms = self._now_ms()
        due_ms = max(self._due_ms.get((org, actor_name), 0), now_ms)
        return max(0, due_ms - rate.tolerance_ms - now_ms), due_ms

    def _reserve(self, org: str, actor_name: str, rate: Rate, due_ms: float) -> float:
        self._due_ms[org, actor_name] = due_ms + rate.interval_ms
        return due_ms + rate.interval_ms

    def _refund(self, org: str, actor_name: str, rate: Rate, paid_until_ms: float) -> None:
        # What has flowed off since the start was charged cannot be given back.
        refund_ms = min(rate.interval_ms, paid_until_ms - self._now_ms())
        if refund_ms > 0 and (org, actor_name) in self._due_ms:
            self._due_ms[org, actor_name] -= refund_ms

    def _wait(self, org: _Org, attempt: Attempt) -> None:
        now_ms = self._now_ms()
        org.waiters[attempt.message_id] = _Waiter(attempt, now_ms)
        record = org.records.setdefault(attempt.message_id, _Record(attempt.copy, now_ms + _KEEP_MS))
        record.until_ms = now_ms + _KEEP_MS
        if record.place is None:
            record.place = next(self._slots)

    def _take(self, org: _Org, attempt: Attempt) -> None:
        now_ms = self._now_ms()
        org.waiters.pop(attempt.message_id, None)
        org.holdings[attempt.message_id] = _Holding(
            now_ms + attempt.lease_ms, attempt.token, attempt.concurrency
        )
        if attempt.message_id in org.records:
            record = org.records[attempt.message_id]
            record.place, record.until_ms = None, now_ms + _KEEP_MS

    def _hand_over(self, org: _Org, releasing: Attempt, patience_ms: int) -> list[Wake]:
        now_ms = self._now_ms()
        wakes: list[Wake] = []
        for message_id in sorted(org.waiters, key=lambda each: org.records[each].place or 0):
            waiter = org.waiters[message_id]
            if waiter.asked_ms + patience_ms < now_ms:
                # Its message has not asked for so long that it may be gone; if it comes, it waits again.
                del org.waiters[message_id]
            elif _is_free(org, releasing.max_active, waiter.attempt.concurrency):
                del org.waiters[message_id]
                org.holdings[message_id] = _Holding(
                    now_ms + releasing.lease_ms, "", waiter.attempt.concurrency
                )
                wake = Wake(f"{releasing.token}-{len(wakes)}", waiter.attempt.message)
                org.records[message_id].waking = wake.copy
                wakes.append(wake)
        return wakes


def _lives_on(org: _Org, attempt: Attempt) -> bool:
    """Whoever comes first of a message and the copy that was to wake it is the one that lives on."""
    record = org.records.get(attempt.message_id)
    if record is None:
        return True
    if attempt.copy not in (record.living, record.waking):
        return False
    record.living, record.waking = attempt.copy, None
    return True


def _is_free(org: _Org, max_active: int | None, concurrency: Concurrency | None) -> bool:
    if max_active is not None and len(org.holdings) >= max_active:
        return False
    keys = [each.concurrency.key for each in org.holdings.values() if each.concurrency]
    return concurrency is None or keys.count(concurrency.key) < concurrency.limit
