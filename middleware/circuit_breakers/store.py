"""What circuit breakers ask of a store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from .state import BreakerRule, BreakerState, State, Verdict


@dataclass(frozen=True)
class Reading:
    """All circuits that have something to say, as they were at one moment."""

    #: Differs from that of every earlier reading that differs.
    version: str
    states: Mapping[str, BreakerState]
    #: Grows from answer to answer of a store, so that of two the later is known.
    as_of: int = 0


@dataclass(frozen=True, kw_only=True)
class Permit:
    """The answer to whoever asks to call a half-open dependency."""

    granted: bool
    state: BreakerState
    #: This was the first call since the circuit had opened.
    first: bool = False
    #: As of a reading.
    as_of: int = 0


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a circuit was before something happened, and what it is now."""

    before: State
    after: BreakerState
    #: As of a reading.
    as_of: int = 0


class CircuitBreakerStore(Protocol):
    """Where circuits are kept, shared by all processes. Each call is one atomic step.

    All raise `StoreUnavailable` when the store does not answer.
    """

    def read(self, known_version: str | None) -> Reading | None:
        """All circuits that have something to say; None when that is what `known_version` said."""

    def take_trial(self, key: str, token: str, rule: BreakerRule) -> Permit:
        """Ask to call a half-open dependency; the same token asks again for the same trial.

        Trials that are being made and successful ones are together at most `rule.trials`; one that is not recorded
        within `rule.trial_lease_s` is given to another. A circuit that is closed by now grants without counting.
        """

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
        """Record how a call ended.

        With the token of a trial that is being made, a failure opens the circuit again, the last success closes it, and
        nothing gives the trial back. Without one, failures and successes count while the circuit is closed.
        `open_s` opens it for so many seconds whatever the verdict. A forced circuit stays as it is.
        """

    def force(self, key: str, to: State | None, *, reason: str, who: str, rule: BreakerRule) -> Change:
        """Hold a circuit `open` or `closed` until further notice; None: close it and let it work by itself."""

    def set_state(self, key: str, to: State, *, reason: str, rule: BreakerRule) -> Change:
        """Put a circuit into a state from which it goes on by itself. A forced circuit stays as it is."""
