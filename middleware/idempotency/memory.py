"""Idempotency claims in this process's memory."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .guard import Claim

#: How many claims may pile up before those whose time is over are swept out.
_SWEEP_AT_LEAST = 1_000


@dataclass
class _Entry:
    holder: str
    token: str
    until_ms: float
    done: bool = False


class MemoryIdempotencyStore:
    """Claims of one process: for tests, and for brokers that live in the process themselves.

    Parameters:
      now_ms: Reads a clock, in milliseconds. Default: the monotonic one.

    Example:
      >>> broker.add_middleware(Idempotency(MemoryIdempotencyStore()))
    """

    def __init__(self, *, now_ms: Callable[[], float] = lambda: time.monotonic() * 1_000) -> None:
        self._now_ms = now_ms
        self._entries: dict[str, _Entry] = {}
        self._sweep_at = _SWEEP_AT_LEAST
        self._lock = threading.Lock()

    def claim(self, key: str, *, holder: str, token: str, ttl_ms: int) -> Claim:
        with self._lock:
            known = self._live(key)
            if known is not None and (known.done or known.holder != holder):
                return Claim("done" if known.done else "held", known.holder)
            self._sweep()
            self._entries[key] = _Entry(holder, token, self._now_ms() + ttl_ms)
            return Claim("claimed", holder)

    def keep(self, key: str, *, token: str, ttl_ms: int) -> bool:
        return self._prolong(key, token, ttl_ms, done=False)

    def finish(self, key: str, *, token: str, ttl_ms: int) -> bool:
        return self._prolong(key, token, ttl_ms, done=True)

    def give_back(self, key: str, *, token: str) -> bool:
        with self._lock:
            known = self._live(key)
            if known is None or known.done or known.token != token:
                return False
            del self._entries[key]
            return True

    def _prolong(self, key: str, token: str, ttl_ms: int, *, done: bool) -> bool:
        with self._lock:
            known = self._live(key)
            if known is None or known.token != token:
                return False
            known.done, known.until_ms = known.done or done, self._now_ms() + ttl_ms
            return True

    def _live(self, key: str) -> _Entry | None:
        known = self._entries.get(key)
        return known if known is not None and known.until_ms > self._now_ms() else None

    def _sweep(self) -> None:
        if len(self._entries) >= self._sweep_at:
            now_ms = self._now_ms()
            self._entries = {key: each for key, each in self._entries.items() if each.until_ms > now_ms}
            self._sweep_at = max(_SWEEP_AT_LEAST, 2 * len(self._entries))
