"""Small ones: a lost answer to a send (`double`), a rate that is removed (`rate`), a client that decodes (`decode`).

Arguments: double, rate, decode; default all.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import socket
import threading

import dramatiq
import redis

from broker import Inspector, QueueFull
from tests.cases.http_servers import raw_server
from tests.cases.kit import (
    broker_on,
    eventually,
    free_port,
    in_short,
    outcome,
    own_server,
    pause,
    verdict,
    working,
)
from tests.cases.scale import Rate

#: A send that returned, and whose answer was lost once, runs so often.
RUNS = 1
#: What waits for a rate goes on so soon after the rate is gone.
FREED_WITHIN_S = 1.0

#: Seconds from the server's answer to the end of its connection: enough for the job to be done by then.
LAG_S = 0.05


def main() -> list[str]:
    """What is wrong."""
    modes = {"double": _double, "rate": _rate, "decode": _decode}
    return [fault for name in sys.argv[1:] or modes for fault in modes[name]()]


def _double() -> list[str]:
    port = free_port()
    ran: list[str] = []
    left = [1]

    def through(client: socket.socket) -> None:
        # Hands everything on; the answer to the first send of `pay-once` is never returned.
        server = socket.create_connection(("127.0.0.1", port))
        loses = threading.Event()

        def up() -> None:
            while data := client.recv(65_536):
                if b"EVALSHA" in data and b"pay-once" in data and left:
                    left.clear()
                    loses.set()
                server.sendall(data)

        threading.Thread(target=lambda: outcome(up), daemon=True).start()
        while data := server.recv(65_536):
            if loses.is_set():
                pause(LAG_S)
                client.shutdown(socket.SHUT_RDWR)
                return
            client.sendall(data)

    with own_server(port=port) as url, raw_server(through) as proxy, broker_on(url) as broker:

        @dramatiq.actor(queue_name="q", broker=broker)
        def job(what: str) -> None:
            ran.append(what)

        with (
            working(broker, threads=2),
            broker_on(proxy.replace("http", "redis", 1)) as sender,
        ):
            for what in ("first", "pay-once"):
                sender.declare_queue("q")
                answer = outcome(lambda what=what: sender.enqueue(job.message(what)))  # type: ignore[misc]
                pause(0.3)
            pause(1)
    print(f"double: the answer was lost: {not left}; send() said {in_short(answer)[:40]}; ran {ran}")
    if left:
        return ["double: no answer was lost"]
    return [] if ran.count("pay-once") == RUNS else [f"double: it ran {ran.count('pay-once')} times"]


def _rate() -> list[str]:
    ran: list[int] = []
    with own_server() as url, broker_on(url) as broker:

        @dramatiq.actor(queue_name="q", broker=broker)
        def job(number: int) -> None:
            ran.append(number)

        broker.enforce(Rate("job", interval_ms=3_600_000))
        with working(broker, threads=2):
            for number in range(5):
                job.send_with_options(args=(number,), org="acme")
            eventually(lambda: ran, 5)
            pause(0.5)
            limited = len(ran)
            broker.enforce(Rate("job", interval_ms=0))
            freed = eventually(lambda: len(ran) == 5, FREED_WITHIN_S)
            late = job.message_with_options(args=(9,), org="acme")
            broker.enqueue(late)
            pause(FREED_WITHIN_S)
            why = "it ran" if 9 in ran else Inspector(broker.client, broker.base).why(late.message_id).text
    print(
        f"rate: one an hour: {limited} ran; after the rate was removed: {ran}; of a new one: {in_short(why)}"
    )
    return [] if freed and 9 in ran else [f"rate: {len(ran)} of 6 ran after the rate was removed"]


def _decode() -> list[str]:
    with own_server() as url:
        client = redis.Redis.from_url(url, decode_responses=True)
        try:
            with broker_on(None, client=client, max_queue_depth=2) as broker:

                @dramatiq.actor(queue_name="q", broker=broker)
                def job() -> None: ...

                answers = [outcome(job.send) for _ in range(3)]
        except (TypeError, ValueError) as error:
            print(f"decode: refused: {error}")
            return []
    print(f"decode: {[in_short(answer)[:60] for answer in answers]}")
    return [] if isinstance(answers[-1], QueueFull) else [f"decode: a full queue is {in_short(answers[-1])}"]


if __name__ == "__main__":
    verdict(main)
