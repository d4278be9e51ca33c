"""What stands before the site's API: its permalinks, its front page, and a web server that may drop a header."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, urlencode

from starlette.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: How a site's addresses are made: with rewriting, without it below `/index.php/`, or with arguments alone, as after
#: installation.
Permalinks = Literal["pretty", "index", "plain"]

_API = "/wp-json"
_INDEX = "/index.php"
_MAINTENANCE = "<!DOCTYPE html><title>Maintenance</title>Briefly unavailable for scheduled maintenance."


@dataclass
class Front:
    """The web server with WordPress's own routing, after `WP::parse_request` and `redirect_canonical`.

    Parameters:
        inner: has the API below `/wp-json`.
        base_url: the site's address.
        permalinks: how its addresses are made.
        drops_authorization: whether the web server keeps the `Authorization` header to itself, as Apache does for CGI.
        prints: what a plugin makes of each of the API's bodies.
    """

    inner: ASGIApp
    base_url: str
    permalinks: Permalinks = "pretty"
    drops_authorization: bool = False
    prints: Callable[[bytes], bytes] | None = None
    #: Whether every request is answered with WordPress's maintenance page.
    in_maintenance: bool = False

    @property
    def root(self) -> str:
        """Where the site says that its API is."""
        forms: Mapping[Permalinks, str] = {
            "pretty": f"{_API}/",
            "index": f"{_INDEX}{_API}/",
            "plain": f"{_INDEX}?rest_route=/",
        }
        return self.base_url + forms[self.permalinks]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        if self.in_maintenance:
            page = HTMLResponse(_MAINTENANCE, 503, {"Retry-After": "600"})
            await page(scope, receive, send)
            return
        if self.drops_authorization:
            scope = {**scope, "headers": [each for each in scope["headers"] if each[0] != b"authorization"]}
        path, query = scope["path"], dict(parse_qsl(scope["query_string"].decode("latin-1"), True))
        if "rest_route" in query:
            route = query.pop("rest_route")
            await self.inner(_at(scope, _API + route, query), receive, self._linked(send, self.prints))
        elif path.startswith(_API) and self.permalinks == "pretty":
            await self.inner(scope, receive, self._linked(send, self.prints))
        elif path.startswith(_INDEX + _API) and self.permalinks != "plain":
            await self.inner(
                _at(scope, path.removeprefix(_INDEX), query), receive, self._linked(send, self.prints)
            )
        elif path.startswith((_API, _INDEX + _API)):
            await self._not_the_api(scope, receive, send)
        elif path in ("/", _INDEX):
            await HTMLResponse("<!doctype html><title>A site</title>")(scope, receive, self._linked(send))
        else:
            await self.inner(scope, receive, self._linked(send))

    async def _not_the_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(_INDEX)
        if scope["method"] == "GET" and self.permalinks == "plain" and not path.endswith("/"):
            query = scope["query_string"].decode("latin-1")
            target = f"{self.base_url}{path}/" + (f"?{query}" if query else "")
            await RedirectResponse(target, 301)(scope, receive, send)
            return
        await HTMLResponse("<!doctype html><title>A site</title>")(scope, receive, self._linked(send))

    def _linked(self, send: Send, prints: Callable[[bytes], bytes] | None = None) -> Send:
        link = f'<{self.root}>; rel="https://api.w.org/"'.encode("latin-1")

        start: dict[str, object] = {}

        async def with_link(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [
                    each for each in message["headers"] if prints is None or each[0] != b"content-length"
                ]
                start.update({**message, "headers": [*headers, (b"link", link)]})
                return
            if start:
                await send(dict(start))
                start.clear()
            body = message.get("body", b"")
            await send({**message, "body": body if prints is None else prints(body)})

        return with_link


def _at(scope: Scope, path: str, query: Mapping[str, str]) -> Scope:
    return {
        **scope,
        "path": path,
        "raw_path": path.encode(),
        "query_string": urlencode(query).encode(),
    }
