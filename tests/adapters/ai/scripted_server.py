"""A real HTTP server on loopback that answers as a test has written down."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: Bound on everything a server waits for, so that a broken test ends. No test that passes comes near it.
PATIENCE_S = 5.0


@dataclass(frozen=True)
class Received:
    """One request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class ScriptedServer:
    """Answers with its replies in order; the last one serves all further requests."""

    url: str
    replies: list["Reply"] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def script(self, *replies: "Reply") -> None:
        """Say what is answered from now on."""
        self.replies[:] = replies

    def take(self, request: Received) -> "Reply":
        """The reply to this request."""
        self.received.append(request)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


class _Handler(BaseHTTPRequestHandler):
    scripted: ScriptedServer

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        reply = self.scripted.take(Received(self.command, self.path, dict(self.headers), body))
        reply(self, self.scripted.released)

    do_GET = do_POST  # noqa: N815  # the name the library looks for
    do_HEAD = do_POST  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it has upstream
        """Stay quiet."""


#: Writes one reply; the event is set when the test is over.
Reply = Callable[[BaseHTTPRequestHandler, threading.Event], None]


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """A server on a free port, stopped and joined at the end."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = False
        scripted = ScriptedServer(url=f"http://127.0.0.1:{server.server_address[1]}")
        handler.scripted = scripted  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield scripted
        finally:
            scripted.released.set()
            server.shutdown()
            thread.join()


def answer(status: int, body: bytes = b"", **headers: str) -> Reply:
    """A whole reply; underscores in header names stand for hyphens."""

    def write(handler: BaseHTTPRequestHandler, released: threading.Event) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        try:
            handler.wfile.write(body)
        except ConnectionError:
            handler.close_connection = True  # the client has seen enough

    return write


def hang_up(body: bytes = b"") -> Reply:
    """A connection that is closed before the reply, or after the first bytes of a longer one."""

    def write(handler: BaseHTTPRequestHandler, released: threading.Event) -> None:
        if body:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(body) + 100))
            handler.end_headers()
            handler.wfile.write(body)
        handler.close_connection = True

    return write


def hold(body: bytes = b"") -> Reply:
    """Silence, from the start or after the first bytes, until the test is over."""

    def write(handler: BaseHTTPRequestHandler, released: threading.Event) -> None:
        if body:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(body) + 100))
            handler.end_headers()
            handler.wfile.write(body)
        released.wait(PATIENCE_S)
        handler.close_connection = True

    return write


@contextmanager
def refused_url() -> Iterator[str]:
    """An address on loopback where nothing listens, for as long as the block lasts."""
    # Bound and not listening: nobody else can take the port meanwhile.
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unheard.getsockname()[1]}"
