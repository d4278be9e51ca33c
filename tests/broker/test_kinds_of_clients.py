"""Whatever a client is made of: it sends, works, beats and shows what waits; no option works for some of these only."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis
from cryptography import x509
from cryptography.x509.oid import NameOID
from dramatiq.middleware import Middleware

from broker import FairRedisBroker, Inspector, Operations, QueueFull
from middleware.redis import RedisPauseStore
from tests.broker.failover.servers import Server, servers
from tests.broker.leasing.tcp_gateway import certificate, gateway
from tests.broker.workers import started
from tests.folders import open_folder
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow

PASSWORD = "p@ss wörd"


class World:
    """A server that is reached in all ways, with a user of everyday rights."""

    def __init__(self, server: Server, folder: Path, encrypted: int, mutual: int, pem: Path) -> None:
        self.server = server
        self.path = str(folder / "socket")
        self.port = server.port
        self.encrypted = encrypted
        self.mutual = mutual
        self.pem = str(pem)
        self.ca_folder = str(folder / "cas")
        self.ca_text = pem.read_text().partition("-----BEGIN PRIVATE")[0]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with open_folder() as folder, ExitStack() as stack:
        (server,) = stack.enter_context(servers(1, "--unixsocket", str(folder / "socket")))
        pem = certificate(folder)
        hashed(pem, folder / "cas")
        with server.client() as client:
            client.acl_setuser(
                "app", enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], commands=["+@all"]
            )
            client.acl_setuser(
                "modest",
                enabled=True,
                nopass=True,
                keys=["*"],
                commands=["+@all", "-@admin", "-@dangerous"],
            )
        encrypted = stack.enter_context(gateway(str(folder / "socket"), pem))
        mutual = stack.enter_context(gateway(str(folder / "socket"), pem, clients_by=pem))
        yield World(server, folder, encrypted, mutual, pem)


class Vault(redis.CredentialProvider):
    """Says each time who it is."""

    def get_credentials(self) -> tuple[str, str]:
        return "app", PASSWORD


def tls(world: World, **parameters: Any) -> dict[str, Any]:
    """Parameters of an encrypted connection."""
    return {"client": redis.Redis(host="127.0.0.1", port=world.encrypted, ssl=True, **parameters)}


#: What a broker is made with.
KINDS: dict[str, Callable[[World], dict[str, Any]]] = {
    "a URL": lambda world: {"url": f"redis://app:p%40ss%20w%C3%B6rd@127.0.0.1:{world.port}/3"},
    "a URL of a Unix socket": lambda world: {"url": f"unix://{world.path}?db=2"},
    "a URL that decodes": lambda world: {"url": f"redis://127.0.0.1:{world.port}/0?decode_responses=true"},
    "parameters": lambda world: {"port": world.port, "username": "app", "password": PASSWORD, "db": 4},
    "a password of bytes": lambda world: {
        "port": world.port,
        "username": b"app",
        "password": PASSWORD.encode(),
    },
    "a client that decodes": lambda world: {"client": redis.Redis(port=world.port, decode_responses=True)},
    "a client in Latin-1": lambda world: {"client": redis.Redis(port=world.port, encoding="latin-1")},
    "RESP2": lambda world: {"client": redis.Redis(port=world.port, protocol=2)},
    "RESP3 that decodes": lambda world: {
        "client": redis.Redis(port=world.port, protocol=3, decode_responses=True)
    },
    "one connection": lambda world: {"client": redis.Redis(port=world.port, single_connection_client=True)},
    "a pool that blocks": lambda world: {
        "client": redis.Redis(
            connection_pool=redis.BlockingConnectionPool(port=world.port, max_connections=1)  # type: ignore[no-untyped-call]
        )
    },
    "short time-outs": lambda world: {
        "client": redis.Redis(port=world.port, socket_timeout=1, health_check_interval=1)
    },
    "a fixed provider": lambda world: {
        "client": redis.Redis(
            port=world.port, credential_provider=redis.UsernamePasswordCredentialProvider("app", PASSWORD)
        )
    },
    "a provider": lambda world: {"client": redis.Redis(port=world.port, credential_provider=Vault())},
    "a modest user": lambda world: {"port": world.port, "username": "modest", "password": "any"},
    "a CA in a file": lambda world: tls(world, ssl_ca_certs=world.pem),
    "a CA as text": lambda world: tls(world, ssl_ca_data=world.ca_text),
    "a CA in a folder": lambda world: tls(world, ssl_ca_path=world.ca_folder),
    "TLS that is not verified": lambda world: tls(world, ssl_cert_reqs="none", ssl_check_hostname=False),
    "a client certificate": lambda world: {
        "client": redis.Redis(
            host="127.0.0.1",
            port=world.mutual,
            ssl=True,
            ssl_ca_certs=world.pem,
            ssl_certfile=world.pem,
            ssl_keyfile=world.pem,
        )
    },
}
#: With these no helper process beats, and one warning says so.
WITHOUT_HELPER = {"a provider"}


class Deadly(Middleware):
    """Rejects every message of an actor."""

    def before_process_message(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
        if message.actor_name == "lost":
            message.fail()


@pytest.mark.parametrize("kind", KINDS)
def test_all_operations_work_with_every_kind_of_client(
    world: World, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Sending, one and many, to a full queue too; looking, changing; working, now and later; dead letters; beats."""
    given = KINDS[kind](world)
    ran: list[str] = []
    broker = FairRedisBroker(namespace=uuid4().hex, middleware=[Deadly()], max_queue_depth=4, **given)

    @dramatiq.actor(broker=broker)
    def job(text: str) -> None:
        ran.append(text)

    @dramatiq.actor(broker=broker)
    def lost() -> None: ...

    seen_by = given.get("client", broker.client)
    look, change = Inspector(seen_by, broker.base), Operations(seen_by, broker.base)
    message = job.send_with_options(args=("é",), org="açme")
    assert [type(each) for each in broker.send_many([job.message("2")], delay=300)] == [dramatiq.Message]
    lost.send()
    broker.park(job.message("parked"), delay_ms=60_000, cause="night", key="flag:a")
    with pytest.raises(QueueFull, match="queue default has 4"):
        job.send("too many")

    assert look.why(message.message_id).org == "açme"
    assert look.why(message.message_id).cause == "no_worker"
    assert {each.state for each in look.waiting("default")} == {"ready", "delayed", "parked"}
    assert look.parked_by_cause("default") == {"flag": 1}
    assert [each.length for each in look.lanes("default", "açme")] == [1]
    assert look.queues() == ["default"]
    assert broker.do_qsize("default") == 4
    assert change.set_priority(message.message_id, -5) == "done"
    assert broker.release("flag:a") == 1
    RedisPauseStore(seen_by, prefix=broker.namespace).read(0)

    with started(broker, threads=2):
        assert eventually(lambda: sorted(ran) == ["2", "parked", "é"])
        assert eventually(lambda: look.depth("default")[0].dead == 1)
        assert eventually(lambda: look.workers()[0].threads == 2)
        if kind in WITHOUT_HELPER:
            assert caplog.text.count("No helper process beats") == 1
        else:
            assert eventually(helper_beats(world))
            assert "No helper process" not in caplog.text
    assert look.why(message.message_id).cause == "unknown"
    broker.close()


def helper_beats(world: World) -> Callable[[], bool]:
    """Whether the helper has beaten since, twice: it alone sends whole scripts."""
    before = _whole_scripts(world)
    return lambda: _whole_scripts(world) >= before + 2


def hashed(pem: Path, folder: Path) -> None:
    """Put a certificate into a folder under the name that OpenSSL looks for."""
    folder.mkdir()
    found = x509.load_pem_x509_certificate(pem.read_bytes())
    (common_name,) = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert common_name.value == "127.0.0.1"
    (folder / f"{_subject_hash(found):08x}.0").write_bytes(pem.read_bytes())


def _subject_hash(found: x509.Certificate) -> int:
    """As `openssl x509 -hash`: of the subject in its canonical form, without the outermost tag."""
    from hashlib import sha1

    value = b"127.0.0.1"
    attribute = b"\x06\x03\x55\x04\x03" + b"\x0c" + bytes([len(value)]) + value
    sequence = b"\x30" + bytes([len(attribute)]) + attribute
    digest = sha1(b"\x31" + bytes([len(sequence)]) + sequence, usedforsecurity=False).digest()
    return int.from_bytes(digest[:4], "little")


def _whole_scripts(world: World) -> int:
    with world.server.client() as client:
        return int(client.info("commandstats").get("cmdstat_eval", {"calls": 0})["calls"])
