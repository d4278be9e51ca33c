"""What a process knows of all circuits, read at most once a second however many jobs ask."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from ..base.emit import emit_gauge
from ..base.errors import StoreUnavailable
from .state import GAUGE_VALUES, BreakerState
from .store import CircuitBreakerStore, Reading

#: A reading this many refreshes old is not used any more while another thread makes a new one.
STALE_AFTER_REFRESHES = 5

#: How often everything is read although nothing has changed: what a store forgets changes nothing.
READ_ALL_S = 60.0


class BreakerCache:
    """The last reading, refreshed by whichever thread asks first once it is old.

    Parameters:
      store: Where readings come from.
      refresh_s: How old a reading may be, in seconds. Default 1.
      monotonic: Seconds from a clock that never goes back; for tests.

    Example:
      >>> BreakerCache(store).get("ai").state
      'closed'
    """

    def __init__(
        self,
        store: CircuitBreakerStore,
        *,
        refresh_s: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if refresh_s <= 0:
            raise ValueError(f"refresh_s must be more than 0, not {refresh_s}")
        self._store = store
        self._refresh_s = refresh_s
        self._monotonic = monotonic
        self._refreshing = threading.Lock()
        self._changing = threading.Lock()
        self._version: str | None = None
        #: When it was learned by this clock, as of when by the store's answers, and what.
        self._states: dict[str, tuple[float, int, BreakerState]] = {}
        self._read_as_of = 0
        self._asked_at: float | None = None
        self._read_all_at = 0.0
        self._failed = False
        self._shown: set[str] = set()

    def get(self, key: str) -> BreakerState:
        """What is known of one circuit; its wait is what is left of it now.

        What an operator forced `publish` to holds for `publish:wordpress:<host>` too, and for every org.

        Raises:
            StoreUnavailable: the last reading failed, at most `refresh_s` ago.
        """
        self._refresh_if_old()
        if self._failed:
            raise StoreUnavailable(
                "the circuit breakers' store did not answer; this is asked again in a moment"
            )
        return self._forced_above(key) or self._now(key)

    def known(self) -> list[str]:
        """The keys of all circuits that had something to say in the last reading."""
        with self._changing:
            return list(self._states)

    def put(self, state: BreakerState, as_of: int = 0) -> None:
        """Take over what this process has just learned about one circuit, unless it knows something later."""
        with self._changing:
            known = self._states.get(state.key)
            # Threads that have their answers at the same moment come in any order.
            if as_of >= (self._read_as_of if known is None else known[1]):
                self._states[state.key] = (self._monotonic(), as_of, state)
        self._show(state.dependency)

    def _refresh_if_old(self) -> None:
        age_s = self._age_s()
        if age_s is not None and age_s < self._refresh_s:
            return
        # One thread asks; the others go on with what is known, unless that is nothing or too old.
        wait = age_s is None or age_s >= self._refresh_s * STALE_AFTER_REFRESHES
        if not self._refreshing.acquire(blocking=wait):
            return
        try:
            age_s = self._age_s()
            if age_s is None or age_s >= self._refresh_s:
                self._refresh()
        finally:
            self._refreshing.release()

    def _refresh(self) -> None:
        if self._monotonic() - self._read_all_at >= READ_ALL_S:
            self._version = None
        try:
            reading = self._store.read(self._version)
        except StoreUnavailable:
            self._failed = True
            self._version = None
        else:
            self._failed = False
            if reading is not None:
                self._replace(reading)
            self._show()
        finally:
            # After the answer: waiting for it must not use up the time until the next question.
            self._asked_at = self._monotonic()

    def _replace(self, reading: Reading) -> None:
        now = self._monotonic()
        with self._changing:
            later = {key: known for key, known in self._states.items() if known[1] > reading.as_of}
            self._states = {key: (now, reading.as_of, state) for key, state in reading.states.items()}
            if self._version is None:
                self._read_all_at = now
            elif reading.as_of >= self._read_as_of:
                # Otherwise the store's clock went back, and its answers are later than they say.
                self._states |= later
            self._read_as_of = reading.as_of
            self._version = reading.version
            self._shown |= {state.dependency for state in reading.states.values()}

    def _now(self, key: str) -> BreakerState:
        with self._changing:
            known = self._states.get(key)
        if known is None:
            return _closed(key)
        at, _, state = known
        if state.state != "open" or state.wait_ms is None:
            return state
        left_ms = state.wait_ms - int((self._monotonic() - at) * 1_000)
        if left_ms > 0:
            return replace(state, wait_ms=left_ms)
        return replace(state, state="half-open", wait_ms=0)

    def _forced_above(self, key: str) -> BreakerState | None:
        if not self._states:
            return None
        shared, at, _ = key.partition("@")
        parts = shared.split(":")
        for length in range(len(parts) if at else len(parts) - 1, 0, -1):
            above = self._now(":".join(parts[:length]))
            if above.forced is not None:
                return replace(above, key=key)
        return None

    def _show(self, *dependencies: str) -> None:
        """Set the gauge to the worst state among the circuits of these dependencies, or of all ever seen."""
        with self._changing:
            self._shown.update(dependencies)
            worst = dict.fromkeys(dependencies or self._shown, 0.0)
            keys = list(self._states)
        for state in map(self._now, keys):
            if state.dependency in worst:
                worst[state.dependency] = max(worst[state.dependency], GAUGE_VALUES[state.state])
        for dependency, value in worst.items():
            emit_gauge("breaker_state", value, {"dependency": dependency})

    def _age_s(self) -> float | None:
        return None if self._asked_at is None else self._monotonic() - self._asked_at


@lru_cache(1_024)
def _closed(key: str) -> BreakerState:
    """What is known of a circuit that has nothing to say; making it takes longer than all else a closed call does."""
    return BreakerState(key=key)
