"""Wires what publishes posts to remote services."""

from functools import cache
from typing import TYPE_CHECKING

from adapters.credentials import CredentialBox
from adapters.net.outbound_policy import OutboundPolicy, networks
from adapters.publishing import SitePublishers
from app.settings import Settings
from domain.post_details import MAX_IMAGE_BYTES, MediaFiles

if TYPE_CHECKING:
    from adapters.storage.media_store import ObjectMediaStore


def site_publishers(settings: Settings) -> SitePublishers:
    """The way to every publish target that the settings allow; a context that closes its connections."""
    return SitePublishers(
        cache(lambda: credential_box(settings)), outbound_policy(settings), files=media_files(settings)
    )


def media_files(settings: Settings) -> MediaFiles:
    """What reads the org's media, from a storage that is opened when the first file is needed."""

    @cache
    def store() -> "ObjectMediaStore":
        from .media_cleanup import media_store  # only now: most posts have none

        return media_store(settings)

    return lambda media: store().read(media.object_key, most_bytes=MAX_IMAGE_BYTES)


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
