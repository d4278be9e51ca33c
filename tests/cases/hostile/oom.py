"""The server reaches maxmemory while jobs run: what runs is ended, the rest is fetched, and memory falls."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import dramatiq

from tests.cases.kit import (
    all_of,
    broker_on,
    client_of,
    eventually,
    in_short,
    memory_of,
    outcome,
    own_server,
    pause,
    verdict,
    working,
)

#: Jobs of 50 ms on two threads: all end while the server is full.
SENT = 30
#: Seconds without another one after which the rest will never end.
STALLED_S = 6.0

MESSAGE_BYTES, TOO_MUCH_BYTES = 200_000, 100_000


def main() -> list[str]:
    """What is wrong."""
    faults = []
    done: list[int] = []
    with own_server() as url, broker_on(url) as broker:
        client = client_of(url)

        @dramatiq.actor(broker=broker)
        def work(number: int, body: str) -> None:
            pause(0.05)
            done.append(number)

        for number in range(SENT):
            broker.enqueue(work.message_with_options(args=(number, "x" * MESSAGE_BYTES), org="good"))
        with working(broker, threads=2):
            eventually(lambda: len(done) >= 5, 10)
            before, used = len(done), memory_of(client)
            client.config_set("maxmemory", used - TOO_MUCH_BYTES)
            sent = outcome(lambda: broker.enqueue(work.message_with_options(args=(99, "x"), org="evil")))
            print(f"full after {before} jobs; a send is told {in_short(sent)}")
            all_of(lambda: len(set(done)), SENT, STALLED_S)
            # A job that ran is done only when the server knows it.
            eventually(lambda: broker.do_qsize("default") == 0, STALLED_S)
            left, freed = broker.do_qsize("default"), used - memory_of(client)
    print(f"{len(set(done))} of {SENT} ran, {left} not ended, {freed} bytes freed")
    if len(set(done)) < SENT or left:
        faults.append(f"{len(set(done))} of {SENT} ran while full, {left} not ended")
    if freed <= 0:
        faults.append("no memory is freed")
    if len(done) != len(set(done)):
        faults.append("some ran twice")
    return faults


if __name__ == "__main__":
    verdict(main)
