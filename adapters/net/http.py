"""The one HTTP retry policy of the platform: what is asked again, how long between, and when to give up."""

import email.utils
import re
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import httpx
import stamina

from domain.errors import AuthFailed, InvalidInput, InvalidReply, ProviderUnavailable
from domain.limits import MIB
from domain.ports import Clock

from .replies import CutShort, HttpReply, PassingRefusal, UnreadBody

#: Retries after the first attempt.
RETRIES = 3
#: Seconds before the first retry; each further wait is twice as long.
FIRST_WAIT_S = 1.0
#: No wait is longer than this many seconds.
MAX_WAIT_S = 30.0
#: Up to this many random seconds, and never more than the first wait, come on top: many jobs do not come back at once.
JITTER_S = 1.0
#: A `Retry-After` up to this many seconds is waited for; a longer one is left to the job to act on.
SHORT_RETRY_AFTER_S = 5.0
#: A remote service cannot put a job off for longer than this many seconds.
MAX_RETRY_AFTER_S = 24 * 60 * 60.0
#: Bound on one attempt, in seconds.
ATTEMPT_TIMEOUT_S = 30.0
#: Bound on a reply's body.
MAX_REPLY_BYTES = 8 * MIB
#: How the platform introduces itself; many firewalls refuse who does not.
USER_AGENT = "pressroom"

#: Refusals that pass by themselves, besides 5xx.
_PASSING_STATUSES = frozenset({408, 429})

_HOST = re.compile(r"[a-z0-9.-]{1,253}")

T = TypeVar("T")


class HttpExchange:
    """Sends requests under the platform's retry policy.

    Connection errors, time-outs, 408, 429 and 5xx are tried again, by default three times; no other status is.
    A wait that would not end before the caller's time is up is never begun. Redirects are not followed, bodies
    are bounded. Threads may share one.

    Parameters:
        client: connections, pooled. Whoever made it closes it.
        now: tells how far away a `Retry-After` date is.
        attempt_timeout_s: bound on one attempt. Default 30.
        max_reply_bytes: bound on a reply's body. Default 8 MiB.
        retries: attempts after the first. Default 3.
        first_wait_s: seconds before the first of them; each further wait is twice as long, none over 30. Default 1.
        monotonic: seconds on a clock that never goes back.

    Example:
        >>> exchange = HttpExchange(httpx.Client(), now=lambda: datetime.now(UTC))
        >>> exchange.send(httpx.Request("GET", "https://example.com/feed"), timeout_s=60, repeatable=True).status
        200
    """

    def __init__(
        self,
        client: httpx.Client,
        *,
        now: Clock,
        attempt_timeout_s: float = ATTEMPT_TIMEOUT_S,
        max_reply_bytes: int = MAX_REPLY_BYTES,
        retries: int = RETRIES,
        first_wait_s: float = FIRST_WAIT_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if attempt_timeout_s <= 0 or max_reply_bytes < 1:
            raise ValueError("attempt_timeout_s must be above 0 and max_reply_bytes at least 1")
        if retries < 0 or first_wait_s < 0:
            raise ValueError("retries and first_wait_s must be at least 0")
        self._client = client
        self._now = now
        self._attempt_timeout_s = attempt_timeout_s
        self._max_reply_bytes = max_reply_bytes
        self._retries = retries
        self._first_wait_s = first_wait_s
        self._monotonic = monotonic

    def send(
        self,
        request: httpx.Request,
        *,
        timeout_s: float | None,
        repeatable: bool,
        taken: Collection[int] = (),
    ) -> HttpReply:
        """The reply, whatever its status, unless it is one that passes by itself.

        Each step of an attempt (connecting, sending, waiting for headers, each piece of the body) gets what is
        left of its time. Looking up the host's name is the system's, and not bounded by it.

        Parameters:
            request: what to send; its own time-outs are replaced.
            timeout_s: bound on all attempts and waits together; None for no bound.
            repeatable: whether doing it twice does no harm. Without it there is one attempt.
            taken: statuses that are replies here like any other, although they mostly pass by themselves.

        Raises:
            ProviderUnavailable: no usable reply, also after the retries. `retry_after_s` says when the remote service
                asked to be tried again. A `PassingRefusal` has the status, a `CutShort` what there was of a reply.
            InvalidReply: the body is too large, or compressed although we asked for plain bytes: an `UnreadBody`.
            InvalidInput: the request cannot be sent as it is.
        """
        deadline = None if timeout_s is None else self._monotonic() + timeout_s
        if not repeatable:
            return self._attempt(request, deadline, taken)
        return self.repeat(lambda: self._attempt(request, deadline, taken), timeout_s=timeout_s)

    def repeat(self, step: Callable[[], T], *, timeout_s: float | None) -> T:
        """What a step of several requests returns; the step is run again as a whole where a request would be.

        For what cannot be repeated blindly: the step first looks whether it was done. Its own requests are sent
        with `repeatable=False`, or each of them would be repeated within each repetition.

        Parameters:
            step: the requests. It sees to it itself that they end within `timeout_s`.
            timeout_s: bound on all runs and waits together; None for no bound.

        Raises:
            ProviderUnavailable: from the last run.

        Example:
            >>> exchange.repeat(lambda: look_up(key) or create(key), timeout_s=60)
        """
        deadline = None if timeout_s is None else self._monotonic() + timeout_s
        next_wait_s = 0.0
        jitter_s = min(JITTER_S, self._first_wait_s)

        def retry(error: Exception) -> bool | float:
            if not isinstance(error, ProviderUnavailable):
                return False
            wait_s = error.retry_after_s
            if wait_s is not None and wait_s > SHORT_RETRY_AFTER_S:
                return False
            longest_s = next_wait_s + jitter_s if wait_s is None else wait_s
            if deadline is not None and self._monotonic() + longest_s >= deadline:
                return False
            return True if wait_s is None else wait_s

        for attempt in stamina.retry_context(
            on=retry,
            attempts=1 + self._retries,
            timeout=None,  # the hook above looks ahead; stamina's own would first wait and then give up
            wait_initial=self._first_wait_s,
            wait_max=MAX_WAIT_S,
            wait_jitter=jitter_s,
        ):
            next_wait_s = attempt.next_wait
            with attempt:
                return step()
        raise AssertionError("stamina ends with a result or an error")

    def _attempt(self, request: httpx.Request, deadline: float | None, taken: Collection[int]) -> HttpReply:
        host = request.url.host
        started = self._monotonic()
        attempt_end = started + self._attempt_timeout_s
        end = attempt_end if deadline is None else min(attempt_end, deadline)
        if end <= started:
            raise ProviderUnavailable(f"no time is left to ask {host}; give the job a longer time limit")
        timeouts_s = httpx.Timeout(end - started).as_dict()

        is_answered = False

        def use_what_is_left(step: str, details: object) -> None:
            nonlocal is_answered
            is_answered = is_answered or step.endswith("receive_response_headers.complete")
            if step.endswith("send_request_headers.started") and self._monotonic() >= end:
                # Before a byte is out: a caller that was frozen until now must not have an effect any more.
                raise httpx.WriteTimeout("no time was left to send it")
            # The transport looks its time-outs up anew as each step begins.
            timeouts_s.update(dict.fromkeys(timeouts_s, max(end - self._monotonic(), 0.001)))

        headers = request.headers.copy()
        headers.setdefault("User-Agent", USER_AGENT)
        headers["Accept-Encoding"] = "identity"
        attempt = httpx.Request(
            request.method,
            request.url,
            headers=headers,
            stream=request.stream,
            extensions={**request.extensions, "timeout": timeouts_s, "trace": use_what_is_left},
        )
        there: HttpReply | None = None
        try:
            response = self._client.send(attempt, stream=True, follow_redirects=False)
            there = HttpReply(status=response.status_code, headers=response.headers, body=b"")
            try:
                if there.status not in taken:
                    self._refuse_passing(there, host)
                body = self._bounded_body(response, there, end, host)
            finally:
                response.close()
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL):
            # Their messages quote headers and addresses, which may hold credentials.
            if is_answered:  # the library looks at where a redirect leads, although none is followed
                raise InvalidReply(
                    f"{host} redirects to what is no address; check its configuration"
                ) from None
            raise InvalidInput(
                f"the request to {host!r} cannot be sent; check the address and the header values"
            ) from None
        except httpx.TransportError as error:
            failure = _failure(error, host)
            raise (ProviderUnavailable(failure) if there is None else CutShort(failure, there)) from None
        return replace(there, body=body)

    def _refuse_passing(self, there: HttpReply, host: str) -> None:
        status = there.status
        if status in _PASSING_STATUSES or status >= 500:
            raise PassingRefusal(
                f"{host} answered {status}; try again later, or look at its status page",
                status=status,
                retry_after_s=retry_after_s(there.headers.get("Retry-After"), self._now()),
            )

    def _bounded_body(self, response: httpx.Response, there: HttpReply, end: float, host: str) -> bytes:
        if there.headers.get("Content-Encoding", "identity") != "identity":
            # A few compressed bytes may stand for gigabytes.
            raise UnreadBody(
                f"{host} sent a compressed reply although asked not to; switch that off there", there
            )
        return b"".join(self._bounded(response.iter_raw(), there, end, host))

    def _bounded(self, chunks: Iterable[bytes], there: HttpReply, end: float, host: str) -> Iterable[bytes]:
        size_bytes = 0
        for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > self._max_reply_bytes:
                raise UnreadBody(
                    f"{host} sent more than {self._max_reply_bytes} bytes; check that the address is the right one",
                    there,
                )
            if self._monotonic() > end:
                raise CutShort(f"{host} did not finish its reply in time", there)
            yield chunk


def raise_for_refusal(reply: HttpReply, host: str) -> None:
    """Turn every status but 2xx into the error it stands for. What the body says is never quoted.

    Raises:
        AuthFailed: 401 or 403.
        InvalidReply: a redirect, or another 4xx.

    Example:
        >>> raise_for_refusal(HttpReply(status=403, headers=httpx.Headers(), body=b""), "example.com")
        Traceback (most recent call last):
        AuthFailed: example.com answered 403; check the credentials and what they are allowed to do
    """
    if reply.is_success:
        return
    if reply.status in (401, 403):
        raise AuthFailed(
            f"{host} answered {reply.status}; check the credentials and what they are allowed to do"
        )
    if 300 <= reply.status < 400:
        raise InvalidReply(
            f"{host} answered {reply.status}, a redirect{_leads_to(reply)}; configure the address it leads to"
        )
    raise InvalidReply(f"{host} answered {reply.status}; check the address and the request's settings")


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds a `Retry-After` header asks to wait, from 0 to a day; None when there is none that makes sense.

    Parameters:
        value: whole seconds, or a date as HTTP writes them.
        now: the time now.

    Example:
        >>> retry_after_s("Wed, 01 Jan 2025 00:00:30 GMT", datetime(2025, 1, 1, tzinfo=UTC))
        30.0
    """
    if value is None:
        return None
    try:
        if value.isascii() and value.isdecimal():
            return float(min(int(value), int(MAX_RETRY_AFTER_S)))
        date = email.utils.parsedate_to_datetime(value)
        aware = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return min(max((aware - now).total_seconds(), 0.0), MAX_RETRY_AFTER_S)
    except (ValueError, OverflowError):
        return None


def _leads_to(reply: HttpReply) -> str:
    # Host alone: paths and queries may hold what was sent in a request, or a secret of the remote service's.
    try:
        target = httpx.URL(reply.headers.get("Location", ""))
    except httpx.InvalidURL:
        return ""
    if target.scheme not in ("http", "https"):
        return " to another path of the same host"
    host = target.raw_host.decode("ascii", "replace")
    if _HOST.fullmatch(host) is None:
        return ""
    port = "" if target.port is None else f":{target.port}"
    return f" to {target.scheme}://{host}{port}"


def _failure(error: httpx.TransportError, host: str) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"{host} did not answer in time ({type(error).__name__})"
    # Only a failed connect words its reason itself; others may quote what the remote service sent.
    reason = f": {error}" if isinstance(error, httpx.ConnectError) else ""
    return (
        f"the connection to {host} failed ({type(error).__name__}{reason}); check that it is up and reachable"
    )
