"""Credentials of remote services, encrypted for the database and bound to the target they belong to.

Fernet (AES-128-CBC and HMAC-SHA256, https://github.com/fernet/spec) under keys derived from the platform's secret keys
by HKDF-SHA256 (RFC 5869). The first secret key encrypts, all of them decrypt: a new key is put in front, everything is
encrypted again with `python -m app targets rotate`, and the old key is dropped.
"""

import base64
from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from domain.contract import Model
from domain.errors import AuthFailed, InvalidInput

from .net.links import MIN_KEY_CHARACTERS

#: Characters that a webhook's secret needs at least.
MIN_SECRET_CHARACTERS = 16

# Keeps these keys apart from everything else that is derived from the same secrets.
_PURPOSE = b"pressroom credentials of publish targets, version 1"


class _Exact(Model):
    # A space at the end of a secret belongs to it.
    model_config = ConfigDict(str_strip_whitespace=False)


class WordPressCredentials(_Exact):
    """A WordPress user and one of their application passwords."""

    kind: Literal["wordpress"] = "wordpress"
    username: str = Field(min_length=1, max_length=200, pattern=r"^[^:\x00-\x1f\x7f]+$")
    application_password: SecretStr = Field(min_length=1, max_length=500)


class WebhookCredentials(_Exact):
    """The secret that a webhook's requests are signed with."""

    kind: Literal["webhook"] = "webhook"
    secret: SecretStr = Field(min_length=MIN_SECRET_CHARACTERS, max_length=1_000)


Credentials = Annotated[WordPressCredentials | WebhookCredentials, Field(discriminator="kind")]


class _Sealed(_Exact):
    """What is encrypted."""

    target_id: UUID
    credentials: Credentials


_CREDENTIALS: TypeAdapter[WordPressCredentials | WebhookCredentials] = TypeAdapter(Credentials)


class CredentialBox:
    """Encrypts and decrypts credentials.

    Parameters:
        secret_keys: the newest first, each of 32 characters or more.

    Raises:
        InvalidInput: no key, or one that is too short.

    Example:
        >>> box = CredentialBox(settings.secret_keys)
        >>> sealed = box.encrypt(target_id, WebhookCredentials(secret=SecretStr(secrets.token_hex())))
        >>> box.decrypt(target_id, sealed).kind
        'webhook'
    """

    def __init__(self, secret_keys: Sequence[SecretStr]) -> None:
        if not secret_keys:
            raise InvalidInput("no key to encrypt credentials with; set PRESSROOM_SECRET_KEYS")
        if any(len(key.get_secret_value()) < MIN_KEY_CHARACTERS for key in secret_keys):
            raise InvalidInput(
                f"each of PRESSROOM_SECRET_KEYS needs at least {MIN_KEY_CHARACTERS} characters"
            )
        keys = [Fernet(_derived(key)) for key in secret_keys]
        self._newest = keys[0]
        self._all = MultiFernet(keys)

    def encrypt(self, target_id: UUID, credentials: WordPressCredentials | WebhookCredentials) -> bytes:
        """The credentials as the database keeps them; they open for this target alone."""
        values = {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in credentials
        }
        sealed = _SEALED.dump_json({"target_id": str(target_id), "credentials": values})
        return self._newest.encrypt(sealed)

    def decrypt(self, target_id: UUID, sealed: bytes) -> WordPressCredentials | WebhookCredentials:
        """What was encrypted for this target.

        Raises:
            AuthFailed: no key of ours fits, or they are another target's.
        """
        try:
            opened = _Sealed.model_validate_json(self._all.decrypt(sealed))
        except InvalidToken:
            raise AuthFailed(
                f"no key in PRESSROOM_SECRET_KEYS decrypts the credentials of publish target {target_id}; "
                "add the key they were encrypted with, or store them anew with `targets add`"
            ) from None
        except ValidationError:
            raise AuthFailed(
                f"the credentials of publish target {target_id} are not in a form this version knows; "
                "store them anew with `targets add`"
            ) from None
        if opened.target_id != target_id:
            raise AuthFailed(
                f"the credentials stored with publish target {target_id} were encrypted for another one; "
                "find out who moved them, and store the right ones with `targets add`"
            )
        return opened.credentials

    def rotated(self, sealed: bytes) -> bytes | None:
        """The same, encrypted with the newest key; None when it is already.

        Raises:
            AuthFailed: no key of ours fits.
        """
        try:
            self._newest.decrypt(sealed)
        except InvalidToken:
            pass
        else:
            return None
        try:
            return self._all.rotate(sealed)
        except InvalidToken:
            raise AuthFailed(
                "no key in PRESSROOM_SECRET_KEYS decrypts these credentials; add the key they were encrypted with"
            ) from None


def credentials_of(kind: str, given: str) -> WordPressCredentials | WebhookCredentials:
    """Credentials of one kind from JSON, like `{"username": ..., "application_password": ...}`.

    Raises:
        InvalidInput: they do not fit; the message names the fields and repeats no value.
    """
    try:
        values = _GIVEN.validate_json(given)
        return _CREDENTIALS.validate_python({**values, "kind": kind})
    except ValidationError as error:
        faults = "; ".join(
            # A name that we do not know may be a secret that slipped into its place.
            "an unknown field"
            if fault["type"] == "extra_forbidden"
            else f"{'.'.join(str(part) for part in fault['loc'] if part in _FIELDS) or 'credentials'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False, include_context=False)
        )
        raise InvalidInput(f"these are no credentials for {kind}: {faults}") from None


_FIELDS = {*WordPressCredentials.model_fields, *WebhookCredentials.model_fields}
_GIVEN: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])
_SEALED: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])


def _derived(key: SecretStr) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(
        key.get_secret_value().encode()
    )
    return base64.urlsafe_b64encode(derived)
