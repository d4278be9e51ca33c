"""A circuit of a store, as the storage that pybreaker asks for."""

from datetime import UTC, datetime
from typing import NoReturn

import pybreaker

from .circuits import Circuits
from .state import BreakerState, check_key
from .store import CircuitBreakerStore


class CircuitStorage(pybreaker.CircuitBreakerStorage):
    """What a process knows of one circuit, at most a second old.

    It is written by `CircuitBreaker` alone, each call's end in one atomic step. pybreaker's own class, which counts in
    several steps, is refused at its first call.

    Parameters:
      store: Where the circuit is kept, shared by all processes. Or the circuits of a process, which are read together.
      key: Names the circuit, like `ai` or `publish:wordpress:example.org`.

    Raises:
        ValueError: the key cannot be one.

    Example:
      >>> storage = CircuitStorage(RedisCircuitBreakerStore(client), "ai")
      >>> ai = CircuitBreaker(fail_max=3, reset_timeout=10, state_storage=storage)
    """

    def __init__(self, store: CircuitBreakerStore | Circuits, key: str) -> None:
        super().__init__(type(store).__name__)
        self.key = check_key(key)
        self.circuits = store if isinstance(store, Circuits) else Circuits(store)

    @property
    def circuit(self) -> BreakerState:
        """All that is known of it; where each org has a circuit of its own, of the one of the job's org.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        return self.circuits.state(self.circuits.full_key(self.key, None))

    @property
    def state(self) -> str:
        """`closed`, `open` or, as soon as its time is over, `half-open`."""
        return self.circuit.state

    @state.setter
    def state(self, state: str) -> None:
        _refuse_steps()

    @property
    def counter(self) -> int:
        """Failures in a row, over all processes."""
        return self.circuit.failures

    @property
    def success_counter(self) -> int:
        """Trials that have succeeded since it became half-open, over all processes."""
        return self.circuit.successes

    @property
    def opened_at(self) -> datetime | None:
        """When it opened, by the store's clock; None unless it is open."""
        circuit = self.circuit
        if circuit.state != "open" or circuit.since_ms is None:
            return None
        return datetime.fromtimestamp(circuit.since_ms / 1_000, UTC)

    @opened_at.setter
    def opened_at(self, opened_at: datetime) -> None:
        _refuse_steps()

    def increment_counter(self) -> None:
        _refuse_steps()

    def reset_counter(self) -> None:
        _refuse_steps()

    def increment_success_counter(self) -> None:
        _refuse_steps()

    def reset_success_counter(self) -> None:
        _refuse_steps()


def _refuse_steps() -> NoReturn:
    raise TypeError(
        "a call's end is written in one step, which pybreaker.CircuitBreaker cannot do: "
        "use CircuitBreaker of this library, or breakers[key]"
    )
