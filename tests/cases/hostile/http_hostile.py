"""A hostile publish target, against the exchange that publishing uses: each reply ends within its bound.

Headers, status lines, 1xx replies, bodies, chunk sizes and trailers that come a byte at a time; compressed and huge
replies; redirects; cookies.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx

from adapters.net.http import HttpExchange
from adapters.net.outbound import outbound_client
from tests.cases.http_servers import LOOPBACK, raw_server
from tests.cases.kit import in_short, outcome, pause, verdict

#: Seconds that an exchange is given, and by which it has ended, however slowly bytes come.
TIMEOUT_S, ENDS_BY_S = 2.0, 2.5
#: Seconds after which one that has not ended is given up here.
PATIENCE_S = 8.0
#: Cookies that are kept of remote services.
COOKIES = 0

EVERY_S, DRIPS = 0.5, 20
OK = b"HTTP/1.1 200 OK\r\n"

Reply = Callable[[socket.socket], None]


def _dripping(first: bytes, *parts: bytes) -> Reply:
    def reply(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(first)
        for number in range(DRIPS):
            connection.sendall(parts[number % len(parts)])
            pause(EVERY_S)

    return reply


def _at_once(reply: bytes) -> Reply:
    def send(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(reply)

    return send


REPLIES: dict[str, Reply] = {
    "header bytes": _dripping(OK + b"X: ", b"a"),
    "status line bytes": _dripping(b"", *(bytes([each]) for each in OK * 2)),
    "many 103": _dripping(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "body bytes": _dripping(OK + b"Content-Length: 1000\r\n\r\n", b"a"),
    "chunk size bytes": _dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"),
    "trailers": _dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"X: y\r\n"),
    "huge headers": _at_once(OK + b"X: " + b"a" * 50_000_000 + b"\r\n\r\n"),
    "gzip": _at_once(OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
    "identity, gzip": _at_once(OK + b"Content-Encoding: identity, gzip\r\nContent-Length: 3\r\n\r\nabc"),
    "redirect": _at_once(
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    ),
}


def main() -> list[str]:
    """What is wrong."""
    faults = []
    pool = ThreadPoolExecutor(len(REPLIES))
    running = {name: pool.submit(_ends_after, reply) for name, reply in REPLIES.items()}
    until_s = time.monotonic() + PATIENCE_S
    for name, ending in running.items():
        ended = outcome(lambda ending=ending: ending.result(until_s - time.monotonic()))  # type: ignore[misc]
        if isinstance(ended, Exception):
            print(f"{name}: not ended after {PATIENCE_S:.0f} s")
            faults.append(name)
            continue
        seconds, answer = ended
        print(f"{name}: {seconds:.1f} s, {in_short(answer)[:100]}")
        if seconds > ENDS_BY_S:
            faults.append(name)
    kept = _cookies_kept()
    print(f"cookies: {kept} kept")
    return faults + ([f"{kept} cookies are kept"] if kept > COOKIES else [])


def _ends_after(reply: Reply) -> tuple[float, object]:
    with raw_server(reply) as address, outbound_client(LOOPBACK) as client:
        began_s = time.monotonic()
        answer = outcome(lambda: _post(client, address))
        return time.monotonic() - began_s, answer


def _post(client: httpx.Client, address: str) -> object:
    exchange = HttpExchange(
        client,
        now=lambda: datetime.now(UTC),
        attempt_timeout_s=TIMEOUT_S,
        max_reply_bytes=1 << 20,
        retries=0,
    )
    request = httpx.Request("POST", f"{address}/", content=b"x")
    return exchange.send(request, timeout_s=TIMEOUT_S, repeatable=False).status


def _cookies_kept() -> int:
    head = OK + b"Content-Length: 0\r\n"
    for number in range(900):
        head += b"Set-Cookie: c%d=%s; Max-Age=99999999; Path=/\r\n" % (number, b"v" * 40)
    with raw_server(_at_once(head + b"\r\n")) as address, outbound_client(LOOPBACK) as client:
        outcome(lambda: _post(client, address))
        return len(client.cookies.jar)


if __name__ == "__main__":
    verdict(main)
