"""Clients and servers that the broker can use, and those that it refuses, before a job finds out."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis
from redis import asyncio
from redis.cluster import RedisCluster
from redis.sentinel import Sentinel

from broker import (
    FairRedisBroker,
    Inspector,
    Operations,
    UnsupportedConnection,
    UnsupportedServer,
    rights,
    scripts,
)
from tests.broker.failover.servers import Server, free_port, servers

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Server]:
    """A server in cluster mode, which has all slots."""
    with servers(1, "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as (server,):
        with server.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
            client.execute_command(
                "ACL", "SETUSER", "blind", "on", "nopass", "~*", "+@all", "-info", "-cluster"
            )
        yield server


def _cluster_client() -> RedisCluster:
    """It would ask its nodes when it is made."""
    return RedisCluster.__new__(RedisCluster)


def _sentinel() -> Any:
    return Sentinel([("far", 26_379)])  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (_cluster_client, "RedisCluster is not supported"),
        (asyncio.Redis, "must be a redis.Redis"),
        (lambda: _sentinel().slave_for("main"), "master_for"),
        (lambda: _sentinel(), "service_name"),
        (lambda: redis.Redis(ssl=True, ssl_ca_certs="/not/there"), "no connection can be made"),
        (lambda: redis.Redis(ssl=True, ssl_ca_path="/not/there"), "no folder"),
        (lambda: redis.Redis(ssl=True, ssl_ca_data="no certificate"), "no connection can be made"),
        (lambda: redis.Redis(ssl=True, ssl_certfile="/not/there"), "no connection can be made"),
        (lambda: redis.Redis(encoding="utf-99"), "unknown encoding"),
        (
            lambda: redis.Redis(
                credential_provider=redis.UsernamePasswordCredentialProvider("a"), password="b"
            ),
            "credential_provider",
        ),
        (
            lambda: redis.Redis(connection_pool=redis.ConnectionPool(no_option=1)),
            "no_option",
        ),
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda client: FairRedisBroker(client=client, middleware=[]),
        lambda client: Inspector(client, "a:{0}"),
        lambda client: Operations(client, "a:{0}"),
    ],
)
def test_what_arguments_show_is_refused_when_it_is_made(
    client: Callable[[], object], reason: str, make: Callable[[object], object]
) -> None:
    """In one line; no connection was opened."""
    with pytest.raises(UnsupportedConnection, match=reason) as refused:
        make(client())

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["redis+sentinel://far:26379", "redis+sentinel:///main", "rediss+sentinel://a:b/c"]
)
def test_a_sentinel_url_of_another_form_is_refused(url: str) -> None:
    """The error says the form."""
    with pytest.raises(ValueError, match=r"redis\+sentinel://.*service"):
        FairRedisBroker(url=url)


@slow
@pytest.mark.parametrize("user", ["default", "blind"])
def test_a_server_in_cluster_mode_is_refused(cluster: Server, user: str) -> None:
    """At the first send, at a worker's start, and whatever else comes first; also where INFO is forbidden."""
    url = cluster.url.replace("redis://", f"redis://{user}:any@") if user == "blind" else cluster.url
    for speaks in (
        lambda broker: broker.enqueue(_message(broker)),
        lambda broker: dramatiq.Worker(broker).start(),
        lambda broker: broker.configure_orgs({}),
        lambda broker: broker.do_qsize("default"),
    ):
        broker = FairRedisBroker(url=url, namespace=uuid4().hex, middleware=[])
        with pytest.raises(UnsupportedServer, match=r"cluster mode.*Sentinel") as refused:
            speaks(broker)
        assert "\n" not in str(refused.value)
        broker.close()


@slow
def test_a_user_without_rights_is_refused_with_those_that_are_missing() -> None:
    """At the first send and at a worker's start, in one line with the command that grants them."""
    with servers(1) as (server,):
        base = f"{uuid4().hex}"
        with server.client() as client:
            client.execute_command(
                "ACL", "SETUSER", "app", "on", "nopass", f"~{base}:*", "+@all", "-zadd", "-blpop", "-@admin"
            )
        broker = FairRedisBroker(
            url=server.url.replace("redis://", "redis://app:any@"), namespace=base, middleware=[]
        )
        with pytest.raises(UnsupportedServer, match="ACL SETUSER"):
            broker.enqueue(_message(broker))
        with pytest.raises(UnsupportedServer, match=r"app .*BLPOP, ZADD.*ACL SETUSER app ~.* \+blpop \+zadd"):
            dramatiq.Worker(broker).start()
        broker.close()


@slow
def test_every_command_of_a_script_is_tried(cluster: Server) -> None:
    """So that no right is missed in the middle of the work."""
    with cluster.client() as client:
        known = {name.decode().upper() for name in client.eval("return redis.call('COMMAND', 'LIST')", 0)}
    folder = Path(scripts.__file__).parent / "lua"
    quoted = {word for path in folder.rglob("*.lua") for word in re.findall(r"'([A-Z]+)'", path.read_text())}

    assert quoted & known - {each.split()[0] for each in rights.PROBES} == {"TIME"}


def test_clients_of_one_pool_share_what_is_made_for_them() -> None:
    """Whoever makes an inspector for each request opens no connection for each."""
    client = redis.Redis(decode_responses=True)

    made = {id(FairRedisBroker(client=client, middleware=[]).client) for _ in range(3)}

    assert len(made) == 1
    assert made != {id(client)}


def test_a_client_that_needs_no_change_is_used_itself() -> None:
    """Its connections, its retries, and whatever it was made to do."""
    client = redis.Redis()

    assert FairRedisBroker(client=client, middleware=[]).client is client


def _message(broker: FairRedisBroker) -> "dramatiq.Message[None]":
    broker.declare_queue("default")
    return dramatiq.Message(queue_name="default", actor_name="job", args=(), kwargs={}, options={})
