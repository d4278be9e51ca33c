"""HTTP to addresses that tenants choose: checked right where the connection is made.

A name is looked up once. Every address it has is checked, and the connection goes to one of the checked addresses:
there is no second lookup that could answer otherwise. Connections are pooled by name, and TLS asks for and verifies
that name, so that no connection ever serves two.
"""

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address

import httpcore
import httpx

from .outbound_policy import Address, OutboundPolicy, literal_of, plain

#: Bound on looking up a name, in seconds, where the request has none of its own that is shorter.
LOOKUP_TIMEOUT_S = 10.0
#: Addresses of one name that are tried.
MAX_ADDRESSES = 4

#: The addresses of a host's name, given its port and the seconds that the lookup may take.
Lookup = Callable[[str, int, float], Sequence[str]]


def system_lookup(
    host: str,
    port: int,
    timeout_s: float,
    *,
    resolve: Callable[[str, int], Iterable[tuple[object, ...]]] = socket.getaddrinfo,
) -> Sequence[str]:
    """The system's answer, within a bound that the system itself does not have.

    Parameters:
        host, port: whose addresses.
        timeout_s: seconds that the lookup may take.
        resolve: as `socket.getaddrinfo`, the default.

    Raises:
        OSError: the name has no address.
        TimeoutError: no answer came in time.
    """
    answers: queue.Queue[list[str] | OSError] = queue.Queue()

    def look_up() -> None:
        try:
            found = [_ip(each) for each in resolve(host, port)]
        except OSError as error:
            answers.put(error)
        except UnicodeError:  # a label that is too long
            answers.put(OSError("not a name"))
        else:
            answers.put(found)

    # A lookup cannot be interrupted: one that takes too long is left behind, and ends by itself.
    threading.Thread(target=look_up, name="lookup", daemon=True).start()
    try:
        answer = answers.get(timeout=max(timeout_s, 0.001))
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def outbound_client(
    policy: OutboundPolicy,
    *,
    lookup: Lookup = system_lookup,
    tls: ssl.SSLContext | None = None,
) -> httpx.Client:
    """A client that reaches only what the policy allows, directly: proxies of the environment would look names up anew.

    Parameters:
        policy: what may be reached.
        lookup: finds the addresses of a name. Default: the system's.
        tls: whom to trust. Default: the usual authorities.

    Example:
        >>> with outbound_client(OutboundPolicy()) as client:
        ...     client.get("https://blog.example")
    """
    return httpx.Client(
        transport=GuardedTransport(policy, lookup=lookup, tls=tls), trust_env=False, follow_redirects=False
    )


class GuardedTransport(httpx.BaseTransport):
    """Sends requests to what the policy allows; all else ends in InvalidInput before a connection is opened.

    Parameters:
        policy, lookup, tls: as for `outbound_client`.
    """

    def __init__(
        self, policy: OutboundPolicy, *, lookup: Lookup = system_lookup, tls: ssl.SSLContext | None = None
    ) -> None:
        self._policy = policy
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls or httpx.create_ssl_context(),
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=_CheckedBackend(policy, lookup),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        self._policy.check_url(request.url)
        if not isinstance(request.stream, httpx.SyncByteStream):
            raise TypeError("a request of a synchronous client has a synchronous body")
        # Without this, a caller could have TLS verify another name than the one that the pool keeps the connection for.
        extensions = {name: value for name, value in request.extensions.items() if name != "sni_hostname"}
        sent = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=extensions,
        )
        with _as_httpx():
            reply = self._pool.handle_request(sent)
        if not isinstance(reply.stream, Iterable):
            raise TypeError("a reply of a synchronous pool has a synchronous body")
        return httpx.Response(
            reply.status,
            headers=reply.headers,
            stream=_Body(reply.stream),
            extensions=reply.extensions,
        )

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


class _CheckedBackend(httpcore.NetworkBackend):
    """Connects to addresses that were checked, each name's within the one lookup of its connection."""

    def __init__(self, policy: OutboundPolicy, lookup: Lookup) -> None:
        self._policy = policy
        self._lookup = lookup
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        bound_s = LOOKUP_TIMEOUT_S if timeout is None else min(timeout, LOOKUP_TIMEOUT_S)
        end = None if timeout is None else time.monotonic() + timeout
        addresses = self._addresses(host, port, bound_s)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses[:MAX_ADDRESSES]:
            left_s = None if end is None else end - time.monotonic()
            if left_s is not None and left_s <= 0:
                raise httpcore.ConnectTimeout
            try:
                return self._sockets.connect_tcp(
                    str(address),
                    port,
                    timeout=left_s,
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int, timeout_s: float) -> list[Address]:
        literal = literal_of(host)
        if literal is not None:
            self._policy.check_ip(literal, host)
            return [plain(literal)]
        try:
            found = self._lookup(host, port, timeout_s)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"the name was not resolved within {timeout_s:g} s") from None
        except OSError:
            raise httpcore.ConnectError("the name cannot be resolved") from None
        addresses = [ip_address(each) for each in dict.fromkeys(found)]
        # One bad address refuses the name: which of them is used must not be left to chance.
        for address in addresses:
            self._policy.check_ip(address, host)
        return [plain(address) for address in addresses]


def _ip(entry: tuple[object, ...]) -> str:
    address = entry[4]
    return str(address[0]) if isinstance(address, tuple) else ""


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._stream

    def close(self) -> None:
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()


#: The first that fits counts: the more general ones stand last.
_SAME: Mapping[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
    httpcore.NetworkError: httpx.NetworkError,
    httpcore.ProtocolError: httpx.ProtocolError,
    httpcore.TimeoutException: httpx.TimeoutException,
}


@contextmanager
def _as_httpx() -> Iterator[None]:
    try:
        yield
    except tuple(_SAME) as error:
        kind = next(to for each, to in _SAME.items() if isinstance(error, each))
        raise kind(str(error)) from error
