"""Which addresses of tenants may be called: the public internet over https, and what an operator adds to it."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import httpx

from domain.errors import InvalidInput

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: IPv6 on networks without IPv4: the remote service's IPv4 address stands in the last four bytes (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: What Python does not count as private on every version, and no public site has.
_UNREACHABLE: Sequence[Network] = [
    ipaddress.ip_network(each)
    for each in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "240.0.0.0/4",
        "::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",  # Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fec0::/10",
    )
]
#: ISATAP: an IPv4 address behind these bytes of an interface's identifier (RFC 5214).
_ISATAP = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")

#: The last label of a name that a resolver might take for an IPv4 address in some notation.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class OutboundPolicy:
    """What may be reached.

    Parameters:
        allow_http: whether plain http is good enough. Default False.
        allowed_networks: networks that may be reached although they are not public. Default none.

    Example:
        >>> OutboundPolicy(allowed_networks=networks(["10.1.0.0/16"]))
    """

    allow_http: bool = False
    allowed_networks: tuple[Network, ...] = ()

    def check_address(self, address: str) -> None:
        """Refuse what can be seen to be wrong without looking a name up.

        Raises:
            InvalidInput: the message says what to do, and does not repeat the address.
        """
        try:
            url = httpx.URL(address)
        except (httpx.InvalidURL, ValueError):
            raise InvalidInput(
                "the address is not a URL; write it like https://blog.example, without spaces or zone ids"
            ) from None
        self.check_url(url)
        if url.query or url.fragment:
            raise InvalidInput("leave out everything from the first ? or # of the address")

    def check_url(self, url: httpx.URL) -> None:
        """The same for a URL that was taken apart."""
        if url.userinfo:
            raise InvalidInput(
                "the address holds credentials; take them out of it and store them with the target's credentials"
            )
        if url.scheme == "http" and not self.allow_http:
            raise InvalidInput(
                "the address is plain http, which shows the credentials to everybody on the way; use https, or set "
                "PRESSROOM_PUBLISH_ALLOW_HTTP where the network is your own"
            )
        if url.scheme not in ("http", "https"):
            raise InvalidInput("the address has to begin with https://")
        host = url.raw_host.decode("ascii", "replace").rstrip(".").lower()
        if not host or "%" in host:
            raise InvalidInput(
                "the address names no host, or one with a zone id or characters that names do not have; "
                "write it like https://blog.example"
            )
        literal = literal_of(host)
        if literal is not None:
            self.check_ip(literal, host)
        elif _NUMBER.fullmatch(host.rpartition(".")[2]):
            raise InvalidInput(
                "the address is a number in a notation that not everybody reads alike; use the host's name"
            )

    def check_ip(self, address: Address, host: str) -> None:
        """Refuse an address that is not public.

        Parameters:
            address: which is to be connected to.
            host: whose it is, for the message.

        Raises:
            InvalidInput: it may not be reached.
        """
        # What only looks like IPv6 is sent as IPv4.
        reached = plain(address)
        if any(reached.version == each.version and reached in each for each in self.allowed_networks):
            return
        if _is_public(reached):
            return
        # Which address it is is not told: whoever stores a target must not map our network with it.
        raise InvalidInput(
            f"{host} is not on the public internet; use a public address, or have an operator add its network to "
            "PRESSROOM_PUBLISH_ALLOWED_NETWORKS"
        )


def networks(given: Iterable[str]) -> tuple[Network, ...]:
    """Networks from how they are written, like `10.1.0.0/16`.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(ipaddress.ip_network(each) for each in given)


def literal_of(host: str) -> Address | None:
    """The address that a host is written as; None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def plain(address: Address) -> Address:
    """The address that is reached: IPv4 that is written as IPv6 is IPv4."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        if address in _NAT64:
            return _is_public(ipaddress.IPv4Address(address.packed[12:]))
        if address.packed[8:12] in _ISATAP:
            return False
    if any(address.version == each.version and address in each for each in _UNREACHABLE):
        return False
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_loopback
        or address.is_link_local
        or address.is_unspecified
    )
