"""Remote services on loopback, played by a function of the test's own: providers, sites, sources."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """Its body, which is a JSON object."""
        read: dict[str, object] = json.loads(self.body)
        return read


@dataclass(frozen=True)
class Reply:
    """What is answered; a body that is no bytes goes out as JSON."""

    status: int
    body: object = b""
    headers: Mapping[str, str] = field(default_factory=dict)


#: Plays the service; called by a thread of its own for each request.
Play = Callable[[Request], Reply]


class Remote:
    """One service: where it is, what it was asked, and how many requests it had in flight at most."""

    def __init__(self, play: Play, port: int) -> None:
        self._play = play
        self._lock = threading.Lock()
        self._in_flight = 0
        self.most_in_flight = 0
        self.received: list[Request] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, request: Request) -> Reply:
        """Let the service answer one request."""
        with self._lock:
            self.received.append(request)
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            return self._play(request)
        finally:
            with self._lock:
                self._in_flight -= 1


@contextmanager
def remote(play: Play, *, port: int = 0) -> Iterator[Remote]:
    """Run a service for the length of the block.

    Parameters:
        play: answers requests.
        port: where it listens. Default 0: a free one.
    """
    service = Remote(play, port)
    thread = threading.Thread(target=service.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        service.server.shutdown()
        thread.join()
        service.server.server_close()


def _handler(service: Remote) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            reply = service.answer(Request(self.command, self.path, dict(self.headers), body))
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except ConnectionError:
                self.close_connection = True  # whoever asked is gone, as a killed worker is

        do_GET = do_POST  # noqa: N815  # the names that the library looks for
        do_DELETE = do_POST  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay quiet."""

    return Handler
