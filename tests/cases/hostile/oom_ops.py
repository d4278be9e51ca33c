"""The server is full: operators can look, pause the org that floods, and drop what it sent."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import dramatiq

from broker import Inspector, Operations
from tests.cases.kit import (
    broker_on,
    client_of,
    in_short,
    memory_of,
    outcome,
    own_server,
    verdict,
)

#: Messages that are left after `clean` and `flush`.
LEFT = 0

SENT, MESSAGE_BYTES, TOO_MUCH_BYTES = 30, 200_000, 100_000


def main() -> list[str]:
    """What is wrong."""
    faults = []
    with own_server() as url, broker_on(url) as broker:
        client = client_of(url)
        look, operations = Inspector(client, broker.base), Operations(client, broker.base)

        @dramatiq.actor(broker=broker)
        def work(number: int, body: str) -> None: ...

        for number in range(SENT):
            broker.enqueue(work.message_with_options(args=(number, "x" * MESSAGE_BYTES), org="evil"))
        client.config_set("maxmemory", memory_of(client) - TOO_MUCH_BYTES)
        for name, call in {
            "depth": lambda: look.depth("default"),
            "clean, dry run": lambda: operations.clean("default", dry_run=True),
            "pause the org": lambda: broker.shut("operator", {"o:evil": (0, "it floods")}),
            "clean of the org": lambda: operations.clean("default", org="evil"),
            "resume the org": lambda: broker.shut("operator", {}),
            "flush": lambda: broker.flush("default"),
        }.items():
            answer = outcome(call)
            print(f"{name}: {in_short(answer)}")
            if isinstance(answer, Exception):
                faults.append(name)
        if broker.do_qsize("default") != LEFT:
            faults.append(f"{broker.do_qsize('default')} left")
    return faults


if __name__ == "__main__":
    verdict(main)
