"""A server that speaks as much of S3 as an upload needs, and refuses whatever a test says."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

#: The status a request is refused with, by its method and the names in its query; None to do it.
Refuse = Callable[[str, frozenset[str]], int | None]

_STARTED = b"<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
_ENDED = b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
_DENIED = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"


@dataclass
class StrictS3:
    """The server, its objects with their headers, and what it was asked."""

    url: str = ""
    objects: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[tuple[str, frozenset[str]]] = field(default_factory=list)


@contextmanager
def strict_s3(refuse: Refuse) -> Iterator[StrictS3]:
    """The server on a free port, with one bucket of any name."""
    state = StrictS3()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            url = urlsplit(self.path)
            query = parse_qs(url.query, keep_blank_values=True)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = (self.command, frozenset(query))
            state.asked.append(asked)
            status = refuse(*asked)
            if status is not None:
                self.reply(status, _DENIED)
            elif self.command == "POST" and "uploads" in query:
                state.parts[url.path], state.labels[url.path] = {}, self.labels()
                self.reply(200, _STARTED)
            elif self.command == "POST":
                whole = b"".join(part for _, part in sorted(state.parts.pop(url.path).items()))
                state.objects[url.path] = whole, state.labels[url.path]
                self.reply(200, _ENDED)
            elif self.command == "PUT" and "partNumber" in query:
                state.parts[url.path][int(query["partNumber"][0])] = body
                self.reply(200, b"", ETag='"p"')
            elif self.command == "PUT":
                state.objects[url.path] = body, self.labels()
                self.reply(200, b"", ETag='"o"')
            elif self.command == "DELETE":
                (state.parts if "uploadId" in query else state.objects).pop(url.path, None)
                self.reply(204, b"")
            elif url.path in state.objects:
                content, labels = state.objects[url.path]
                self.reply(
                    200,
                    content,
                    **{**labels, "Last-Modified": "Mon, 05 Jan 2026 10:00:00 GMT", "ETag": '"o"'},
                )
            else:
                self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815  # the base class looks for these

        def labels(self) -> dict[str, str]:
            return {
                name: value for name, value in self.headers.items() if name.lower().startswith("x-amz-meta")
            }

        def reply(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                try:
                    self.wfile.write(body)
                except ConnectionError:
                    self.close_connection = True  # the client has seen enough

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
