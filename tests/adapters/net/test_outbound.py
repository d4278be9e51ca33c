"""Addresses that tenants choose: what is not public is refused in every disguise, at the moment of connecting."""

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.net.http import HttpExchange
from adapters.net.outbound import MAX_ADDRESSES, outbound_client, system_lookup
from adapters.net.outbound_policy import OutboundPolicy, networks
from domain.errors import InvalidInput, InvalidReply, ProviderUnavailable
from tests.adapters.ai.scripted_server import ScriptedServer, answer, hold, refused_url, scripted_server

STRICT = OutboundPolicy()
HTTP = OutboundPolicy(allow_http=True)
LOOPBACK = OutboundPolicy(allow_http=True, allowed_networks=networks(["127.0.0.0/8"]))

NOT_PUBLIC = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.255.255.254",  # noqa: S104
    "169.254.169.254", "172.16.0.1", "172.31.255.254", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1",
    "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "100::1",
    "2001:db8::1", "3fff::1", "5f00::1", "4000::1", "e000::1",
    # IPv4 inside IPv6: mapped, translated, 6to4, Teredo, ISATAP
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::8.8.8.8", "2002:7f00:1::1", "2002:808:808::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001::1",
    "2a00::5efe:127.0.0.1", "2a00::200:5efe:10.0.0.1",
)  # fmt: skip
PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.0.1.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
)


class Names:
    """A resolver that says what it is told, and counts."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, timeout_s: float) -> Sequence[str]:
        """The next answer; the last one serves all further questions."""
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        scripted.script(answer(200, b"here"))
        yield scripted


def get(
    policy: OutboundPolicy, url: str, names: Callable[[str, int, float], Sequence[str]]
) -> httpx.Response:
    """One request."""
    with outbound_client(policy, lookup=names) as client:
        return client.get(url)


def port(server: ScriptedServer) -> int:
    """Where it listens."""
    found = httpx.URL(server.url).port
    assert found is not None
    return found


def in_a_url(address: str) -> str:
    """An address as URLs write it."""
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_not_public_is_refused(address: str) -> None:
    """Written into the address, and as what a name resolves to; the message names the way out."""
    with pytest.raises(InvalidInput, match="PRESSROOM_PUBLISH_ALLOWED_NETWORKS"):
        HTTP.check_address(f"http://{in_a_url(address)}/")
    names = Names([address])
    with pytest.raises(InvalidInput, match=r"blog\.example is not on the public internet") as caught:
        get(STRICT, "https://blog.example/", names)
    assert address not in str(caught.value)
    assert names.asked == ["blog.example"]


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_not(address: str) -> None:
    """Neighbours of what is refused among it."""
    STRICT.check_address(f"https://{in_a_url(address)}/")
    STRICT.check_ip(ipaddress.ip_address(address), "blog.example")


@given(st.ip_addresses())
def test_no_private_address_passes(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Whatever Python itself does not call global is refused; so is what is for many at once."""
    reached = getattr(address, "ipv4_mapped", None) or address
    if not reached.is_global or reached.is_multicast:
        with pytest.raises(InvalidInput):
            STRICT.check_ip(address, "blog.example")


@given(st.ip_addresses(v=4))
def test_an_address_is_the_same_in_every_dress(address: ipaddress.IPv4Address) -> None:
    """What is refused as IPv4 is refused mapped and translated; the other way round, mapped is the same."""

    def passes(each: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        try:
            STRICT.check_ip(each, "blog.example")
        except InvalidInput:
            return False
        return True

    for prefix in ("::ffff:", "64:ff9b::"):
        assert passes(ipaddress.ip_address(f"{prefix}{address}")) == passes(address)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "0x7f000001", "0X7F000001", "017700000001", "127.1", "127.0.1", "0177.0.0.1",
        "0x7f.0.0.1", "127.0.0.0x1", "00127.0.0.1", "127.0.0.1.", "127.0.0.256", "1", "0",
        "blog.example.123", "4294967295", "127。0。0。1",
        "１２７.0.0.1", "①②⑦.⓪.⓪.①",
    ],
)  # fmt: skip
def test_numbers_in_other_notations_are_refused(host: str) -> None:
    """Decimal, octal, hexadecimal, short, and in other alphabets: no resolver is asked what it makes of them."""
    names = Names(["127.0.0.1"])
    with pytest.raises(InvalidInput):
        HTTP.check_address(f"http://{host}/")
    with pytest.raises((InvalidInput, httpx.InvalidURL)):
        get(HTTP, f"http://{host}/", names)
    assert names.asked == []


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("https://user:planted@blog.example/", "credentials"),
        ("https://planted@blog.example/", "credentials"),
        ("http://blog.example/", "plain http"),
        ("ftp://blog.example/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("gopher://blog.example/", "https://"),
        ("//blog.example/", "https://"),
        ("blog.example", "https://"),
        ("", "https://"),
        ("https://", "names no host"),
        ("https:///wp-json", "names no host"),
        ("https://[fe80::1%25eth0]/", "zone id"),
        ("https://[fe80::1%eth0]/", "zone id"),
        ("https://blog.example:planted/", "not a URL"),
        ("https://bl og.example/", "characters that names do not have"),
        ("https://blog.example/?planted=1", "first \\? or #"),
        ("https://blog.example/#planted", "first \\? or #"),
    ],
)
def test_addresses_that_are_none_are_refused(address: str, says: str) -> None:
    """Before anything is looked up, with what to do, and without repeating what may be a secret."""
    with pytest.raises(InvalidInput, match=says) as caught:
        STRICT.check_address(address)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["https://user:planted@blog.example/", "ftp://blog.example/", "http://blog.example/"]
)
def test_the_client_refuses_them_too(address: str) -> None:
    """Whatever address a request ends up with."""
    names = Names(["1.1.1.1"])
    with pytest.raises(InvalidInput):
        get(STRICT, address, names)
    assert names.asked == []


def test_an_allowed_network_is_reached(server: ScriptedServer) -> None:
    """By address and by name; the request keeps the name it was made for."""
    assert get(LOOPBACK, f"{server.url}/a", Names([])).content == b"here"
    assert get(LOOPBACK, f"http://blog.example:{port(server)}/b", Names(["127.0.0.1"])).content == b"here"

    assert [request.headers["Host"] for request in server.received] == [
        f"127.0.0.1:{port(server)}",
        f"blog.example:{port(server)}",
    ]


def test_a_mapped_address_is_connected_to_as_what_it_is(server: ScriptedServer) -> None:
    """`::ffff:127.0.0.1` is 127.0.0.1, for the policy and for the connection."""
    assert (
        get(LOOPBACK, f"http://blog.example:{port(server)}/", Names(["::ffff:127.0.0.1"])).content == b"here"
    )


def test_an_allowed_network_opens_nothing_else() -> None:
    """The neighbouring network stays closed."""
    policy = OutboundPolicy(allow_http=True, allowed_networks=networks(["10.1.0.0/16", "fd00:1::/32"]))
    policy.check_address("http://10.1.255.255/")
    policy.check_address("http://[fd00:1::5]/")
    for address in ("10.2.0.0", "127.0.0.1", "[fd00:2::5]", "[::1]"):
        with pytest.raises(InvalidInput):
            policy.check_address(f"http://{address}/")


def test_one_bad_address_refuses_the_name(server: ScriptedServer) -> None:
    """Which of them is used must not be left to chance."""
    for addresses in (["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"]):
        with pytest.raises(InvalidInput):
            get(LOOPBACK, f"http://blog.example:{port(server)}/", Names(addresses))
    assert server.received == []


def test_a_name_that_changes_after_the_check_changes_nothing(server: ScriptedServer) -> None:
    """It is looked up once for a connection, and the connection goes to what was checked."""
    names = Names(["127.0.0.1"], ["10.0.0.1"])

    assert get(LOOPBACK, f"http://blog.example:{port(server)}/", names).content == b"here"

    assert names.asked == ["blog.example"]
    assert len(server.received) == 1


def test_a_name_that_changes_between_two_connections_is_checked_again(server: ScriptedServer) -> None:
    """The first request is answered, the second refused: no check is remembered for a name."""
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    with outbound_client(LOOPBACK, lookup=names) as client:
        url = f"http://blog.example:{port(server)}/"
        assert client.get(url, headers={"Connection": "close"}).status_code == 200
        with pytest.raises(InvalidInput):
            client.get(url)

    assert names.asked == ["blog.example"] * 2
    assert len(server.received) == 1


def test_a_redirect_to_loopback_is_not_followed(server: ScriptedServer) -> None:
    """Through the retry policy it is an error that names the way; nobody was called there."""
    with scripted_server() as inside, outbound_client(LOOPBACK, lookup=Names(["127.0.0.1"])) as client:
        inside.script(answer(200))
        server.script(answer(302, Location=f"{inside.url}/admin"))
        reply = client.get(f"http://blog.example:{port(server)}/")

        assert reply.status_code == 302
        assert inside.received == []


def test_a_redirect_that_is_followed_by_request_is_checked_as_well(server: ScriptedServer) -> None:
    """Should anybody ask for redirects to be followed, each hop is held against the policy."""
    server.script(answer(302, Location="http://10.0.0.1/admin"))
    with outbound_client(LOOPBACK) as client, pytest.raises(InvalidInput):
        client.get(server.url, follow_redirects=True)


def test_proxies_of_the_environment_are_not_used(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would look the name up themselves."""
    with scripted_server() as proxy:
        proxy.script(answer(200, b"proxied"))
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)

        assert get(LOOPBACK, f"http://blog.example:{port(server)}/", Names(["127.0.0.1"])).content == b"here"
        assert proxy.received == []


def test_the_next_address_is_tried(server: ScriptedServer) -> None:
    """Where one of a name's addresses refuses, the others have their turn."""
    names = Names(["127.0.0.9", "127.0.0.1"])
    assert get(LOOPBACK, f"http://blog.example:{port(server)}/", names).content == b"here"


def test_not_every_address_of_a_name_is_tried() -> None:
    """A name with hundreds of addresses is not a scan of a network."""
    with refused_url() as url:
        found = httpx.URL(url).port
        many = [f"127.0.1.{number}" for number in range(1, 100)]
        with pytest.raises(httpx.ConnectError):
            get(LOOPBACK, f"http://blog.example:{found}/", Names(many))
    assert MAX_ADDRESSES < 10


def exchanged(names: Callable[[str, int, float], Sequence[str]], url: str) -> None:
    """One request through the retry policy, without retries."""
    with outbound_client(LOOPBACK, lookup=names) as client:
        exchange = HttpExchange(client, now=lambda: datetime.now(UTC), attempt_timeout_s=0.3, retries=0)
        exchange.send(httpx.Request("GET", url), timeout_s=5, repeatable=True)


def test_a_name_without_an_address_is_an_outage() -> None:
    """It may have one later."""

    def unknown(host: str, port: int, timeout_s: float) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(ProviderUnavailable, match=r"blog\.example.*cannot be resolved"):
        exchanged(unknown, "http://blog.example/")
    with pytest.raises(ProviderUnavailable, match="no address"):
        exchanged(Names([]), "http://blog.example/")


def test_a_lookup_has_an_end() -> None:
    """The system's own has none: it is left behind, and the attempt ends in time."""
    over = threading.Event()

    def stuck(host: str, port: int) -> list[tuple[object, ...]]:
        over.wait(30)
        return []

    try:
        with pytest.raises(ProviderUnavailable, match="did not answer in time"):
            exchanged(partial(system_lookup, resolve=stuck), "http://blog.example/")
    finally:
        over.set()


def test_the_systems_lookup_knows_the_machine_itself(server: ScriptedServer) -> None:
    """`localhost` resolves to loopback, and is refused for that."""
    assert set(system_lookup("localhost", 80, 10.0)) <= {"127.0.0.1", "::1"}
    with pytest.raises(InvalidInput):
        get(HTTP, f"http://localhost:{port(server)}/", system_lookup)
    with pytest.raises(OSError, match=r"."):
        system_lookup("a" * 64 + ".example", 80, 10.0)
    assert server.received == []


def test_a_slow_server_is_a_timeout(server: ScriptedServer) -> None:
    """Silence, and a body that stops in the middle."""
    for slow in (hold(), hold(b"half")):
        server.script(slow)
        with pytest.raises(ProviderUnavailable, match="in time"):
            exchanged(Names(["127.0.0.1"]), f"http://blog.example:{port(server)}/")


def test_a_compressed_or_redirected_reply_is_read_as_everywhere(server: ScriptedServer) -> None:
    """The transport hands replies to the retry policy as any other does."""
    server.script(answer(200, b"x", Content_Encoding="gzip"))
    with pytest.raises(InvalidReply, match="compressed"):
        exchanged(Names(["127.0.0.1"]), f"http://blog.example:{port(server)}/")
