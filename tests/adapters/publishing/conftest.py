"""A WordPress site, and publishers that reach it."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
import stamina
from pydantic import SecretStr

from adapters.credentials import CredentialBox, WebhookCredentials, WordPressCredentials
from adapters.net.outbound_policy import OutboundPolicy, networks
from adapters.publishing import SitePublishers
from app.dev.wordpress_site import SiteUser, WordPressSite, wordpress_site
from domain.publishing import AdapterName, Publisher, PublishTarget, RetryOptions

#: Retries of the publishers under test.
RETRIES = 3
#: Reaches servers on loopback and nothing else that is not public.
LOOPBACK = OutboundPolicy(allow_http=True, allowed_networks=networks(["127.0.0.0/8"]))
USERS = (
    SiteUser(name="editor", application_password="editor ABCD 1234 planted"),
    SiteUser(name="contributor", application_password="contributor planted", role="contributor"),
)


@dataclass(frozen=True)
class Way:
    """Makes publishers for addresses on loopback."""

    publishers: SitePublishers
    box: CredentialBox

    def target(
        self,
        address: str,
        credentials: WordPressCredentials | WebhookCredentials,
        target_id: UUID | None = None,
    ) -> PublishTarget:
        """A target with its credentials."""
        target_id = target_id or uuid4()
        kind: AdapterName = credentials.kind
        return PublishTarget(
            target_id=target_id,
            adapter=kind,
            address=address,
            credentials=self.box.encrypt(target_id, credentials),
        )

    def wordpress(
        self, site: WordPressSite | str, user: SiteUser = USERS[0], *, retries: int = RETRIES
    ) -> Publisher:
        """A publisher for a site."""
        credentials = WordPressCredentials(
            username=user.name, application_password=SecretStr(user.application_password)
        )
        address = site if isinstance(site, str) else site.url
        return self.publishers(
            self.target(address, credentials), RetryOptions(retries=retries, backoff_ms=100)
        )

    def webhook(self, address: str, secret: str, *, retries: int = RETRIES) -> Publisher:
        """A publisher for a webhook."""
        credentials = WebhookCredentials(secret=SecretStr(secret))
        return self.publishers(
            self.target(address, credentials), RetryOptions(retries=retries, backoff_ms=100)
        )


@pytest.fixture(scope="module")
def running_site() -> Iterator[WordPressSite]:
    with wordpress_site(users=USERS) as running:
        yield running


@pytest.fixture
def site(running_site: WordPressSite) -> WordPressSite:
    """A site without posts."""
    running_site.clear()
    return running_site


@pytest.fixture
def way() -> Iterator[Way]:
    """Publishers that wait as long as any server here takes."""
    yield from _way(attempt_timeout_s=30.0)


@pytest.fixture
def hasty() -> Iterator[Way]:
    """Publishers that give up on an attempt after half a second."""
    yield from _way(attempt_timeout_s=0.5)


def _way(attempt_timeout_s: float) -> Iterator[Way]:
    box = CredentialBox([SecretStr("k" * 32)])
    with SitePublishers(lambda: box, LOOPBACK, attempt_timeout_s=attempt_timeout_s) as publishers:
        yield Way(publishers, box)


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1 + RETRIES, cap=True):
        yield
