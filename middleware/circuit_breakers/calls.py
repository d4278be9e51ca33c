"""Calls through circuit breakers: may this one be made, and what does its end say."""

import logging
import random
import time
from collections.abc import Callable, Mapping
from uuid import uuid4

from ..base.classification import class_name
from ..base.emit import emit_counter
from ..base.errors import Parked
from .cache import BreakerCache
from .state import (
    BreakerRule,
    BreakerState,
    State,
    Verdict,
    check_key,
    counts_as_failure,
    open_for_s,
    tells_nothing,
)
from .store import Change, CircuitBreakerStore

#: How long jobs are parked while all trials are being made, in milliseconds.
TRIALS_DELAY_MS = 1_000

#: How often jobs look again at a circuit that an operator holds open, in milliseconds.
FORCED_DELAY_MS = 30_000

#: Parked jobs come back spread over this part of their wait, and at least over this many milliseconds.
SPREAD_PART = 0.1
LEAST_SPREAD_MS = 1_000

logger = logging.getLogger(__name__)


class BreakerCalls:
    """Asks the cache first and the store only when something is wrong.

    Raises `StoreUnavailable` from everything that has to ask the store and cannot. Parameters as for
    `CircuitBreakers`.

    Example:
      >>> token = calls.enter("ai")
      >>> calls.record("ai", token, None)
    """

    def __init__(
        self,
        store: CircuitBreakerStore,
        *,
        rule: BreakerRule | None = None,
        rules: Mapping[str, BreakerRule] | None = None,
        counts: Callable[[BaseException], bool] = counts_as_failure,
        refresh_s: float = 1.0,
        uniform: Callable[[float, float], float] = random.uniform,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        for name in rules or {}:
            if ":" in check_key(name):
                first = name.partition(":")[0]
                raise ValueError(f"rules are by the first part of a key: {first!r}, not {name!r}")
        self._store = store
        self._rule = rule or BreakerRule()
        self._rules = dict(rules or {})
        self._counts = counts
        self._uniform = uniform
        self._cache = BreakerCache(store, refresh_s=refresh_s, monotonic=monotonic)

    def full_key(self, key: str, org: str | None) -> str:
        """The circuit of a dependency, or the org's own where the rule says so."""
        return f"{key}@{org}" if org is not None and self._rule_of(key).per_org else key

    def state(self, key: str) -> BreakerState:
        """What this process knows of a circuit."""
        return self._cache.get(key)

    def states(self) -> list[BreakerState]:
        """All circuits that have something to say, read afresh."""
        reading = self._store.read(None)
        return sorted(reading.states.values(), key=lambda each: each.key) if reading else []

    def open_circuits(self, key: str) -> list[BreakerState]:
        """What is known to be open of a dependency: its circuit or, where each org has its own, theirs."""
        shared = self._cache.get(key)
        if not self._rule_of(key).per_org:
            return [shared] if shared.state == "open" else []
        if shared.forced == "open":
            return [shared]
        own = [self._cache.get(each) for each in self._cache.known() if each.startswith(f"{key}@")]
        return [each for each in own if each.state == "open"]

    def all_open(self) -> set[str]:
        """The keys of all circuits that are known to be open."""
        return {key for key in self._cache.known() if self._cache.get(key).state == "open"}

    def refuse_if_open(self, key: str) -> None:
        """Raises `Parked` until a circuit that is open may close; takes no trial."""
        self._refuse(self._cache.get(key))

    def enter(self, key: str, token: str | None = None) -> str | None:
        """Ask to make a call: the token of a trial when the circuit is half-open, None when it is closed.

        Parameters:
            key: the circuit.
            token: of a trial that the caller has in hand already. Default None.

        Raises:
            Parked: it is open, or all trials are being made.
        """
        state = self._cache.get(key)
        self._refuse(state)
        if state.state == "closed":
            return None
        token = token or uuid4().hex
        permit = self._store.take_trial(key, token, self._rule_of(key))
        self._cache.put(permit.state)
        if permit.first:
            self._tell(Change(before="open", after=permit.state))
        self._refuse(permit.state)
        if permit.granted:
            return token if permit.state.state == "half-open" else None
        delay_ms = TRIALS_DELAY_MS + self._uniform(0, LEAST_SPREAD_MS)
        raise Parked(f"{state.dependency} is being tried", delay_ms=int(delay_ms), key=f"breaker:{key}")

    def record(self, key: str, token: str | None, error: BaseException | None) -> None:
        """Take in how a call ended; writes nothing when nothing is different for it."""
        verdict = self._verdict(error)
        open_s = None if error is None else open_for_s(error)
        if token is None and open_s is None and (verdict == "nothing" or self._is_spotless(key, verdict)):
            return
        reason = "" if error is None else class_name(error)
        change = self._store.record(
            key, verdict, self._rule_of(key), token=token, open_s=open_s, reason=reason
        )
        self._cache.put(change.after)
        self._tell(change)

    def give_back(self, key: str, token: str) -> None:
        """Return a trial that was not used."""
        self._store.record(key, "nothing", self._rule_of(key), token=token)

    def force(self, key: str, to: State | None, reason: str, who: str) -> BreakerState:
        """Hold a circuit open or closed, or reset it."""
        check_key(key.partition("@")[0])
        if not reason.strip():
            raise ValueError("say the reason; it is shown to whoever asks why jobs wait")
        change = self._store.force(key, to, reason=reason, who=who, rule=self._rule_of(key))
        logger.warning("Circuit %s is %s by %s: %s", key, to or "reset", who or "somebody", reason)
        self._cache.put(change.after)
        self._tell(change)
        return change.after

    def _refuse(self, state: BreakerState) -> None:
        if state.state != "open":
            return
        wait_ms = FORCED_DELAY_MS if state.wait_ms is None else state.wait_ms
        delay_ms = wait_ms + self._uniform(0, max(LEAST_SPREAD_MS, wait_ms * SPREAD_PART))
        raise Parked(f"{state.dependency} is down", delay_ms=int(delay_ms), key=f"breaker:{state.key}")

    def _is_spotless(self, key: str, verdict: Verdict) -> bool:
        # Asked before a failure is written too: it answers at once when the store is known to be away.
        return self._cache.get(key).failures == 0 and verdict == "success"

    def _verdict(self, error: BaseException | None) -> Verdict:
        if error is None:
            return "success"
        return "failure" if not tells_nothing(error) and self._counts(error) else "nothing"

    def _tell(self, change: Change) -> None:
        after = change.after
        if change.before == after.state:
            return
        emit_counter("breaker_transitions_total", {"dependency": after.dependency, "to": after.state})
        level = logging.WARNING if after.state == "open" else logging.INFO
        logger.log(
            level, "Circuit %s went from %s to %s: %s", after.key, change.before, after.state, after.reason
        )

    def _rule_of(self, key: str) -> BreakerRule:
        return self._rules.get(key.partition("@")[0].partition(":")[0], self._rule)
