"""Very many orgs stand aside, and an operator lists lanes: what do senders and other queues feel of it?

Argument: the larger number of orgs; default 100000. The smaller one is a tenth.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import threading
import time

import dramatiq

from broker import Inspector
from tests.cases.kit import broker_on, client_of, eventually, outcome, own_server, pause, verdict, working
from tests.cases.scale import LARGE, MOST_GROWTH, batches

#: Whatever waits, sends and jobs of another queue take no longer than with a tenth; below the floor it is the machine.
FLOOR_MS = 150.0


def main() -> list[str]:
    """What is wrong."""
    large = int(sys.argv[1]) if sys.argv[1:] else LARGE
    small, big = (_felt(count) for count in (large // 10, large))
    return [
        f"{name}: {small[name]:.0f} ms, then {big[name]:.0f}"
        for name in big
        if big[name] > max(FLOOR_MS, MOST_GROWTH * small[name])
    ]


def _felt(count: int) -> dict[str, float]:
    waited_ms: list[float] = []
    sends_ms: list[float] = []
    with own_server() as url, broker_on(url) as broker:

        @dramatiq.actor(queue_name="q", broker=broker)
        def job(number: int) -> None: ...

        @dramatiq.actor(queue_name="other", broker=broker)
        def tick(sent_s: float) -> None:
            waited_ms.append((time.time() - sent_s) * 1_000)

        def send() -> None:
            began_s = time.time()
            outcome(lambda: tick.send(began_s))
            sends_ms.append((time.time() - began_s) * 1_000)

        for part in batches(count):
            broker.send_many(
                job.message_with_options(args=(number,), org=f"org{number:06d}") for number in part
            )
        broker.shut("pauses", {"a:job": (0, "paused")})
        with working(broker, threads=4):
            look = Inspector(client_of(url), broker.base)
            # All stand aside when nothing is ready any more that could be the oldest.
            eventually(lambda: look.oldest("q") is None, 60)
            pause(1)
            operator = threading.Thread(target=lambda: outcome(lambda: look.lanes("q")))
            operator.start()
            while operator.is_alive():
                send()
                pause(0.02)
            operator.join()
            send()
            eventually(lambda: len(waited_ms) == len(sends_ms), 30)
    felt = {"a send": max(sends_ms), "a job of another queue": max(waited_ms)}
    print(f"{count} orgs aside, while lanes are listed: {felt}")
    return felt


if __name__ == "__main__":
    verdict(main)
