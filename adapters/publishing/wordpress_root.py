"""Where a WordPress site has its REST API: at `/wp-json/`, below `/index.php/`, or in the argument `rest_route`.

https://developer.wordpress.org/rest-api/extending-the-rest-api/routes-and-endpoints/
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx

#: What a site calls its API in a `Link` header.
_RELATION = re.compile(r'<([^<>\s]{1,2048})>\s*;[^,<]{0,200}?\brel="?https://api\.w\.org/"?')
#: How roots end, after which the site's own address is left.
_ENDINGS = ("/index.php/wp-json", "/wp-json", "/index.php")
_STANDARD_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class ApiRoot:
    """The API's root.

    Parameters:
        url: ends with a slash, or holds `rest_route`.
    """

    url: httpx.URL

    def at(self, path: str, query: Mapping[str, str]) -> httpx.URL:
        """The address of what is below the root.

        Example:
            >>> str(ApiRoot(httpx.URL("https://blog.example/?rest_route=/")).at("wp/v2/posts", {"page": "2"}))
            'https://blog.example/?rest_route=%2Fwp%2Fv2%2Fposts&page=2'
        """
        if "rest_route" in self.url.params:
            return self.url.copy_merge_params({"rest_route": f"/{path}", **query})
        return self.url.join(path).copy_merge_params(query)

    @property
    def site(self) -> str | None:
        """The site's address, from which this root is found; None for a root of a form that is no default."""
        if "rest_route" in self.url.params:
            return _site(str(self.url.copy_with(query=None, fragment=None)))
        plain = str(self.url).rstrip("/")
        return _site(plain) if plain.endswith("/wp-json") else None


class KnownRoots:
    """Where sites have their APIs, as it was found; threads may share it.

    Parameters:
        most: how many are remembered; with one more it begins anew.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._by_address: dict[str, ApiRoot] = {}

    def get(self, address: str) -> ApiRoot | None:
        """What was found for a site's address."""
        return self._by_address.get(address)

    def keep(self, address: str, root: ApiRoot) -> None:
        """Remember what was found."""
        if len(self._by_address) >= self._most:
            self._by_address = {}
        self._by_address[address] = root


def default_root(address: str) -> ApiRoot:
    """Where the API of a site most often is."""
    return ApiRoot(httpx.URL(f"{_site(address)}/wp-json/"))


def roots(address: str) -> Iterator[ApiRoot]:
    """Everywhere that it may be, the likeliest first."""
    site = _site(address)
    yield default_root(address)
    yield ApiRoot(httpx.URL(f"{site}/index.php/wp-json/"))
    yield ApiRoot(httpx.URL(f"{site}/?rest_route=/"))


def linked_root(header: str | None, page: httpx.URL) -> ApiRoot | None:
    """The root that a page of the site names in its `Link` header; wherever that is.

    Parameters:
        header: its value, of several headers joined by commas.
        page: the page's address.
    """
    found = None if header is None else _RELATION.search(header)
    if found is None:
        return None
    try:
        url = page.join(found[1])
    except (httpx.InvalidURL, ValueError):
        return None
    if url.scheme not in _STANDARD_PORTS or not url.host:
        return None
    if "rest_route" in url.params:
        return ApiRoot(url.copy_set_param("rest_route", "/"))
    return ApiRoot(url if url.path.endswith("/") else url.copy_with(path=f"{url.path}/"))


def is_same_host(asked: httpx.URL, other: httpx.URL) -> bool:
    """True if what may be sent to one may be sent to the other: one server, or the same one now over https."""
    if asked.host != other.host:
        return False
    if (asked.scheme, _port(asked)) == (other.scheme, _port(other)):
        return True
    return (asked.scheme, _port(asked)) == ("http", 80) and (other.scheme, _port(other)) == ("https", 443)


def _site(address: str) -> str:
    site = address.rstrip("/")
    for ending in _ENDINGS:
        if site.endswith(ending):
            return site.removesuffix(ending)
    return site


def _port(url: httpx.URL) -> int | None:
    return url.port or _STANDARD_PORTS.get(url.scheme)
