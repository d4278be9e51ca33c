"""Open circuits at a broker that has gates: jobs that would only be parked are not fetched until there are trials."""

import threading
from collections.abc import Callable

from dramatiq import Actor, Broker

from ..base.delegation import SupportsGates, SupportsParking
from ..base.gates import GatePublisher, Shut, merge_gate
from .circuits import Circuits

#: Names what an actor's messages depend on, whatever is in them.
DependsOn = Callable[["Actor[..., object]"], list[str]]


class BreakerGates:
    """Shuts the actors that depend on what is down, and opens them when it may be tried.

    A circuit that every org has for itself shuts the org's messages to the actor alone. What a single message
    depends on is known only when it is fetched, and is the guard's to park.

    Parameters:
      broker: Has the actors.
      gates: The same broker, seen as one that has gates.
      circuits: What this process knows of them.
      depends_on: What an actor depends on.
    """

    def __init__(
        self, broker: Broker, gates: SupportsGates, circuits: Circuits, depends_on: DependsOn
    ) -> None:
        self._broker = broker
        self._circuits = circuits
        self._depends_on = depends_on
        self._keeper = GatePublisher(gates, "breakers")
        self._lock = threading.Lock()
        self._open: set[str] = set()
        self._closed: set[str] = set()

    def refresh(self) -> None:
        """Compare what is known of all circuits with what the broker has shut, and have it shut that.

        Raises:
            StoreUnavailable: the circuits cannot be read; the gates stay as they are, until their time is over.
            BrokerError: the broker does not answer; the next refresh tries again.
        """
        gates: dict[str, Shut] = {}
        for actor in list(self._broker.actors.values()):
            for name in self._depends_on(actor):
                for state in self._circuits.open_circuits(name):
                    org = state.key.partition("@")[2]
                    gate = f"x:{org}:{actor.actor_name}" if org else f"a:{actor.actor_name}"
                    merge_gate(
                        gates, gate, Shut(state.until_ms, state.wait_ms or 0, f"{state.dependency} is down")
                    )
        self._release(self._circuits.all_open())
        self._keeper.tell(gates)

    def _release(self, still_open: set[str]) -> None:
        """Let go what was parked for circuits that somebody closed before their time."""
        with self._lock:
            closed = {key for key in self._open - still_open if self._circuits.state(key).state == "closed"}
            # Twice: a message that was found to wait just before may be parked just after.
            due, self._open, self._closed = closed | self._closed - still_open, still_open, closed
        for key in sorted(due):
            if isinstance(self._broker, SupportsParking):
                self._broker.release(f"breaker:{key}")
