"""Addresses of posts, as remote services name them in their replies."""

from domain.publishing import MAX_URL_CHARS


def usable_url(given: str | None) -> str | None:
    """The address, if it is one that can be kept and shown; None otherwise.

    Example:
        >>> usable_url("javascript:alert(1)") is None
        True
    """
    if given is None or not given.startswith(("https://", "http://")):
        return None
    return given if len(given) <= MAX_URL_CHARS and given.isprintable() else None
