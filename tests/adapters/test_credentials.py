"""Encrypted credentials: they open with our keys, for their own target, and show nothing otherwise."""

import json
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.credentials import (
    CredentialBox,
    WebhookCredentials,
    WordPressCredentials,
    credentials_of,
)
from domain.errors import AuthFailed, InvalidInput

OLD, NEW = SecretStr("o" * 32), SecretStr("n" * 32)
WORDPRESS = WordPressCredentials(username="ann", application_password=SecretStr("abcd planted EFGH"))
WEBHOOK = WebhookCredentials(secret=SecretStr("whsec planted 0123456789"))
TARGET = uuid4()


@pytest.mark.parametrize("credentials", [WORDPRESS, WEBHOOK])
def test_credentials_open_for_their_target(credentials: WordPressCredentials | WebhookCredentials) -> None:
    """They come back as they were, and what the database holds shows nothing of them."""
    sealed = CredentialBox([NEW]).encrypt(TARGET, credentials)

    assert CredentialBox([NEW]).decrypt(TARGET, sealed) == credentials
    assert b"planted" not in sealed
    assert len(sealed) < 1_000


@given(st.text(min_size=16, max_size=1_000))
def test_any_secret_survives(secret: str) -> None:
    """Every character of every script, spaces at the ends among them."""
    try:
        secret.encode()
    except UnicodeEncodeError:
        return  # half a character: no credentials have it
    box = CredentialBox([NEW])
    opened = box.decrypt(TARGET, box.encrypt(TARGET, WebhookCredentials(secret=SecretStr(secret))))
    assert isinstance(opened, WebhookCredentials)
    assert opened.secret.get_secret_value() == secret


def test_the_longest_credentials_fit_the_column() -> None:
    """In the script that takes the most bytes."""
    longest = WebhookCredentials(secret=SecretStr("\U0001f511" * 1_000))
    assert len(CredentialBox([NEW]).encrypt(TARGET, longest)) <= 16_384


def test_the_same_credentials_never_look_alike() -> None:
    """Two targets with the same password cannot be told by their rows."""
    box = CredentialBox([NEW])
    assert box.encrypt(TARGET, WEBHOOK) != box.encrypt(TARGET, WEBHOOK)


def test_another_targets_credentials_are_refused() -> None:
    """Rows that were swapped are noticed."""
    box = CredentialBox([NEW])
    sealed = box.encrypt(TARGET, WORDPRESS)

    with pytest.raises(AuthFailed, match="for another one") as caught:
        box.decrypt(uuid4(), sealed)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    "change", ["a wrong key", "a flipped bit", "cut short", "empty", "nonsense", "somebody's"]
)
def test_what_does_not_open_says_what_to_do(change: str) -> None:
    """Which target it is and which variable to look at; nothing of what was found."""
    sealed = CredentialBox([OLD]).encrypt(TARGET, WORDPRESS)
    box = CredentialBox([NEW] if change == "a wrong key" else [OLD])
    broken = {
        "a wrong key": sealed,
        "a flipped bit": sealed[:40] + bytes([sealed[40] ^ 1]) + sealed[41:],
        "cut short": sealed[:-4],
        "empty": b"",
        "nonsense": b"\xff planted",
        "somebody's": Fernet(b"b" * 43 + b"=").encrypt(b"{}"),
    }[change]

    with pytest.raises(AuthFailed, match=rf"PRESSROOM_SECRET_KEYS.*{TARGET}.*targets add") as caught:
        box.decrypt(TARGET, broken)
    assert "planted" not in str(caught.value)


def test_another_form_is_refused() -> None:
    """What was encrypted with our key and is no credentials, as a later version may write it."""
    box = CredentialBox([NEW])
    later = WordPressCredentials.model_construct(kind="wordpress", username="ann", token="planted")  # type: ignore[call-arg]
    with pytest.raises(AuthFailed, match="not in a form") as caught:
        box.decrypt(TARGET, box.encrypt(TARGET, later))
    assert "planted" not in str(caught.value)


def test_keys_are_rotated() -> None:
    """The newest encrypts, older ones decrypt until what they encrypted was encrypted again."""
    sealed = CredentialBox([OLD]).encrypt(TARGET, WORDPRESS)
    both = CredentialBox([NEW, OLD])

    rotated = both.rotated(sealed)

    assert rotated is not None
    assert both.decrypt(TARGET, sealed) == CredentialBox([NEW]).decrypt(TARGET, rotated) == WORDPRESS
    with pytest.raises(AuthFailed):
        CredentialBox([OLD]).decrypt(TARGET, rotated)


def test_what_has_the_newest_key_is_left_untouched() -> None:
    """Rotating twice writes nothing the second time."""
    both = CredentialBox([NEW, OLD])
    assert both.rotated(both.encrypt(TARGET, WORDPRESS)) is None


def test_what_no_key_opens_is_not_rotated() -> None:
    """The message says which variable to look at."""
    sealed = CredentialBox([OLD]).encrypt(TARGET, WORDPRESS)
    with pytest.raises(AuthFailed, match="PRESSROOM_SECRET_KEYS"):
        CredentialBox([NEW]).rotated(sealed)


@pytest.mark.parametrize(
    ("keys", "says"), [([], "set PRESSROOM_SECRET_KEYS"), ([NEW, SecretStr("short")], "at least 32")]
)
def test_keys_have_to_be_there_and_long(keys: list[SecretStr], says: str) -> None:
    """A short key is refused wherever it stands in the list."""
    with pytest.raises(InvalidInput, match=says):
        CredentialBox(keys)


def test_credentials_are_read_from_json() -> None:
    """Of one kind each."""
    given_wordpress = json.dumps({"username": "ann", "application_password": "abcd planted EFGH"})
    assert credentials_of("wordpress", given_wordpress) == WORDPRESS
    assert credentials_of("webhook", json.dumps({"secret": "whsec planted 0123456789"})) == WEBHOOK


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        ("wordpress", '{"username": "planted"}', "application_password: Field required"),
        ("wordpress", '{"username": "plan:ted", "application_password": "planted"}', "username"),
        ("wordpress", '{"username": "ann", "application_password": ""}', "application_password"),
        ("wordpress", '{"secret": "planted 0123456789"}', "an unknown field"),
        ("webhook", '{"secret": "planted"}', "secret"),
        ("webhook", '{"planted": "planted 0123456789"}', "an unknown field"),
        ("webhook", '{"secret": 7}', "secret"),
        ("webhook", '["planted"]', "credentials"),
        ("webhook", "planted", "credentials"),
        ("webhook", "", "credentials"),
    ],
)
def test_what_are_no_credentials_is_refused(kind: str, given: str, says: str) -> None:
    """Fields are named, values are not."""
    with pytest.raises(InvalidInput, match=says) as caught:
        credentials_of(kind, given)
    assert "planted" not in str(caught.value)


def test_secrets_hide_from_whoever_prints_them() -> None:
    """In the models' own texts."""
    assert "planted" not in f"{WORDPRESS!r} {WEBHOOK!r} {WORDPRESS} {WEBHOOK.model_dump_json()}"
