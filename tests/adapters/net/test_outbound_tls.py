"""TLS to addresses that tenants choose: the name is asked for and verified, whatever address it has."""

from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from adapters.net.outbound import outbound_client
from tests.adapters.net.test_outbound import LOOPBACK, Names
from tests.adapters.net.tls_servers import Authority, tls_server


def test_tls_verifies_the_name(tmp_path: Path) -> None:
    """Not the address that is connected to: a server with another name's certificate is not spoken to."""
    authority = Authority()
    with (
        tls_server(authority.server_context(tmp_path, "good.example")) as server,
        outbound_client(LOOPBACK, lookup=Names(["127.0.0.1"]), tls=authority.trusted()) as client,
    ):
        assert client.get(f"https://good.example:{server.port}/").status_code == 200
        with pytest.raises(httpx.ConnectError, match="certificate"):
            client.get(f"https://evil.example:{server.port}/")
        with pytest.raises(httpx.ConnectError, match="certificate"):
            client.get(f"https://127.0.0.1:{server.port}/")

        assert server.names[:2] == ["good.example", "evil.example"]
        assert server.hosts == [f"good.example:{server.port}"]


def test_no_tls_connection_serves_two_names(tmp_path: Path) -> None:
    """Connections are kept for a name: another name at the same address and port gets its own, or none."""
    authority = Authority()
    with ExitStack() as stack:
        server = stack.enter_context(tls_server(authority.server_context(tmp_path, "good.example")))
        client = stack.enter_context(
            outbound_client(LOOPBACK, lookup=Names(["127.0.0.1"]), tls=authority.trusted())
        )
        for _ in range(2):
            client.get(f"https://good.example:{server.port}/")
        assert server.names == ["good.example"]  # the second request used the first one's connection

        with pytest.raises(httpx.ConnectError, match="certificate"):
            client.get(f"https://evil.example:{server.port}/", extensions={"sni_hostname": "good.example"})
        assert server.names == ["good.example", "evil.example"]
        assert len(server.hosts) == 2


def test_strangers_certificates_are_refused(tmp_path: Path) -> None:
    """The usual authorities have not signed it."""
    with (
        tls_server(Authority().server_context(tmp_path, "good.example")) as server,
        outbound_client(LOOPBACK, lookup=Names(["127.0.0.1"])) as client,
        pytest.raises(httpx.ConnectError, match="certificate"),
    ):
        client.get(f"https://good.example:{server.port}/")
