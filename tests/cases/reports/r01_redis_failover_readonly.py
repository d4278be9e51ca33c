"""After a fail-over behind one address, sender and worker go on with the new primary, and nobody restarts anything.

Two servers; a forwarder stands for the DNS name or virtual address of a managed Redis. The first server is demoted, the
second promoted, new connections go to the second one; open ones stay where they are, as they do with ElastiCache,
Memorystore, Azure or a keepalived address when the old primary lives on as a replica.

Right: a READONLY answer means that this connection leads to the wrong server. It is closed, a new one is made, the call
is repeated.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import socket
import threading
from contextlib import suppress

import dramatiq

from tests.cases.kit import (
    broker_on,
    client_of,
    eventually,
    free_port,
    in_short,
    outcome,
    own_server,
    verdict,
    working,
)

#: From the first READONLY to the first success, for sender and worker each: what a caller's retries bridge.
BACK_WITHIN_S = 5.0


class Name:
    """What clients call the server: passes connections on, to another one after `to` changed."""

    def __init__(self, to: int) -> None:
        self.to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self.to))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=pair, daemon=True).start()


def main() -> list[str]:
    """What is wrong."""
    first, second = free_port(), free_port()
    with own_server(port=first) as old_url, own_server(port=second) as new_url:
        old, new = client_of(old_url), client_of(new_url)
        new.replicaof("127.0.0.1", str(first))
        if not eventually(lambda: new.info("replication")["master_link_status"] == "up", 20):
            raise RuntimeError("the replica does not follow")
        name = Name(first)
        url = f"redis://127.0.0.1:{name.port}/0"
        done: list[int] = []
        with broker_on(url) as broker:

            @dramatiq.actor(broker=broker)
            def job(number: int) -> None:
                done.append(number)

            with working(broker, threads=2):
                job.send(1)
                if not eventually(lambda: done == [1], 10):
                    raise RuntimeError("the worker does not work")
                new.replicaof("NO", "ONE")
                old.replicaof("127.0.0.1", str(second))
                name.to = second
                answers: list[object] = []

                def send() -> bool:
                    answers.append(outcome(lambda: job.send(2)))
                    return not isinstance(answers[-1], Exception)

                sent = eventually(send, BACK_WITHIN_S)
                if not sent:  # so that the worker has something to do
                    with broker_on(url) as other:
                        other.declare_queue("default")
                        other.enqueue(job.message(2))
                ran = eventually(lambda: 2 in done, BACK_WITHIN_S)
        print(f"the sender recovered: {sent} {'' if sent else in_short(answers[-1])}")
        print(f"the worker recovered: {ran}")
    faults = {"the sender stays on the old server": not sent, "the worker stays on the old server": not ran}
    return [fault for fault, is_so in faults.items() if is_so]


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    verdict(main)
