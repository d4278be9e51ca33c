"""What publish targets are called and kept with, on the platform's settings. Loaded when a target is touched."""

from collections.abc import Callable
from uuid import UUID

from adapters.credentials import credentials_of
from app.bootstrap.jobs.publishers import credential_box, outbound_policy, site_publishers
from app.settings import Settings
from domain.errors import InvalidReply, JobError, ProviderUnavailable
from domain.publishing import AdapterName, PublishTarget

from .targets import TargetCheck


class PlatformOutbound:
    """`Outbound` for the platform.

    Parameters:
        settings: secret keys, and which addresses may be called.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def check_address(self, address: str) -> None:
        """See `Outbound`."""
        outbound_policy(self._settings).check_address(address)

    def site_address(self, adapter: AdapterName, address: str, *, timeout_s: float) -> str:
        """See `Outbound`."""
        if adapter != "wordpress":
            return address
        with site_publishers(self._settings) as publishers:
            try:
                return publishers.site_address(address, timeout_s=timeout_s) or address
            except (ProviderUnavailable, InvalidReply):
                return address  # `check` says what is wrong with it

    def seal(self, adapter: AdapterName, credentials: Callable[[], str]) -> Callable[[UUID], bytes]:
        """See `Outbound`."""
        box = credential_box(self._settings)
        given = credentials_of(adapter, credentials())
        return lambda target_id: box.encrypt(target_id, given)

    def rotated(self, sealed: bytes) -> bytes | None:
        """See `Outbound`."""
        return credential_box(self._settings).rotated(sealed)

    def check(self, target: PublishTarget, *, timeout_s: float) -> TargetCheck:
        """See `Outbound`."""
        with site_publishers(self._settings) as publishers:
            try:
                found = publishers.check(target, timeout_s=timeout_s)
            except JobError as error:
                return TargetCheck(is_ready=False, message=str(error))
        return TargetCheck(is_ready=found.is_ready, message=found.message)
