"""Circuits in this process's memory."""

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from .state import BreakerRule, BreakerState, State, Verdict, describe
from .store import Change, Permit, Reading


class MemoryCircuitBreakerStore:
    """Keeps circuits in a dictionary, shared by the threads of one process.

    Parameters:
      now_ms: Milliseconds since 1970; for tests. Default: the system's clock.

    Example:
      >>> CircuitBreakers(MemoryCircuitBreakerStore())
    """

    def __init__(self, *, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._circuits: dict[str, _Circuit] = {}
        self._version = 0
        self._answers = itertools.count(1)

    def read(self, known_version: str | None) -> Reading | None:
        with self._lock:
            if known_version == str(self._version):
                return None
            now_ms = self._now_ms()
            self._circuits = {key: each for key, each in self._circuits.items() if each.lives(now_ms)}
            states = {key: each.describe(key, now_ms) for key, each in self._circuits.items()}
            return Reading(str(self._version), states, as_of=next(self._answers))

    def take_trial(self, key: str, token: str, rule: BreakerRule) -> Permit:
        with self._lock:
            now_ms = self._now_ms()
            circuit = self._circuit(key, now_ms)
            state = circuit.describe(key, now_ms)
            if state.state != "half-open":
                return Permit(granted=state.state == "closed", state=state, as_of=next(self._answers))
            circuit.trials = {each: till for each, till in circuit.trials.items() if till > now_ms}
            if token not in circuit.trials and len(circuit.trials) + circuit.successes >= rule.trials:
                return Permit(granted=False, state=state, as_of=next(self._answers))
            circuit.trials[token] = now_ms + _ms(rule.trial_lease_s)
            first, circuit.tried = not circuit.tried, True
            return Permit(granted=True, first=first, state=state, as_of=next(self._answers))

    def record(
        self,
        key: str,
        verdict: Verdict,
        rule: BreakerRule,
        *,
        token: str | None = None,
        open_s: float | None = None,
        reason: str = "",
    ) -> Change:
        with self._lock:
            now_ms = self._now_ms()
            circuit = self._circuit(key, now_ms)
            before = circuit.describe(key, now_ms).state
            is_leased = circuit.trials.pop(token or "", 0) > now_ms
            changed = circuit.forced is None and circuit.take(
                verdict, rule, now_ms, state=before, is_leased=is_leased, open_s=open_s, reason=reason
            )
            if changed:
                self._put(key, circuit)
            return Change(before=before, after=circuit.describe(key, now_ms), as_of=next(self._answers))

    def force(self, key: str, to: State | None, *, reason: str, who: str, rule: BreakerRule) -> Change:
        with self._lock:
            now_ms = self._now_ms()
            before = self._circuit(key, now_ms).describe(key, now_ms).state
            circuit = _Circuit(
                reason=reason, who=who, since_ms=now_ms, expires_ms=now_ms + _ms(rule.forget_s)
            )
            if to == "open" or to == "closed":
                circuit.forced = to
            self._put(key, circuit)
            return Change(before=before, after=circuit.describe(key, now_ms), as_of=next(self._answers))

    def set_state(self, key: str, to: State, *, reason: str, rule: BreakerRule) -> Change:
        with self._lock:
            now_ms = self._now_ms()
            circuit = self._circuit(key, now_ms)
            before = circuit.describe(key, now_ms).state
            if circuit.forced is None:
                circuit.set_state(to, rule, now_ms, reason=reason)
                self._put(key, circuit)
            return Change(before=before, after=circuit.describe(key, now_ms), as_of=next(self._answers))

    def _circuit(self, key: str, now_ms: int) -> "_Circuit":
        known = self._circuits.get(key)
        return known if known is not None and known.lives(now_ms) else _Circuit()

    def _put(self, key: str, circuit: "_Circuit") -> None:
        self._circuits[key] = circuit
        self._version += 1


@dataclass(kw_only=True)
class _Circuit:
    failures: int = 0
    until_ms: int | None = None
    successes: int = 0
    #: Tokens of trials that are being made, and when they are given to another.
    trials: dict[str, int] = field(default_factory=dict)
    #: Whether a trial was made since it opened.
    tried: bool = False
    forced: Literal["closed", "open"] | None = None
    reason: str = ""
    who: str = ""
    since_ms: int | None = None
    expires_ms: int = 0

    def lives(self, now_ms: int) -> bool:
        return self.forced is not None or self.expires_ms > now_ms

    def describe(self, key: str, now_ms: int) -> BreakerState:
        return describe(
            key,
            now_ms,
            failures=self.failures,
            successes=self.successes,
            until_ms=self.until_ms,
            forced=self.forced,
            reason=self.reason,
            who=self.who,
            since_ms=self.since_ms,
        )

    def take(
        self,
        verdict: Verdict,
        rule: BreakerRule,
        now_ms: int,
        *,
        state: State,
        is_leased: bool,
        open_s: float | None,
        reason: str,
    ) -> bool:
        """Take a verdict in; return True when anything is different for it."""
        is_trial = state == "half-open" and is_leased
        if open_s is not None:
            until_ms = max(now_ms + _ms(open_s), self.until_ms or 0)
            self.failures += verdict == "failure"
            self._open(until_ms, now_ms, state, f"it asked to be left alone: {reason}")
        elif is_trial and verdict == "failure":
            self.failures += 1
            self._open(now_ms + _ms(rule.open_s), now_ms, state, f"a trial failed: {reason}")
        elif is_trial and verdict == "success":
            self.successes, self.failures = self.successes + 1, 0
            if self.successes >= rule.trials:
                self._close(now_ms, "all trials succeeded")
        elif state == "closed" and verdict == "failure":
            self.failures += 1
            if self.failures >= rule.failures:
                until_ms = now_ms + _ms(rule.open_s)
                self._open(until_ms, now_ms, state, f"{self.failures} failures, the last: {reason}")
        elif state == "closed" and verdict == "success" and self.failures:
            self.failures = 0
        else:
            return False
        self.expires_ms = max(now_ms, self.until_ms or 0) + _ms(rule.forget_s)
        return True

    def set_state(self, to: State, rule: BreakerRule, now_ms: int, *, reason: str) -> None:
        """Put it into a state from which it goes on by itself."""
        if to == "closed":
            self._close(now_ms, reason)
        else:
            until_ms = now_ms + (_ms(rule.open_s) if to == "open" else 0)
            self._open(until_ms, now_ms, "closed", reason)
            # Nobody is to report again that it is half-open.
            self.tried = to == "half-open"
        self.expires_ms = max(now_ms, self.until_ms or 0) + _ms(rule.forget_s)

    def _open(self, until_ms: int, now_ms: int, state: State, reason: str) -> None:
        self.until_ms, self.reason, self.who = until_ms, reason, ""
        self.successes, self.tried = 0, False
        self.trials.clear()
        if state != "open":
            self.since_ms = now_ms

    def _close(self, now_ms: int, reason: str) -> None:
        self.until_ms, self.failures, self.successes, self.tried = None, 0, 0, False
        self.trials.clear()
        self.reason, self.who, self.since_ms = reason, "", now_ms


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)
