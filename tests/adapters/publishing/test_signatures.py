"""Signatures of webhook requests: test vectors for whoever writes the other side, and what is refused."""

import hashlib
import hmac

import pytest

from adapters.publishing.signatures import TOLERANCE_S, sign, verify_signature

SECRET = "whsec-0123456789abcdef"
AT_S = 1_767_225_600
BODY = '{"key": "crumbs-36b1b0bafdaf", "title": "Na\u00efve", "body": "\u03b5"}'.encode()

#: Secret, timestamp, body, signature.
VECTORS = [
    (SECRET, str(AT_S), b"{}", "sha256=e423235ce1e5dbbd8fd3990984210e5c553b3e5ce25688781561f3565c638423"),
    (SECRET, str(AT_S), b"", "sha256=d5d4edd3724441a9da057d694514f2c489fae193b3a50bc4cf57ca1c781b8e04"),
    (SECRET, str(AT_S), BODY, "sha256=91b49750ecaecfaa463f13ec9ee177766d08a0a7b5c84394dccd2b49c00f05a8"),
    (
        "\U0001f511 key of every script",
        "0",
        BODY,
        "sha256=69a57cbcc1f4677b16db016d689dc6d862101d670f957ee26019282aa7a1059e",
    ),
]


@pytest.mark.parametrize(("secret", "timestamp", "body", "signature"), VECTORS)
def test_vectors(secret: str, timestamp: str, body: bytes, signature: str) -> None:
    """Computed as documented, they stay as they are: receivers depend on it."""
    assert sign(secret, timestamp, body) == signature
    assert verify_signature(secret, timestamp, signature, body, now_s=float(timestamp))
    by_hand = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hex()
    assert signature == f"sha256={by_hand}"


@pytest.mark.parametrize("off_s", [-TOLERANCE_S, 0, TOLERANCE_S])
def test_clocks_may_differ_a_little(off_s: int) -> None:
    """Five minutes either way."""
    signature = sign(SECRET, str(AT_S), BODY)
    assert verify_signature(SECRET, str(AT_S), signature, BODY, now_s=AT_S + off_s)


@pytest.mark.parametrize("off_s", [-TOLERANCE_S - 1, TOLERANCE_S + 1, 10**9])
def test_an_old_request_is_refused(off_s: int) -> None:
    """However well it is signed."""
    signature = sign(SECRET, str(AT_S), BODY)
    assert not verify_signature(SECRET, str(AT_S), signature, BODY, now_s=AT_S + off_s)


@pytest.mark.parametrize(
    ("timestamp", "body", "signature"),
    [
        (str(AT_S + 1), BODY, sign(SECRET, str(AT_S), BODY)),
        (str(AT_S), BODY + b" ", sign(SECRET, str(AT_S), BODY)),
        (str(AT_S), BODY, sign(SECRET + "x", str(AT_S), BODY)),
        (str(AT_S), BODY, sign(SECRET, str(AT_S), BODY).removeprefix("sha256=")),
        (str(AT_S), BODY, sign(SECRET, str(AT_S), BODY).upper()),
        (str(AT_S), BODY, ""),
        (str(AT_S), BODY, "sha256=\udcff"),
        ("", BODY, sign(SECRET, "", BODY)),
        ("-1", BODY, sign(SECRET, "-1", BODY)),
        ("now", BODY, sign(SECRET, "now", BODY)),
        (f"{AT_S}\n", BODY, sign(SECRET, f"{AT_S}\n", BODY)),
        ("9" * 13, BODY, sign(SECRET, "9" * 13, BODY)),
    ],
)
def test_what_was_changed_is_refused(timestamp: str, body: bytes, signature: str) -> None:
    """Time, body, secret, form."""
    assert not verify_signature(SECRET, timestamp, signature, body, now_s=AT_S)
