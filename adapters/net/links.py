"""Links to downloads that anybody may follow until they expire.

A store that can sign (S3) makes its own. For one that cannot, the application serves the object itself, behind a
signature of ours.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from pydantic import SecretStr

from adapters.storage.object_store import ObjectStore
from domain.errors import InvalidInput
from domain.ports import Clock

#: Characters a secret key needs at least.
MIN_KEY_CHARACTERS = 32

# Keeps these signatures apart from everything else that is made with the same keys.
_PURPOSE = b"pressroom download link, version 1"
_KEY = re.compile(r"exports/[0-9a-f-]{36}/[0-9a-f-]{36}\.[a-z]{2,4}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)


class LinkRefused(InvalidInput):
    """The link was not made by us, or somebody changed it."""


class LinkExpired(LinkRefused):
    """The link was ours and its time is over."""


class Links(Protocol):
    """Makes links to objects."""

    def link(self, key: str, expires_at: datetime) -> str:
        """An address that serves the object `key` until `expires_at`."""
        ...


class SignedLinks:
    """Links to the application, `{public_url}/exports/{org_id}/{export_id}.{ext}?expires=...&signature=...`.

    The signature is HMAC-SHA256 over the object's key and the time. The first secret key signs; all of them
    verify, so a new key is put in front and the old one is dropped when its last link has expired.

    Parameters:
        public_url: where people reach the application.
        secret_keys: the newest first, each of 32 characters or more.

    Raises:
        InvalidInput: no key, or one that is too short.

    Example:
        >>> links = SignedLinks("https://jobs.example", [SecretStr(secrets.token_hex())])
        >>> url = links.link(f"exports/{org_id}/{export_id}.csv", expires_at)
    """

    def __init__(self, public_url: str, secret_keys: Sequence[SecretStr]) -> None:
        if not secret_keys:
            raise InvalidInput("no key to sign download links with; set PRESSROOM_SECRET_KEYS")
        if any(len(key.get_secret_value()) < MIN_KEY_CHARACTERS for key in secret_keys):
            raise InvalidInput(
                f"each of PRESSROOM_SECRET_KEYS needs at least {MIN_KEY_CHARACTERS} characters"
            )
        self._public_url = public_url.rstrip("/")
        self._keys = [_derived(key) for key in secret_keys]

    def link(self, key: str, expires_at: datetime) -> str:
        """The address of the object `key` that works until `expires_at`."""
        expires = str(int(expires_at.timestamp()))
        return (
            f"{self._public_url}/{key}?expires={expires}&signature={_signature(self._keys[0], key, expires)}"
        )

    def verify(self, key: str, expires: str, signature: str, now: datetime) -> str:
        """The object's key, when the link is ours and still works.

        Parameters:
            key: the path of the request without its leading slash.
            expires: the parameter of that name, as it came.
            signature: the parameter of that name, as it came.
            now: the time to hold against `expires`.

        Raises:
            LinkRefused: the signature does not fit what it is said to sign.
            LinkExpired: it does, and the time is over.
        """
        given = signature.encode("utf-8", "replace")
        # Every key is tried, so that the time it takes does not tell which one fits.
        fits = [hmac.compare_digest(_signature(each, key, expires).encode(), given) for each in self._keys]
        if not (any(fits) and _KEY.fullmatch(key) and _SECONDS.fullmatch(expires)):
            raise LinkRefused("this link is not ours or was changed; copy it again in full, or export again")
        if now >= datetime.fromtimestamp(int(expires), UTC):
            raise LinkExpired("this link has expired; export again to get a new one")
        return key


@dataclass(frozen=True, kw_only=True)
class StoreLinks:
    """The store's own links where it signs, else the application's.

    Parameters:
        store: where the objects are.
        signed: makes the application's links.
        clock: the time now.
    """

    store: ObjectStore
    signed: Links
    clock: Clock

    def link(self, key: str, expires_at: datetime) -> str:
        """The address of the object `key` that works until `expires_at`."""
        expires_in = max(expires_at - self.clock(), timedelta(seconds=1))
        return self.store.presigned_url(key, expires_in) or self.signed.link(key, expires_at)


def _derived(key: SecretStr) -> bytes:
    return hmac.digest(key.get_secret_value().encode(), _PURPOSE, hashlib.sha256)


def _signature(key: bytes, object_key: str, expires: str) -> str:
    message = f"GET\n{object_key}\n{expires}".encode("utf-8", "replace")
    return base64.urlsafe_b64encode(hmac.digest(key, message, "sha256")).decode().rstrip("=")
