"""Ticks in this process's memory."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from .store import Claim, Look, ms


class MemoryCronStore:
    """Keeps ticks in a dictionary, shared by the threads of one process.

    Parameters:
      now_ms: Milliseconds since 1970; for tests. Default: the system's clock.

    Example:
      >>> Cron(MemoryCronStore())
    """

    def __init__(self, *, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._actors: defaultdict[str, _Ticks] = defaultdict(_Ticks)

    def claim(
        self,
        actor: str,
        minute: int,
        holder: str,
        *,
        window_s: float,
        exclusive_s: float | None,
        covers: int | None,
        owed: bool,
    ) -> Claim:
        with self._lock:
            ticks, now_ms = self._actors[actor], self._now_ms()
            ticks.forget(now_ms)
            owner = ticks.owners.get(minute, _NOBODY).holder
            if owner not in (None, holder):
                return "taken"
            ticks.seen.add(minute)
            owed = owed or owner == holder
            if not owed and minute <= ticks.covered:
                return "covered"
            claimed = _Held(holder, now_ms + ms(window_s))
            if exclusive_s is not None:
                if ticks.runner.holder not in (None, holder):
                    if owed:
                        return "busy"
                    ticks.owners[minute] = claimed
                    return "running"
                ticks.runner = _Held(holder, now_ms + ms(exclusive_s))
            ticks.owners[minute] = claimed
            ticks.covered = max(ticks.covered, -1 if covers is None else covers)
            return "granted"

    def release(self, actor: str, holder: str) -> None:
        with self._lock:
            if self._actors[actor].runner.holder == holder:
                self._actors[actor].runner = _NOBODY

    def note_sent(self, actor: str, minute: int, *, window_s: float) -> None:
        with self._lock:
            seen = self._actors[actor].seen
            seen.add(minute)
            seen -= {each for each in seen if each < minute - window_s // 60}

    def look(self, actor: str, schedule: str, who: str, *, lease_s: float) -> Look | None:
        with self._lock:
            ticks, now_ms = self._actors[actor], self._now_ms()
            ticks.forget(now_ms)
            if ticks.looker.holder not in (None, who):
                return None
            ticks.looker = _Held(who, now_ms + ms(lease_s))
            if ticks.accounted is None or ticks.schedule != schedule:
                ticks.accounted, ticks.schedule = now_ms // 60_000, schedule
            since = ticks.accounted
            return Look(since, frozenset(each for each in ticks.seen if each > since))

    def account(self, actor: str, until: int) -> None:
        with self._lock:
            ticks = self._actors[actor]
            if ticks.accounted is not None and ticks.accounted < until:
                ticks.accounted = until
                ticks.seen = {each for each in ticks.seen if each > until}


@dataclass(frozen=True)
class _Held:
    holder: str | None
    until_ms: int


_NOBODY = _Held(None, 0)


@dataclass(kw_only=True)
class _Ticks:
    """What is known of one actor."""

    owners: dict[int, _Held] = field(default_factory=dict)
    runner: _Held = _NOBODY
    looker: _Held = _NOBODY
    seen: set[int] = field(default_factory=set)
    covered: int = -1
    accounted: int | None = None
    schedule: str = ""

    def forget(self, now_ms: int) -> None:
        self.owners = {minute: each for minute, each in self.owners.items() if each.until_ms > now_ms}
        self.runner = self.runner if self.runner.until_ms > now_ms else _NOBODY
        self.looker = self.looker if self.looker.until_ms > now_ms else _NOBODY
