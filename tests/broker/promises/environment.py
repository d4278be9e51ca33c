"""What a test tells a worker process through its environment."""

import json
import os
from dataclasses import asdict, dataclass

from tests.broker.promises.brokers import Kind

_VARIABLE = "PROMISES"


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """Which broker, where, and how this process ends."""

    kind: Kind
    url: str
    namespace: str
    heartbeat_timeout_ms: int
    #: Whether the process kills itself at its first ack, before it was sent.
    dies_at_ack: bool = False

    def environment(self, *, threads: int) -> dict[str, str]:
        """This process's own, and the meeting."""
        return {
            **os.environ,
            # Dramatiq's broker would fetch as many again, behind jobs that wait for the test.
            "dramatiq_queue_prefetch": str(threads),
            # Threads notice a stop so much sooner.
            "dramatiq_worker_timeout": "50",
            _VARIABLE: json.dumps(asdict(self)),
        }


def reported() -> Meeting:
    """What this process was told."""
    return Meeting(**json.loads(os.environ[_VARIABLE]))
