"""What can go wrong between a site and its caller, and the layer that makes it go wrong on demand."""

import asyncio
import re
import threading
from collections import defaultdict, deque
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: What a request is for.
Operation = Literal[
    "create",
    "update",
    "read",
    "list",
    "delete",
    "find_term",
    "create_term",
    "find_user",
    "find_media",
    "upload",
    "other",
]

_ONE = re.compile(r".*/wp/v2/posts/[0-9]+/?")
_LIBRARY: Mapping[tuple[str, str], Operation] = {
    ("GET", "categories"): "find_term",
    ("GET", "tags"): "find_term",
    ("POST", "categories"): "create_term",
    ("POST", "tags"): "create_term",
    ("GET", "users"): "find_user",
    ("GET", "media"): "find_media",
    ("POST", "media"): "upload",
}
_ALL = re.compile(r".*/wp/v2/posts/?")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """This answer instead of the site's own; the request is not handled."""

    status: int = 200
    body: bytes = b""
    headers: MutableMapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class HangUp:
    """The connection is closed without an answer: before the request is handled, or after."""

    handled: bool


@dataclass(frozen=True, kw_only=True)
class Hold:
    """The request is handled only after `WordPressSite.release`, whether or not the caller is still there."""


Fault = Answer | HangUp | Hold


class FaultyConnection:
    """The application behind a connection that does as it is told.

    Parameters:
        inner: handles what gets through.
        transports: open connections by the caller's address; they are closed through them.
        delay_s: seconds that every request takes on top.
    """

    def __init__(
        self, inner: ASGIApp, transports: MutableMapping[object, asyncio.Transport], *, delay_s: float
    ) -> None:
        self._inner = inner
        self._transports = transports
        self._delay_s = delay_s
        self._lock = threading.Lock()
        self._planned: dict[Operation, deque[Fault]] = defaultdict(deque)
        self._released = asyncio.Event()
        #: Requests that are being handled.
        self.in_flight = 0
        #: Requests so far, in order.
        self.operations: list[Operation] = []
        #: The most that were in flight at once.
        self.most_in_flight = 0
        #: Set as a request begins to be held.
        self.holding = threading.Event()

    def plan(self, operation: Operation, *faults: Fault) -> None:
        """Let the next requests of a kind end like this, one after the other."""
        with self._lock:
            self._planned[operation].extend(faults)

    def forget(self) -> None:
        """Forget requests and plans."""
        with self._lock:
            self._planned.clear()
            self.operations.clear()
            self.most_in_flight = 0

    def release(self) -> None:
        """Let the requests that are being held go on. Called on the server's loop."""
        self.holding.clear()
        self._released.set()
        self._released = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"].startswith("/_site/"):
            await self._inner(scope, receive, send)
            return
        operation = operation_of(scope["method"], scope["path"])
        with self._lock:
            self.operations.append(operation)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            planned = self._planned[operation]
            fault = planned.popleft() if planned else None
        try:
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            await self._handle(fault, scope, receive, send)
        finally:
            with self._lock:
                self.in_flight -= 1

    async def _handle(self, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
        if isinstance(fault, Answer):
            headers = {"Content-Length": str(len(fault.body)), **fault.headers}
            raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": fault.status, "headers": raw})
            await send({"type": "http.response.body", "body": fault.body})
            return
        if isinstance(fault, HangUp):
            if fault.handled:
                await self._inner(scope, receive, _nowhere)
            self._transports[tuple(scope["client"])].abort()
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        if isinstance(fault, Hold):
            # Read first: the caller may be gone by the time the request is handled.
            receive = await _read(receive)
            self.holding.set()
            await self._released.wait()
        await self._inner(scope, receive, send)


def operation_of(method: str, path: str) -> Operation:
    """What a request is for.

    Example:
        >>> operation_of("POST", "/wp-json/wp/v2/posts/7")
        'update'
    """
    if _ONE.fullmatch(path):
        return "read" if method == "GET" else "delete" if method == "DELETE" else "update"
    if _ALL.fullmatch(path):
        return "list" if method == "GET" else "create" if method == "POST" else "other"
    return _LIBRARY.get((method, path.rstrip("/").rpartition("/wp/v2/")[2]), "other")


async def _nowhere(message: Message) -> None:
    pass


async def _read(receive: Receive) -> Receive:
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    whole: Message = {"type": "http.request", "body": b"".join(pieces), "more_body": False}

    async def again() -> Message:
        return whole

    return again
