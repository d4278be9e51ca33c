"""Stores of circuits, and a way to let time pass for them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from middleware.circuit_breakers.state import BreakerRule
from middleware.circuit_breakers.store import CircuitBreakerStore

#: Two failures open it for ten seconds; two successes close it; a trial may take five.
RULE = BreakerRule(failures=2, open_s=10, trials=2, trial_lease_s=5, forget_s=60)


@dataclass
class Stage:
    """A store, and a way to let time pass for it."""

    store: CircuitBreakerStore
    pass_s: Callable[[float], None]


def fail(store: CircuitBreakerStore, times: int, key: str = "ai", **more: Any) -> None:
    """Record failures in a row."""
    for _ in range(times):
        store.record(key, "failure", RULE, reason="OSError", **more)


def half_open(stage: Stage) -> CircuitBreakerStore:
    """A circuit that has opened and waited."""
    fail(stage.store, 2)
    stage.pass_s(11)
    return stage.store


def take_trials(store: CircuitBreakerStore, count: int) -> list[Any]:
    """Ask for so many trials, each by a token of its own."""
    return [store.take_trial("ai", f"token {number}", RULE) for number in range(count)]
