"""Download links: for whoever has them, as they were made, until they expire."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.net.links import LinkExpired, LinkRefused, SignedLinks, StoreLinks
from adapters.storage.object_store import S3Options, open_store
from domain.errors import InvalidInput

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
EXPIRES_AT = NOW + timedelta(days=1)
KEY = f"exports/{UUID(int=1)}/{UUID(int=2)}.csv"
OLD, NEW = SecretStr("o" * 32), SecretStr("n" * 32)


def _links(*keys: SecretStr) -> SignedLinks:
    return SignedLinks("https://jobs.example/base/", keys or (NEW,))


def _parts(url: str) -> tuple[str, str, str]:
    """Key, expiry and signature, the way a web framework takes a link apart."""
    parts = urlsplit(url)
    query = parse_qs(parts.query, strict_parsing=True)
    return parts.path.removeprefix("/base/"), query["expires"][0], query["signature"][0]


def test_a_link_is_the_objects_address() -> None:
    """The link is the public address, the object's key, and two parameters."""
    url = _links().link(KEY, EXPIRES_AT)
    assert url.startswith(f"https://jobs.example/base/{KEY}?expires={int(EXPIRES_AT.timestamp())}&signature=")


def test_a_link_gives_its_object() -> None:
    """A link that was not touched verifies until the second it expires."""
    parts = _parts(_links().link(KEY, EXPIRES_AT))
    assert _links().verify(*parts, NOW) == KEY
    assert _links().verify(*parts, EXPIRES_AT - timedelta(seconds=1)) == KEY


@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=1), timedelta(days=900)])
def test_an_expired_link_is_refused(late: timedelta) -> None:
    """From the moment it expires a link is refused, and the message says how to get a new one."""
    with pytest.raises(LinkExpired, match="export again"):
        _links().verify(*_parts(_links().link(KEY, EXPIRES_AT)), EXPIRES_AT + late)


@pytest.mark.parametrize(
    ("key", "expires", "signature"),
    [
        (KEY.replace("1/", "3/"), None, None),
        (KEY.replace(".csv", ".pdf"), None, None),
        (f"{KEY}/", None, None),
        (f"/{KEY}", None, None),
        (KEY.upper(), None, None),
        (f"exports/{UUID(int=1)}/../{UUID(int=2)}.csv", None, None),
        (None, str(int(EXPIRES_AT.timestamp()) + 1), None),
        (None, f" {int(EXPIRES_AT.timestamp())}", None),
        (None, f"+{int(EXPIRES_AT.timestamp())}", None),
        (None, "", None),
        (None, None, ""),
        (None, None, "signature"),
        (None, None, "ψ"),
        (None, None, "\ud800"),
    ],
)
def test_a_changed_link_is_refused(key: str | None, expires: str | None, signature: str | None) -> None:
    """Change the object, the time or the signature and the link is nobody's."""
    own_key, own_expires, own_signature = _parts(_links().link(KEY, EXPIRES_AT))
    with pytest.raises(LinkRefused) as caught:
        _links().verify(
            own_key if key is None else key,
            own_expires if expires is None else expires,
            own_signature if signature is None else signature,
            NOW,
        )
    assert type(caught.value) is LinkRefused


@given(st.integers(min_value=0, max_value=42), st.characters(min_codepoint=45, max_codepoint=122))
def test_any_changed_character_of_a_signature_is_refused(position: int, character: str) -> None:
    """No character of a signature is left unchecked."""
    key, expires, signature = _parts(_links().link(KEY, EXPIRES_AT))
    changed = f"{signature[:position]}{character}{signature[position + 1 :]}"
    if changed != signature:
        with pytest.raises(LinkRefused):
            _links().verify(key, expires, changed, NOW)


def test_a_signed_key_that_is_no_download_is_refused() -> None:
    """Even a good signature opens nothing but downloads."""
    parts = _parts(_links().link("backups/everything.sql", EXPIRES_AT))
    with pytest.raises(LinkRefused):
        _links().verify(*parts, NOW)


def test_keys_rotate() -> None:
    """The newest key signs; links of an older one work as long as it is listed."""
    old_parts = _parts(_links(OLD).link(KEY, EXPIRES_AT))
    assert _links(NEW, OLD).verify(*old_parts, NOW) == KEY
    with pytest.raises(LinkRefused):
        _links(NEW).verify(*old_parts, NOW)
    new_parts = _parts(_links(NEW, OLD).link(KEY, EXPIRES_AT))
    assert _links(NEW).verify(*new_parts, NOW) == KEY


def test_keys_are_required_and_long() -> None:
    """Without a key, or with one that can be guessed, no link is made; the message names the setting."""
    for keys in ([], [SecretStr("short")], [NEW, SecretStr("short")]):
        with pytest.raises(InvalidInput, match="PRESSROOM_SECRET_KEYS") as caught:
            SignedLinks("https://jobs.example", keys)
        assert "short" not in str(caught.value)


def test_a_store_that_signs_makes_its_own_links(tmp_path: Path) -> None:
    """A bucket's link is the store's, for the time that is left; a folder's is the application's."""
    options = S3Options(access_key_id="id", secret_access_key=SecretStr("secret"))
    stores = [open_store("s3://bucket", options), open_store(tmp_path.as_uri())]
    s3_link, folder_link = (
        StoreLinks(store=store, signed=_links(), clock=lambda: NOW).link(KEY, EXPIRES_AT) for store in stores
    )
    assert s3_link.startswith(f"https://s3.us-east-1.amazonaws.com/bucket/{KEY}?X-Amz-Algorithm=")
    assert "X-Amz-Expires=86400" in s3_link
    assert folder_link == _links().link(KEY, EXPIRES_AT)
