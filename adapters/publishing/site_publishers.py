"""Finds the way to a publish target: decrypts its credentials, checks its address, picks its protocol."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import httpx

from adapters.credentials import CredentialBox, WebhookCredentials, WordPressCredentials
from adapters.net.http import HttpExchange
from adapters.net.outbound import Lookup, outbound_client, system_lookup
from adapters.net.outbound_policy import OutboundPolicy
from domain.errors import AuthFailed, InvalidInput
from domain.ports import Clock
from domain.post_details import MediaFiles
from domain.publishing import Publisher, PublishTarget, RetryOptions

from .webhook import WebhookPublisher
from .wordpress import WordPressPublisher
from .wordpress_api import WordPressApi
from .wordpress_connection import WordPressConnection
from .wordpress_replies import RestUser
from .wordpress_root import KnownRoots

#: Bound on one attempt at one request, in seconds.
ATTEMPT_TIMEOUT_S = 30.0
#: Bound on a reply's body. Posts are asked for without their texts.
MAX_REPLY_BYTES = 1024 * 1024
#: Roles that publish; a plugin may hide what they may do.
_PUBLISHING_ROLES = frozenset({"administrator", "editor", "author"})


@dataclass(frozen=True, kw_only=True)
class TargetCheck:
    """What a harmless request to a target showed."""

    #: Whether posts could be published there, as far as that can be known without doing it.
    is_ready: bool
    #: What was found, and what to do about it.
    message: str


class SitePublishers:
    """`domain.publishing.Publishers` over HTTP; a context that closes its connections. Threads may share it.

    Parameters:
        box: makes what decrypts credentials; called when the first are needed.
        policy: which addresses may be called.
        files: reads the org's media, where posts have any. Default None.
        attempt_timeout_s: bound on one attempt at one request. Default 30.
        clock: the time now. Default: the system's.
        lookup: finds the addresses of a name. Default: the system's.
        tls: whom to trust. Default: the usual authorities.

    Example:
        >>> with SitePublishers(lambda: CredentialBox(keys), OutboundPolicy()) as publishers:
        ...     publishers(target, RetryOptions()).publish(post, journal)
    """

    def __init__(
        self,
        box: Callable[[], CredentialBox],
        policy: OutboundPolicy,
        *,
        files: MediaFiles | None = None,
        attempt_timeout_s: float = ATTEMPT_TIMEOUT_S,
        clock: Clock = lambda: datetime.now(UTC),
        lookup: Lookup = system_lookup,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._box = box
        self._policy = policy
        self._files = files
        self._attempt_timeout_s = attempt_timeout_s
        self._clock = clock
        self._client = outbound_client(policy, lookup=lookup, tls=tls)
        self._roots = KnownRoots()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __call__(self, target: PublishTarget, retry: RetryOptions) -> Publisher:
        """A publisher for the target.

        Raises:
            AuthFailed: its credentials cannot be decrypted with any key we have, or are not of its kind.
            InvalidInput: its address may not be called.
        """
        self._policy.check_address(target.address)
        exchange = self._exchange(retry)
        credentials = self._credentials(target)
        if isinstance(credentials, WordPressCredentials):
            return WordPressPublisher(self._api(exchange, target.address, credentials), exchange, self._files)
        return WebhookPublisher(
            exchange=exchange, address=target.address, credentials=credentials, clock=self._clock
        )

    def check(self, target: PublishTarget, *, timeout_s: float) -> TargetCheck:
        """Ask a target whether it would take a post, without leaving a trace there.

        A WordPress site is asked who we are and what we may do. A webhook has no harmless request that everybody
        understands; it is asked with HEAD, without a signature, and anything but an outage will do.

        Raises:
            ProviderUnavailable, AuthFailed, InvalidReply, InvalidInput: what is wrong and what to do about it.
        """
        self._policy.check_address(target.address)
        exchange = self._exchange(RetryOptions(retries=0))
        credentials = self._credentials(target)
        if isinstance(credentials, WordPressCredentials):
            return _role_check(self._api(exchange, target.address, credentials).user(timeout_s=timeout_s))
        request = httpx.Request("HEAD", target.address)
        reply = exchange.send(request, timeout_s=timeout_s, repeatable=True)
        return TargetCheck(
            is_ready=True,
            message=f"answers ({reply.status} to HEAD); the first post will show whether the secret is the right one",
        )

    def site_address(self, address: str, *, timeout_s: float) -> str | None:
        """Where a WordPress site is whose API is somewhere behind an address; None where none was found.

        Nobody signs in: the site's front page and the API's root are asked.

        Raises:
            InvalidInput: the address may not be called, or its site has its API on another host.
            ProviderUnavailable, InvalidReply: the site does not answer.
        """
        self._policy.check_address(address)
        exchange = self._exchange(RetryOptions(retries=0))
        connection = WordPressConnection(exchange, address, None, self._roots)
        root = connection.find_root(timeout_s=timeout_s)
        if root is not None:
            return address if root.site in (None, address.rstrip("/")) else root.site
        linked = connection.linked_root(timeout_s=timeout_s)
        if linked is None:
            return None
        raise InvalidInput(
            f"this site has its API at {linked.url.scheme}://{linked.url.netloc.decode('ascii', 'replace')}; give that "
            "address"
        )

    def _api(self, exchange: HttpExchange, address: str, credentials: WordPressCredentials) -> WordPressApi:
        return WordPressApi(WordPressConnection(exchange, address, credentials, self._roots))

    def _exchange(self, retry: RetryOptions) -> HttpExchange:
        return HttpExchange(
            self._client,
            now=self._clock,
            attempt_timeout_s=self._attempt_timeout_s,
            max_reply_bytes=MAX_REPLY_BYTES,
            retries=retry.retries,
            first_wait_s=retry.backoff_ms / 1_000,
        )

    def _credentials(self, target: PublishTarget) -> WordPressCredentials | WebhookCredentials:
        credentials = self._box().decrypt(target.target_id, target.credentials)
        if credentials.kind != target.adapter:
            raise AuthFailed(
                f"the credentials of publish target {target.target_id} are for {credentials.kind}, and it is "
                f"a {target.adapter}; store the right ones with `targets add`"
            )
        return credentials


def _role_check(user: RestUser) -> TargetCheck:
    may = user.capabilities
    if may is None or (not may and user.roles and not _PUBLISHING_ROLES.isdisjoint(user.roles)):
        message = "the site knows the user and does not say what they may do; the first post will show"
        return TargetCheck(is_ready=True, message=message)
    if "publish_posts" not in may:
        message = "the user may not publish posts; make them an Author or Editor there"
        return TargetCheck(is_ready=False, message=message)
    if "unfiltered_html" not in may:
        message = (
            "the user may publish; scripts and frames in texts are taken out there, which an Editor may write"
        )
        return TargetCheck(is_ready=True, message=message)
    return TargetCheck(is_ready=True, message="the user may publish")
