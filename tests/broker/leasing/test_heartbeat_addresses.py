"""Where the helper beats to, and as whom."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from broker import client_from_url
from broker.errors import UnsupportedConnection
from broker.leasing.heartbeat import HeartbeatSender
from broker.leasing.heartbeat_address import Address, SentinelAddress, Tls
from tests.broker.leasing.heartbeat_sender import beaten
from tests.broker.leasing.tcp_gateway import certificate, gateway
from tests.middleware.own_server import OwnValkey, own_valkey

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[OwnValkey]:
    """One that a user may enter with a password."""
    with own_valkey() as own:
        with redis.Redis.from_url(own.url) as client:
            client.execute_command("ACL", "SETUSER", "worker", "on", ">s3cret word", "~*", "+@all")
        yield own


@slow
@pytest.mark.parametrize("encrypted", [False, True])
def test_it_beats_over_tcp_as_a_user_in_another_database(
    server: OwnValkey, tmp_path: Path, encrypted: bool
) -> None:
    """With and without TLS, whose certificate is checked."""
    pem = certificate(tmp_path) if encrypted else None
    unix_path = str(Address.from_client(redis.Redis.from_url(server.url)).path)
    with gateway(unix_path, pem) as port:
        scheme, query = ("rediss", f"?ssl_ca_certs={pem}") if encrypted else ("redis", "")
        with beaten(f"{scheme}://worker:s3cret%20word@127.0.0.1:{port}/3{query}") as worker:
            worker.await_beats(2)


def test_an_address_is_read_as_redis_py_reads_it() -> None:
    """Every part of it."""
    assert Address.from_client(redis.Redis.from_url("redis://me:pw@far:7000/2")) == Address(
        host="far", port=7_000, db=2, username="me", password="pw"
    )
    assert Address.from_client(redis.Redis.from_url("unix:///run/redis.sock?db=4")) == Address(
        path="/run/redis.sock", db=4
    )
    assert Address.from_client(
        redis.Redis.from_url("rediss://far?ssl_cert_reqs=none&ssl_check_hostname=false")
    ) == Address(host="far", tls=Tls(verify=False, check_hostname=False))
    assert Address.from_client(
        redis.Redis(host="far", password="pw", ssl=True, ssl_ca_certs="/ca")
    ) == Address(host="far", password="pw", tls=Tls(ca_file="/ca"))


def test_an_address_shows_no_password() -> None:
    """Nor who asks."""
    assert "pw" not in repr(Address.from_client(redis.Redis.from_url("redis://me:pw@far")))


def test_what_the_helper_cannot_do_is_refused() -> None:
    """Instead of beating to the wrong server."""
    for refused, option in (
        (redis.Redis(credential_provider=_Vault()), "credential provider"),
        (redis.Redis(connection_pool=redis.ConnectionPool(_OwnConnection)), "_OwnConnection"),
        (
            redis.Redis(connection_pool=redis.ConnectionPool(redis_connect_func=_on_connect)),
            "redis_connect_func",
        ),
        (redis.Redis(ssl=True, ssl_validate_ocsp=True), "ssl_validate_ocsp"),
    ):
        with pytest.raises(UnsupportedConnection, match=option):
            Address.from_client(refused)


def test_it_connects_by_sentinel_as_the_client_does() -> None:
    """It asks the same ones, as the same user."""
    assert Address.from_client(
        client_from_url("redis+sentinel://me:pw@one,two:7000/main/2?sentinel_username=w&sentinel_password=s")
    ) == Address(
        db=2,
        username="me",
        password="pw",
        sentinel=SentinelAddress(
            hosts=(("one", 26_379), ("two", 7_000)), service="main", username="w", password="s"
        ),
    )


def test_a_password_of_bytes_is_the_same_bytes() -> None:
    """Also where they are no text."""
    read = Address.from_client(redis.Redis(username=b"me", password=b"p\xff"))  # type: ignore[arg-type]

    assert (read.username, read.password) == ("me", b"p\xff".decode("utf-8", "surrogateescape"))


@slow
def test_it_is_started_once() -> None:
    """A second start would leave the first helper without an owner; after a stop it may start again."""
    sender = HeartbeatSender()
    for _ in range(2):
        sender.start(uuid4().hex, "nowhere:{0}", Address(path="/nowhere"))
        with pytest.raises(RuntimeError, match="started already"):
            sender.start(uuid4().hex, "nowhere:{0}", Address(path="/nowhere"))
        sender.stop()
    sender.stop()

    assert sender.helper_pid is None


@pytest.mark.parametrize("wrong", [{"every_s": 0}, {"stall_timeout_s": 0}])
def test_numbers_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    """Before any process is started."""
    with pytest.raises(ValueError, match="more than 0"):
        HeartbeatSender(**wrong)


class _Vault(redis.CredentialProvider):
    def get_credentials(self) -> tuple[str, str]:
        return "me", "pw"


class _OwnConnection(redis.Connection):
    pass


def _on_connect(connection: redis.Connection) -> None:
    connection.on_connect()  # type: ignore[no-untyped-call]
