"""Wires what publishes posts to remote services."""

from functools import cache

from adapters.credentials import CredentialBox
from adapters.net.outbound_policy import OutboundPolicy, networks
from adapters.publishing import SitePublishers
from app.settings import Settings


def site_publishers(settings: Settings) -> SitePublishers:
    """The way to every publish target that the settings allow; a context that closes its connections."""
    return SitePublishers(cache(lambda: credential_box(settings)), outbound_policy(settings))


def credential_box(settings: Settings) -> CredentialBox:
    """What encrypts and decrypts the credentials of publish targets.

    Raises:
        InvalidInput: no secret key is set, or one is too short.
    """
    return CredentialBox(settings.secret_keys)


def outbound_policy(settings: Settings) -> OutboundPolicy:
    """Which addresses of tenants may be called."""
    return OutboundPolicy(
        allow_http=settings.publish_allow_http,
        allowed_networks=networks(settings.publish_allowed_networks),
    )
