"""The way to a WordPress site: signed in, past caches and redirects, to wherever its API is."""

import base64
import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from uuid import uuid4

import httpx

from adapters.credentials import WordPressCredentials
from adapters.net.http import HttpExchange
from adapters.net.replies import HttpReply, PassingRefusal, UnreadBody
from domain.errors import InvalidReply, ProviderUnavailable

from .wordpress_replies import is_from_api
from .wordpress_root import ApiRoot, KnownRoots, default_root, is_same_host, linked_root, roots

#: Redirects of one request that are followed.
MAX_REDIRECTS = 5
#: Seconds that a site may ask to be left alone with a 503. WordPress asks for ten minutes whenever a plugin is updated,
#: which takes it some seconds.
MAINTENANCE_S = 60.0

#: Statuses that say that a request was not handled by the API.
_ELSEWHERE = frozenset({404, 405, 410})
#: No cache on the way may answer what we look up.
_UNCACHED = {"Cache-Control": "no-cache, no-store", "Pragma": "no-cache"}


@dataclass(frozen=True, kw_only=True)
class Body:
    """What a request carries."""

    content: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    @classmethod
    def of(cls, fields: Mapping[str, object]) -> "Body":
        """Fields as JSON."""
        return cls(content=json.dumps(fields).encode())


class WordPressConnection:
    """Sends requests to the API of one site.

    Where the API is, is found out once and remembered: by default below `/wp-json/`, and where that is not the API's,
    wherever the site says, or WordPress's other forms. Redirects are followed on the same host, and only for requests
    that change nothing.

    Parameters:
        exchange: sends requests.
        address: the site's, like `https://blog.example` or `https://example.com/blog`, or its API's root.
        credentials: the user and one of their application passwords; None to ask as nobody.
        known: roots by the addresses of sites; shared by all connections of a process.
        monotonic: seconds on a clock that never goes back.
    """

    def __init__(
        self,
        exchange: HttpExchange,
        address: str,
        credentials: WordPressCredentials | None,
        known: KnownRoots,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exchange = exchange
        self._address = address.rstrip("/")
        self._known = known
        self._monotonic = monotonic
        self._headers = {"Accept": "application/json"}
        if credentials is not None:
            password = credentials.application_password.get_secret_value()
            pair = base64.b64encode(f"{credentials.username}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {pair}"

    @property
    def site(self) -> httpx.URL:
        """The address that was given."""
        return httpx.URL(self._address)

    @property
    def host(self) -> str:
        """The site's name, for messages."""
        return self.site.host

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        timeout_s: float,
        body: Body | None = None,
        repeatable: bool = False,
        taken: Collection[int] = (),
    ) -> HttpReply:
        """The reply to one request, whatever its status.

        Parameters:
            method, path, query: what is asked, below the API's root.
            timeout_s: seconds that all of it may take.
            body: what is sent along.
            repeatable: whether it is made again after a fault that passes.
            taken: see `HttpExchange.send`.

        Raises:
            ProviderUnavailable, InvalidReply, InvalidInput: see `HttpExchange.send`.
        """
        left_s = self._time_left(timeout_s)
        root = self._known.get(self._address)

        def sent(at: ApiRoot) -> HttpReply:
            return self._send(method, at, path, query, left_s, body, repeatable=repeatable, taken=taken)

        reply = sent(root or default_root(self._address))
        if not _is_elsewhere(method, reply):
            return reply
        found = self.find_root(timeout_s=left_s())
        if found is None or found == (root or default_root(self._address)):
            return reply
        # Nothing was done where the API is not.
        return sent(found)

    def find_root(self, *, timeout_s: float) -> ApiRoot | None:
        """Find where the API is, and remember it; None where it is nowhere on this host."""
        left_s = self._time_left(timeout_s)
        linked = self.linked_root(timeout_s=left_s())
        own = default_root(self._address).url
        likely = [linked] if linked is not None and is_same_host(own, linked.url) else []
        failure: PassingRefusal | InvalidReply | None = None
        has_answered = False
        for root in (*likely, *roots(self._address)):
            try:
                reply = self._send("GET", root, "", {"_fields": "namespaces"}, left_s, None, repeatable=False)
            except (PassingRefusal, InvalidReply) as error:
                failure = error  # a web server may stumble over one form and not over another
                continue
            has_answered = True
            if is_from_api(reply):
                self._known.keep(self._address, root)
                return root
        if failure is not None and not has_answered:
            raise failure
        return None

    def linked_root(self, *, timeout_s: float) -> ApiRoot | None:
        """Where the site's front page says that its API is, on whichever host; None where it says nothing."""
        left_s = self._time_left(timeout_s)
        page = httpx.URL(self._address)
        try:
            reply = self._followed(httpx.Request("GET", page, headers=_UNCACHED), left_s, repeatable=False)
        except UnreadBody as error:
            reply = error.reply
        except (InvalidReply, ProviderUnavailable):
            return None  # a front page may be broken, or somebody else's
        return linked_root(reply.headers.get("Link"), page)

    def _send(
        self,
        method: str,
        root: ApiRoot,
        path: str,
        query: Mapping[str, str],
        left_s: Callable[[], float],
        body: Body | None,
        *,
        repeatable: bool,
        taken: Collection[int] = (),
    ) -> HttpReply:
        if method != "GET":
            headers = {**self._headers, **({} if body is None else body.headers)}
            content = None if body is None else body.content
            request = httpx.Request(method, root.at(path, query), headers=headers, content=content)
            return self._exchanged(request, left_s, repeatable=repeatable, taken=taken)
        url = root.at(path, {**query, "_": uuid4().hex})
        request = httpx.Request("GET", url, headers={**self._headers, **_UNCACHED})
        return self._followed(request, left_s, repeatable=repeatable)

    def _followed(
        self, request: httpx.Request, left_s: Callable[[], float], *, repeatable: bool
    ) -> HttpReply:
        for _ in range(MAX_REDIRECTS + 1):
            reply = self._exchanged(request, left_s, repeatable=repeatable)
            target = _target(request.url, reply)
            if target is None:
                return reply
            request = httpx.Request("GET", target, headers=request.headers)
        raise InvalidReply(f"{self.host} redirects in circles; look at its redirects and its site address")

    def _exchanged(
        self,
        request: httpx.Request,
        left_s: Callable[[], float],
        *,
        repeatable: bool,
        taken: Collection[int] = (),
    ) -> HttpReply:
        try:
            return self._exchange.send(request, timeout_s=left_s(), repeatable=repeatable, taken=taken)
        except UnreadBody as error:
            if error.reply.is_success:
                raise
            return error.reply  # its status says enough
        except PassingRefusal as error:
            if error.status == 503 and error.retry_after_s is not None:
                raise PassingRefusal(
                    f"{self.host} answered 503: it is in maintenance mode, as while its plugins are updated, or has "
                    "too much to do",
                    status=503,
                    retry_after_s=min(error.retry_after_s, MAINTENANCE_S),
                ) from None
            raise

    def _time_left(self, timeout_s: float) -> Callable[[], float]:
        end = self._monotonic() + timeout_s
        return lambda: end - self._monotonic()


def _is_elsewhere(method: str, reply: HttpReply) -> bool:
    """Whether the API may be elsewhere, so that nothing was done."""
    if 300 <= reply.status < 400:
        return True
    if reply.status in _ELSEWHERE:
        return not is_from_api(reply)
    # What a page says with 200 to a change is looked into by whoever asked for the change.
    return method == "GET" and reply.is_success and not is_from_api(reply)


def _target(asked: httpx.URL, reply: HttpReply) -> httpx.URL | None:
    """Where a redirect leads, if it may be followed."""
    location = reply.headers.get("Location")
    if not 300 <= reply.status < 400 or not location:
        return None
    try:
        target = asked.join(location)
    except (httpx.InvalidURL, ValueError):
        return None
    return target if is_same_host(asked, target) and not target.userinfo else None
