"""Signatures of webhook requests, and how whoever receives them checks them.

A request carries three headers:

    Idempotency-Key: creme-brulee-at-home-36b1b0bafdaf
    X-Pressroom-Timestamp: 1767225600
    X-Pressroom-Signature: sha256=9c1e...

The signature is HMAC-SHA256 (RFC 2104) in lower-case hex, keyed with the shared secret in UTF-8, over the timestamp
as it stands in its header, a full stop, and the body's bytes as they came. To check a request: read the body before
anything parses it; refuse a timestamp that is more than five minutes away, so that nobody sends an old request again;
compute the signature; compare in constant time. A repeated request has the same key, and a new timestamp and signature.

The same with a shell:

    printf '%s.%s' "$timestamp" "$body" | openssl dgst -sha256 -hmac "$secret"
"""

import hashlib
import hmac
import re

#: Seconds that a request's time may differ from the receiver's.
TOLERANCE_S = 300

_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The signature header's value.

    Example:
        >>> sign("whsec-0123456789abcdef", "1767225600", b"{}")[:14]
        'sha256=e423235'
    """
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def verify_signature(
    secret: str,
    timestamp: str,
    signature: str,
    body: bytes,
    *,
    now_s: float,
    tolerance_s: float = TOLERANCE_S,
) -> bool:
    """True if a request was signed with this secret, not long ago, and nobody changed it.

    Parameters:
        secret: shared with the sender.
        timestamp: the header `X-Pressroom-Timestamp`.
        signature: the header `X-Pressroom-Signature`.
        body: as it came, before anything parsed it.
        now_s: seconds since 1970, now.
        tolerance_s: seconds that the two clocks and the way may take. Default 300.

    Example:
        >>> verify_signature(secret, "1767225600", signature, body, now_s=1767225610.0)
        True
    """
    fits = hmac.compare_digest(
        sign(secret, timestamp, body).encode(), signature.encode("utf-8", "surrogateescape")
    )
    return fits and _TIMESTAMP.fullmatch(timestamp) is not None and abs(now_s - int(timestamp)) <= tolerance_s
