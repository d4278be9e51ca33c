"""Processes for fail-overs, which keep books: `python -m tests.broker.failover.work_host send|work URL FILE`.

A sender writes each number into its file before it sends it (`+7`), and again when that returned (`=7`) or raised
(`!7`); a worker writes each number that ran (`7`). Each line has the monotonic time, in seconds, behind it.
"""

import sys
import threading
import time
from pathlib import Path

import dramatiq
from dramatiq.errors import BrokerError

from broker import FairRedisBroker, NotReplicated

#: Seconds from one send to the next.
SEND_EVERY_S = 0.005


def declare(url: str, into: Path) -> "tuple[FairRedisBroker, dramatiq.Actor[[int], None]]":
    """The broker, and the job that keeps the book of what ran."""
    broker = FairRedisBroker(url=url, middleware=[], durability="replica", heartbeat_timeout=5_000)

    @dramatiq.actor(broker=broker)
    def job(number: int) -> None:
        note(into, f"{number}")

    return broker, job


def note(into: Path, what: str) -> None:
    """Write a line that is whole in whatever order processes write."""
    with into.open("a") as book:
        book.write(f"{what} {time.monotonic()}\n")


def send(url: str, into: Path) -> None:
    """Send until the input ends."""
    _, job = declare(url, into)
    stopping = threading.Event()

    def until_the_end() -> None:
        sys.stdin.read()
        stopping.set()

    threading.Thread(target=until_the_end, daemon=True).start()
    number = 0
    while not stopping.wait(SEND_EVERY_S):
        number += 1
        note(into, f"+{number}")
        try:
            job.send(number)
        except NotReplicated:
            note(into, f"?{number}")
        except BrokerError:
            note(into, f"!{number}")
        else:
            note(into, f"={number}")


def work(url: str, into: Path) -> None:
    """Work until the input ends."""
    broker, _ = declare(url, into)
    broker.emit_after("process_boot")
    worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=100)
    worker.start()
    sys.stdin.read()
    worker.stop(timeout=5_000)


if __name__ == "__main__":
    {"send": send, "work": work}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
