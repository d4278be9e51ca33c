"""What a circuit breaker knows and how it reads the world: its rule, its state, its verdict on an exception.

The names of the states are pybreaker's, so that dashboards need not change.
"""

import re
from dataclasses import dataclass
from typing import Literal

from dramatiq import Retry
from dramatiq.middleware import TimeLimitExceeded

from ..base.classification import category_of, retry_after_s
from ..base.errors import GuardError

State = Literal["closed", "half-open", "open"]

#: What a finished call says about the dependency.
Verdict = Literal["success", "failure", "nothing"]

#: Categories of faults that are the caller's own.
CALLERS_FAULT = frozenset({"validation", "auth", "cancelled"})

#: From here on a `Retry-After` opens the circuit until then; a shorter one is an ordinary failure.
SHORT_RETRY_AFTER_S = 5.0

#: However long a `Retry-After` asks for, a trial is made after a day.
LONGEST_OPEN_S = 24 * 60 * 60.0

#: The values of a gauge of states.
GAUGE_VALUES: dict[State, float] = {"closed": 0, "half-open": 1, "open": 2}

_KEY = re.compile(r"[A-Za-z0-9_.~\[\]-]+(:[A-Za-z0-9_.~\[\]-]+)*")


@dataclass(frozen=True, kw_only=True)
class BreakerRule:
    """When a circuit opens and how it closes.

    Parameters:
      failures: Failures in a row, over all processes, that open it. Default 5.
      open_s: Seconds it stays open before trials are made. Default 30.
      trials: Calls let through half-open, over all processes, and successes that close it. Default 3.
      trial_lease_s: Seconds a trial may take before another may be made in its place; longer than the slowest
        call. Default 60.
      forget_s: Seconds after which a circuit that nobody calls is forgotten, its failures too. Default 600.
      per_org: Whether every org has a circuit of its own. Default False.

    Example:
      >>> BreakerRule(failures=3, open_s=10)
    """

    failures: int = 5
    open_s: float = 30.0
    trials: int = 3
    trial_lease_s: float = 60.0
    forget_s: float = 600.0
    per_org: bool = False

    def __post_init__(self) -> None:
        for name in ("failures", "trials"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("open_s", "trial_lease_s", "forget_s"):
            if not 0.001 <= getattr(self, name) <= LONGEST_OPEN_S:
                raise ValueError(f"{name} must be 0.001 to {LONGEST_OPEN_S:.0f}, not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class BreakerState:
    """What is known of one circuit."""

    #: The dependency, `ai` or `publish:wordpress:<host>`, with `@<org>` behind it where each org has its own.
    key: str
    state: State = "closed"
    #: Failures in a row since it was last well; those that opened it stay counted until it is closed.
    failures: int = 0
    #: Trials that have succeeded since it became half-open.
    successes: int = 0
    #: Milliseconds until trials are made; 0 unless open. An operator's word has no end: None.
    wait_ms: int | None = 0
    #: What an operator set it to, whatever happens; None when nobody did.
    forced: Literal["closed", "open"] | None = None
    #: Why it is in this state, in a few words.
    reason: str = ""
    #: Who forced or reset it; empty when it came about by itself.
    who: str = ""
    #: Since when it is in this state, in milliseconds since 1970; None when nothing is known of it.
    since_ms: int | None = None
    #: When trials are made, in milliseconds since 1970; None unless open.
    until_ms: int | None = None

    @property
    def dependency(self) -> str:
        """The first part of the key, which is few enough for a label."""
        return self.key.partition("@")[0].partition(":")[0]


def describe(
    key: str,
    now_ms: int,
    *,
    failures: int = 0,
    successes: int = 0,
    until_ms: int | None = None,
    forced: Literal["closed", "open"] | None = None,
    reason: str = "",
    who: str = "",
    since_ms: int | None = None,
) -> BreakerState:
    """The state that follows from what a store keeps of a circuit, at a moment of the store's clock.

    Once `until_ms` has passed a circuit is half-open without anybody writing so.
    """
    state: State = "closed"
    if forced is not None:
        state = forced
    elif until_ms is not None:
        state = "open" if now_ms < until_ms else "half-open"
    waits = state == "open" and until_ms is not None and forced is None
    return BreakerState(
        key=key,
        state=state,
        failures=failures,
        successes=successes,
        wait_ms=until_ms - now_ms if waits and until_ms is not None else (None if forced == "open" else 0),
        forced=forced,
        reason=reason,
        who=who,
        since_ms=since_ms,
        until_ms=until_ms if waits else None,
    )


def check_key(key: object) -> str:
    """The key, if it is one.

    Raises:
        ValueError: it is not; the message says how keys look.
    """
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValueError(
            f"a dependency is letters, digits and '_.~-' in parts joined by ':', like 'ai' or "
            f"'publish:wordpress:example.org', not {key!r}"
        )
    return key


def is_control_flow(exception: BaseException) -> bool:
    """Say if an exception is about the job and not about what it called.

    That is what guards raise (`Parked` among it), Dramatiq's `Retry`, a worker that stops, and whatever else is
    not an `Exception`, like a cancelled task. A time limit is not: the dependency was too slow for it.
    """
    return isinstance(exception, GuardError | Retry) or not isinstance(
        exception, Exception | TimeLimitExceeded
    )


def counts_as_failure(exception: BaseException) -> bool:
    """Say if an exception is the dependency's fault.

    Not its fault are the categories validation, auth and cancelled, and HTTP statuses 400 to 499 except 429. The
    status is looked for in `status_code` of the exception or of its `response`.

    Example:
        >>> counts_as_failure(ConnectionError())
        True
    """
    if category_of(exception) in CALLERS_FAULT:
        return False
    status = _http_status(exception)
    return status is None or not 400 <= status < 500 or status == 429


def open_for_s(exception: BaseException) -> float | None:
    """For how many seconds the dependency asked to be left alone, if that is long enough to park jobs for."""
    asked_s = retry_after_s(exception)
    if asked_s is None or asked_s <= SHORT_RETRY_AFTER_S or isinstance(exception, GuardError):
        return None
    return min(asked_s, LONGEST_OPEN_S)


def _http_status(exception: BaseException) -> int | None:
    for holder in (exception, getattr(exception, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int):
            return status
    return None
