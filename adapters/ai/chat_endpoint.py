"""Where a chat provider is, and how it wants its key."""

import re
from typing import Literal

import httpx
from pydantic import SecretStr

#: The header that carries the key.
KeyHeader = Literal["authorization", "api-key"]

_PATH = "/chat/completions"
_AZURE_HOST = re.compile(r"\.azure\.com$|\.azure-api\.net$")
_NAMES_A_SECRET = re.compile(r"key|token|secret|password|passwd|sig|auth|code", re.IGNORECASE)


def chat_url(base_url: str) -> httpx.URL:
    """The address that completions are asked of.

    Parameters:
        base_url: where the API begins; its query stays.

    Raises:
        ValueError: it cannot work, or holds a credential. It is not quoted.

    Example:
        >>> str(chat_url("https://x.example/openai?api-version=2024-10-21"))
        'https://x.example/openai/chat/completions?api-version=2024-10-21'
    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        raise ValueError("base_url is not a URL; it should look like https://api.example.com/v1") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("base_url must begin with http:// or https:// and name a host")
    if url.userinfo or url.fragment or any(map(_NAMES_A_SECRET.search, url.params.keys())):
        raise ValueError("base_url may hold no credentials and no fragment; the key goes into api_key")
    path = url.path.rstrip("/").removesuffix(_PATH)
    return url.copy_with(path=path + _PATH)


def key_headers(url: httpx.URL, api_key: SecretStr | None, header: KeyHeader | None) -> dict[str, str]:
    """The headers that carry the key; none without a key.

    Parameters:
        url: where it is sent.
        api_key: the key.
        header: which header carries it; None for the one that is usual there.

    Raises:
        ValueError: no header can carry it. It is not quoted.

    Example:
        >>> key_headers(httpx.URL("https://x.openai.azure.com"), SecretStr("k"), None)
        {'api-key': 'k'}
    """
    if api_key is None:
        return {}
    key = api_key.get_secret_value()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        # Found at once, it is not quoted by whoever fails to send it.
        raise ValueError("api_key is empty or no header can carry it; look for a stray space or line break")
    is_azure = _AZURE_HOST.search(url.host) is not None or "api-version" in url.params
    if header == "api-key" or (header is None and is_azure):
        return {"api-key": key}
    return {"Authorization": f"Bearer {key}"}
