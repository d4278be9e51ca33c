"""A dead address does not take all of the time: a site with broken IPv6 and good IPv4 is reached.

Where IPv6 packets vanish (frequent with containers and firewalls) browsers show the site all the same.

Right: each address gets its share of the time, or the next is begun after a moment (RFC 8305, 250 ms), families in
turn; and the good address is reached though it is the fifth.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import socket
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

from adapters.net.outbound import outbound_client
from tests.cases.http_servers import LOOPBACK, Reply, http_server
from tests.cases.kit import in_short, outcome, verdict

#: Seconds for all of a name's addresses together.
TIMEOUT_S = 10.0


def main() -> list[str]:
    """What is wrong."""
    faults = []
    with http_server(lambda _request: Reply()) as address:
        port = urlsplit(address).port or 0
        # Stands for an address whose packets vanish: it listens, its queue is full, nobody accepts.
        silent = socket.socket()
        silent.bind(("127.0.0.9", port))
        silent.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(("127.0.0.9", port))
        for name, addresses in {
            "one good": ["127.0.0.1"],
            "silent, good": ["127.0.0.9", "127.0.0.1"],
            "four refuse, good": [*(f"127.0.0.{each}" for each in range(2, 6)), "127.0.0.1"],
        }.items():
            began = time.monotonic()
            status = outcome(lambda addresses=addresses: _get(addresses, port))  # type: ignore[misc]
            print(f"{name:20} {in_short(status)} after {time.monotonic() - began:.1f} s")
            if isinstance(status, Exception):
                faults.append(name)
    return faults


def _get(addresses: Sequence[str], port: int) -> int:
    with outbound_client(LOOPBACK, lookup=lambda host, port, timeout_s: list(addresses)) as client:
        reply: httpx.Response = client.get(f"http://blog.example:{port}/", timeout=TIMEOUT_S)
        return reply.status_code


if __name__ == "__main__":
    verdict(main)
