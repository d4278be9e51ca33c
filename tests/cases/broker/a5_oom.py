"""A full server (maxmemory reached, noeviction): workers drain it, and an operator may clean.

A queue that drains only once somebody raises the limit stands still for ever.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import dramatiq

from broker import Operations
from tests.cases.kit import (
    broker_on,
    client_of,
    eventually,
    in_short,
    memory_of,
    outcome,
    own_server,
    verdict,
    working,
)

#: Messages that wait when the server is full; each of them ends while it is.
SENT = 500
#: Seconds for all of them: workers that stand still end none.
WITHIN_S = 20.0

MESSAGE_BYTES, ROOM_BYTES = 20_000, 200_000


def main() -> list[str]:
    """What is wrong."""
    faults = []
    done: list[int] = []
    with own_server() as url, broker_on(url) as broker:
        client = client_of(url)

        @dramatiq.actor(queue_name="q", broker=broker)
        def job(body: str) -> None:
            done.append(len(body))

        body = "x" * MESSAGE_BYTES
        for _ in range(SENT):
            job.send(body)
        client.config_set("maxmemory", memory_of(client) + ROOM_BYTES)
        refused: object = None
        sent = SENT
        while not isinstance(refused, Exception):
            refused = outcome(lambda: job.send(body))
            sent += 1
        sent -= 1
        used = memory_of(client)
        print(f"a sender is told {in_short(refused)}; {sent} wait, {used} bytes used")
        with working(broker, threads=4):
            if not eventually(lambda: len(done) >= sent, WITHIN_S):
                faults.append(f"{len(done)} of {sent} are done after {WITHIN_S:.0f} s")
        print(f"done {len(done)}, {broker.do_qsize('q')} wait, {memory_of(client)} bytes used")
        if memory_of(client) >= used:
            faults.append("no memory is freed")
        cleaned = outcome(lambda: Operations(client, broker.base).clean("q"))
        print(f"clean: {in_short(cleaned)}")
        if isinstance(cleaned, Exception):
            faults.append("clean is refused")
    return faults


if __name__ == "__main__":
    verdict(main)
