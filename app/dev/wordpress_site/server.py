"""Runs the site in a thread of this process."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from .api import Api
from .faults import Fault, FaultyConnection, Operation
from .front import Front, Permalinks
from .library import Library, SiteMedia, SiteTerm
from .store import PostStore, SitePost, SiteUser

#: Who may publish when nobody else is named.
EDITOR = SiteUser(name="pressroom", application_password="abcd EFGH 1234 ijkl MNOP 5678")  # noqa: S106  # opens nothing but this
#: Bound on waits for the server's thread, in seconds.
PATIENCE_S = 30.0


class WordPressSite:
    """A running site, as whoever started it sees it. Other processes read `{url}/_site/state`."""

    def __init__(
        self,
        url: str,
        users: Sequence[SiteUser],
        store: PostStore,
        connection: FaultyConnection,
        front: Front,
        library: Library,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        #: The address to publish to.
        self.url = url
        #: Who may sign in.
        self.users = users
        self._store = store
        self._connection = connection
        self._front = front
        self._library = library
        self._loop = loop

    @property
    def username(self) -> str:
        """The first user's name."""
        return self.users[0].name

    @property
    def application_password(self) -> str:
        """The first user's application password."""
        return self.users[0].application_password

    @property
    def operations(self) -> list[Operation]:
        """What every request so far was for, in order."""
        return list(self._connection.operations)

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return len(self._connection.operations)

    @property
    def requests_in_flight(self) -> int:
        """How many are being handled."""
        return self._connection.in_flight

    @property
    def most_in_flight(self) -> int:
        """The most that were in flight at once."""
        return self._connection.most_in_flight

    def posts(self, status: str | None = None) -> list[SitePost]:
        """Every post, the oldest first, or those of one status. Only removed ones are not there: trash is."""
        return [post for post in self._store.all() if status is None or post.status == status]

    @property
    def media(self) -> list[SiteMedia]:
        """Every media file, the oldest first."""
        return list(self._library.media)

    def terms(self, taxonomy: Literal["categories", "tags"]) -> list[SiteTerm]:
        """Its categories or tags, the oldest first."""
        return [term for term in self._library.terms if term.taxonomy == taxonomy]

    def add(
        self, *, slug: str, status: str = "draft", title: str = "A post", content: str = "Text."
    ) -> SitePost:
        """Put a post there, without a request."""
        return self._store.create(
            author=self.username, title=title, content=content, status=status, slug=slug
        )

    def remove(self, post_id: int) -> None:
        """Take a post away, without a request."""
        self._store.remove(post_id)

    def trash(self, post_id: int) -> None:
        """Move a post to the trash, without a request."""
        self._store.trash(post_id)

    def clear(self) -> None:
        """Forget posts, requests and what was to go wrong."""
        self._store.clear()
        self._library.clear()
        self._connection.forget()
        self._front.in_maintenance = False

    def maintain(self, *, begins: bool = True) -> None:
        """Begin what every update of a plugin begins with, or end it: each request is answered with 503."""
        self._front.in_maintenance = begins

    def set_permalinks(self, permalinks: Permalinks) -> None:
        """Have its addresses made another way from now on."""
        self._front.permalinks = permalinks

    def fail(self, operation: Operation, *faults: Fault) -> None:
        """Let the next requests of a kind go wrong, one after the other."""
        self._connection.plan(operation, *faults)

    def wait_until_holding(self) -> None:
        """Return when a request is being held.

        Raises:
            TimeoutError: none came.
        """
        if not self._connection.holding.wait(PATIENCE_S):
            raise TimeoutError("no request came that was to be held")

    def release(self) -> None:
        """Let the requests that are being held go on."""
        self._loop.call_soon_threadsafe(self._connection.release)


@contextmanager
def wordpress_site(
    *,
    users: Sequence[SiteUser] = (EDITOR,),
    delay_s: float = 0.0,
    unique_drafts: bool = True,
    state: bool = True,
    permalinks: Permalinks = "pretty",
    drops_authorization: bool = False,
    most_per_page: int = 100,
    prints: Callable[[bytes], bytes] | None = None,
) -> Iterator[WordPressSite]:
    """A site on a free port of loopback, stopped at the end.

    Parameters:
        users: who may sign in. Default: one editor.
        delay_s: seconds that every request takes on top. Default 0.
        unique_drafts: whether drafts get slugs of their own when they are created, as current versions do, or only
            when they become public. Default True.
        state: whether `GET /_site/state` tells what happened, for other processes. Default True.
        permalinks: `pretty`; `index` for a site without rewriting; `plain` as after installation.
        drops_authorization: whether the web server keeps credentials to itself. Default False.
        prints: what a plugin makes of each of the API's bodies. Default: nothing.
        most_per_page: the most on a page of a list; plugins set it lower than 100, which is the default.

    Example:
        >>> with wordpress_site() as site:
        ...     httpx.get(f"{site.url}/wp-json/wp/v2/posts").json()
        []
    """
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    store = PostStore(unique_drafts=unique_drafts)
    transports: dict[object, asyncio.Transport] = {}

    class Protocol(H11Protocol):
        """Remembers its connection, so that a fault can close it."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self.client is not None:
                transports[tuple(self.client)] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self.client is not None:
                transports.pop(tuple(self.client), None)

    ready = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            loops.append(asyncio.get_running_loop())
            ready.set()

    api = Api(store, users, url, most_per_page=most_per_page)
    connection = FaultyConnection(api.application(), transports, delay_s=delay_s)
    front = Front(connection, url, permalinks, drops_authorization, prints)
    application = Starlette(
        routes=[
            *([Route("/_site/state", _state(store, connection))] if state else []),
            Mount("/", app=front),
        ]
    )
    config = uvicorn.Config(
        application, http=Protocol, log_level="critical", access_log=False, lifespan="off"
    )
    server = Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listening]}, name="wordpress-site", daemon=True
    )
    thread.start()
    if not ready.wait(PATIENCE_S):
        raise TimeoutError(f"the site did not start within {PATIENCE_S:.0f} s")
    site = WordPressSite(url, users, store, connection, front, api.library, loops[0])
    try:
        yield site
    finally:
        site.release()
        server.should_exit = True
        thread.join(PATIENCE_S)


def _state(
    store: PostStore, connection: FaultyConnection
) -> Callable[[Request], Coroutine[object, object, Response]]:
    async def handle(request: Request) -> Response:
        return JSONResponse(
            {
                "posts": [post.as_record() for post in store.all()],
                "requests": len(connection.operations),
                "operations": connection.operations,
                "most_in_flight": connection.most_in_flight,
            }
        )

    return handle
