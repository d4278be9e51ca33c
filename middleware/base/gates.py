"""Keeps a broker's gates as a guard wants them, from any number of processes, with no call while nothing changes."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from .delegation import SupportsGates

#: How often gates are told again although nothing has changed, in seconds. A process that died right after it told
#: something outdated would have the last word otherwise.
TELL_AGAIN_S = 60.0


class Shut(NamedTuple):
    """Why a gate is shut, and for how long."""

    #: By the clock of whoever says so; None: until it is opened. Tells one closing from the next.
    until_ms: int | None
    #: How long that still is, in milliseconds.
    left_ms: int
    cause: str

    def outlasts(self, other: "Shut") -> bool:
        """True if it ends later than the other."""
        if self.until_ms is None or other.until_ms is None:
            return self.until_ms is None and other.until_ms is not None
        return self.left_ms > other.left_ms


class GatePublisher:
    """Tells a broker everything that one source shuts.

    Every process says the same, each time it finds a change, all of it at once. So it does not matter who says it
    first, and one that starts later opens nothing that is still to be shut.

    Parameters:
      broker: Has the gates.
      source: Whose word it is.
      monotonic: Seconds that only go forward. Default `time.monotonic`.

    Example:
      >>> GatePublisher(broker, "pauses").tell({"a:export": Shut(None, 0, "paused: actor export by ada")})
    """

    def __init__(
        self, broker: SupportsGates, source: str, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._broker = broker
        self._source = source
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._published: dict[str, tuple[int | None, str]] | None = None
        self._published_s = 0.0

    def tell(self, gates: Mapping[str, Shut]) -> bool:
        """Have these gates shut and no others; whether the broker had to be called.

        Raises:
            BrokerError: it could not be; the next call says it again.
        """
        wanted = {gate: (shut.until_ms, shut.cause) for gate, shut in gates.items()}
        with self._lock:
            if wanted == self._published and self._monotonic() - self._published_s < TELL_AGAIN_S:
                return False
            self._published = None
            now_ms = self._broker.server_now_ms() if any(until for until, _ in wanted.values()) else 0
            self._broker.shut(
                self._source,
                {
                    gate: (0 if shut.until_ms is None else now_ms + max(1, shut.left_ms), shut.cause)
                    for gate, shut in gates.items()
                },
            )
            self._published, self._published_s = wanted, self._monotonic()
        return True


def merge_gate(gates: dict[str, Shut], gate: str, shut: Shut) -> None:
    """Add to the gates; of two that shut the same, the one that lasts longer stays."""
    known = gates.get(gate)
    if known is None or shut.outlasts(known):
        gates[gate] = shut
