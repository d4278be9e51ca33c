"""All circuits of one store as a process knows them: its memory is asked first, the store when something is wrong."""

import logging
import random
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from uuid import uuid4

from ..base.classification import class_name
from ..base.emit import emit_counter
from .cache import BreakerCache
from .errors import CircuitOpen
from .state import BreakerRule, BreakerState, State, Verdict, check_key, open_for_s
from .store import Change, CircuitBreakerStore

#: How long jobs are parked while all trials are being made, in milliseconds.
TRIALS_DELAY_MS = 1_000

#: How often jobs check a circuit that an operator holds open, in milliseconds.
FORCED_DELAY_MS = 30_000

#: Parked jobs come back spread over this part of their wait, and at least over this many milliseconds.
SPREAD_PART = 0.1
MIN_SPREAD_MS = 1_000

logger = logging.getLogger(__name__)


@dataclass
class Job:
    """The job of a thread or task: whose it is, and the trials it was admitted with."""

    org: str | None = None
    #: Tokens, by circuit.
    trials: dict[str, str] = field(default_factory=dict)


class Circuits:
    """Enters and records calls, and changes circuits by hand.

    Raises `StoreUnavailable` from everything that has to ask the store and cannot.

    Parameters:
      store: Where circuits are kept.
      rule: Applies to dependencies that have none of their own. Default `BreakerRule()`.
      rules: Rules of dependencies that differ, by the first part of their keys. Default none.
      refresh_s: How old a reading may be, in seconds. Default 1.
      uniform: Draws a number between two, to spread parked jobs; for tests. Default `random.uniform`.
      monotonic: Seconds from a clock that never goes back; for tests.

    Example:
      >>> token = circuits.enter("ai", rule)
      >>> circuits.record("ai", rule, token, "success", None)
    """

    def __init__(
        self,
        store: CircuitBreakerStore,
        *,
        rule: BreakerRule | None = None,
        rules: Mapping[str, BreakerRule] | None = None,
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
        self._uniform = uniform
        self._cache = BreakerCache(store, refresh_s=refresh_s, monotonic=monotonic)
        #: Follows a job from its thread into its coroutines.
        self.job: ContextVar[Job | None] = ContextVar("circuit_breakers_job", default=None)

    def rule_of(self, key: str) -> BreakerRule:
        """The rule of a dependency, or of a circuit of it."""
        return self._rules.get(key.partition("@")[0].partition(":")[0], self._rule)

    def full_key(self, key: str, org: str | None) -> str:
        """The circuit of a dependency, or the org's own where the rule says so; by default the org of the job."""
        if not self.rule_of(key).per_org:
            return key
        job = self.job.get()
        org = org or (job.org if job else None)
        return key if org is None else f"{key}@{org}"

    def state(self, key: str) -> BreakerState:
        """What this process knows of a circuit."""
        return self._cache.get(key)

    def states(self) -> list[BreakerState]:
        """All circuits that have something to say, read afresh."""
        reading = self._store.read(None)
        return sorted(reading.states.values(), key=lambda state: state.key) if reading else []

    def open_circuits(self, key: str) -> list[BreakerState]:
        """What is known to be open of a dependency: its circuit or, where each org has its own, theirs."""
        shared = self._cache.get(key)
        if not self.rule_of(key).per_org:
            return [shared] if shared.state == "open" else []
        if shared.forced == "open":
            return [shared]
        own = [self._cache.get(known) for known in self._cache.known() if known.startswith(f"{key}@")]
        return [state for state in own if state.state == "open"]

    def all_open(self) -> set[str]:
        """The keys of all circuits that are known to be open."""
        return {key for key in self._cache.known() if self._cache.get(key).state == "open"}

    def refuse_if_open(self, key: str) -> None:
        """Raises `CircuitOpen` until a circuit that is open may close; takes no trial."""
        self._refuse(self._cache.get(key))

    def enter(self, key: str, rule: BreakerRule) -> str | None:
        """Ask to make a call: the token of a trial when the circuit is half-open, None when it is closed.

        A trial that the job was admitted with is used up by its first call.

        Raises:
            CircuitOpen: it is open, or all trials are being made.
        """
        state = self._cache.get(key)
        job = self.job.get()
        token = job.trials.pop(key, None) if job else None
        if state.state == "closed":
            return None
        self._refuse(state)
        token = token or uuid4().hex
        permit = self._store.take_trial(key, token, rule)
        self._cache.put(permit.state, permit.as_of)
        if permit.first:
            self._report(Change(before="open", after=permit.state))
        self._refuse(permit.state)
        if permit.granted:
            return token if permit.state.state == "half-open" else None
        delay_ms = TRIALS_DELAY_MS + self._uniform(0, MIN_SPREAD_MS)
        raise CircuitOpen(f"{state.dependency} is being tried", delay_ms=int(delay_ms), key=f"breaker:{key}")

    def record(
        self, key: str, rule: BreakerRule, token: str | None, verdict: Verdict, error: BaseException | None
    ) -> Change | None:
        """Take in how a call ended, in one step; returns None and writes nothing when nothing is different for it."""
        open_s = None if error is None else open_for_s(error)
        if token is None and open_s is None and (verdict == "nothing" or self._is_no_news(key, verdict)):
            return None
        reason = "" if error is None else class_name(error)
        return self._took(self._store.record(key, verdict, rule, token=token, open_s=open_s, reason=reason))

    def give_back(self, key: str, token: str) -> None:
        """Return a trial that was not used."""
        self._store.record(key, "nothing", self.rule_of(key), token=token)

    def force(self, key: str, to: State | None, reason: str, who: str) -> BreakerState:
        """Hold a circuit open or closed, or reset it."""
        check_key(key.partition("@")[0])
        if not reason.strip():
            raise ValueError("say the reason; it is shown to whoever asks why jobs wait")
        change = self._store.force(key, to, reason=reason, who=who, rule=self.rule_of(key))
        logger.warning("Circuit %s is %s by %s: %s", key, to or "reset", who or "somebody", reason)
        return self._took(change).after

    def set_state(self, key: str, to: State, rule: BreakerRule) -> None:
        """Put a circuit into a state from which it goes on by itself; one that an operator holds stays as it is."""
        self._took(self._store.set_state(key, to, reason="set by the program", rule=rule))

    def _refuse(self, state: BreakerState) -> None:
        if state.state != "open":
            return
        wait_ms = FORCED_DELAY_MS if state.wait_ms is None else state.wait_ms
        delay_ms = wait_ms + self._uniform(0, max(MIN_SPREAD_MS, wait_ms * SPREAD_PART))
        raise CircuitOpen(f"{state.dependency} is down", delay_ms=int(delay_ms), key=f"breaker:{state.key}")

    def _is_no_news(self, key: str, verdict: Verdict) -> bool:
        # Asked before a failure is written too: it answers at once when the store is known to be away.
        state = self._cache.get(key)
        return verdict == "success" and (state.failures == 0 or state.state != "closed")

    def _took(self, change: Change) -> Change:
        self._cache.put(change.after, change.as_of)
        self._report(change)
        return change

    def _report(self, change: Change) -> None:
        after = change.after
        if change.before == after.state:
            return
        emit_counter("breaker_transitions_total", {"dependency": after.dependency, "to": after.state})
        level = logging.WARNING if after.state == "open" else logging.INFO
        logger.log(
            level, "Circuit %s went from %s to %s: %s", after.key, change.before, after.state, after.reason
        )
