"""A dead letter of a message that no worker knew is held anew when it is replayed.

Right: what belongs to one life of a message does not live on in its replay, whichever guard or broker wrote it. Until
when the broker held it for a newer worker is of that kind; a replay that keeps it is not held again.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import dramatiq
from dramatiq import Message
from dramatiq.brokers.stub import StubBroker

from middleware import DeadLetter, DeadLetterReplayer
from middleware.dead_letters.memory import MemoryDeadLetterStore
from tests.cases.kit import verdict

#: What the broker writes into a message while it holds it.
OF_ONE_LIFE = {"held_until"}


def main() -> list[str]:
    """What is wrong."""
    broker = StubBroker(middleware=[])

    @dramatiq.actor(broker=broker)
    def later(number: int) -> None: ...

    store = MemoryDeadLetterStore()
    store.put([_letter()])
    DeadLetterReplayer(broker, store.of_org("acme")).retry("l1")
    replayed: Message[object] = Message.decode(broker.queues["default"].get(timeout=1))
    print("options of the replayed message:", replayed.options)
    return sorted(OF_ONE_LIFE & set(replayed.options))


def _letter() -> DeadLetter:
    return DeadLetter(
        id="l1",
        org="acme",
        message_id="m1",
        actor="later",
        queue="default",
        category="version",
        message="no actor",
        fingerprint="f",
        payload={"args": [1], "kwargs": {}},
        options={"org": "acme", "held_until": 1_000},
        first_at_ms=1,
        died_at_ms=2,
    )


if __name__ == "__main__":
    verdict(main)
