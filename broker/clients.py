"""The clients that the broker makes: of a URL, and like one that is given; what cannot be used is refused at once."""

import codecs
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from .connection import check_mode_at_first_use, is_unchecked
from .errors import UnsupportedConnection
from .sentinel import ANSWER_TIMEOUT_S, PrimaryPool, is_sentinel_url, pool_from_url, pool_like

#: What a pool adds to its connections' parameters by itself; another pool makes its own.
_OF_A_POOL: Final = frozenset(
    {"connection_pool", "maint_notifications_pool_handler", "oss_cluster_maint_notifications_handler"}
)

#: Answers in bytes, arguments in UTF-8.
_IN_BYTES: Final = {"decode_responses": False, "encoding": "utf-8", "encoding_errors": "strict"}

_own_clients: "WeakKeyDictionary[redis.ConnectionPool, redis.Redis]" = WeakKeyDictionary()


def client_from_url(url: str, **parameters: Any) -> "redis.Redis":
    """Make a client that connects when it is first used.

    Parameters:
        url: like `redis://`, `rediss://` or `unix://`, as redis-py takes it; or
            `redis+sentinel://[user:password@]host:port[,host:port...]/service[/db]`, by `rediss+sentinel://` with TLS.
            Its query has what redis-py takes there, and `sentinel_username` and `sentinel_password`.
        parameters: what redis-py's connections take, where the URL does not say.

    Raises:
        ValueError: the URL is none of these.

    Example:
        >>> client_from_url("redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/main/0")
    """
    if is_sentinel_url(url):
        return redis.Redis(connection_pool=pool_from_url(url, parameters))
    return redis.Redis(connection_pool=redis.ConnectionPool.from_url(url, **parameters))


def own_client(client: object, service_name: str | None = None) -> "redis.Redis":
    """The client by which the broker calls the server that a client leads to.

    That is the client itself, unless it decodes answers, or finds its server through Sentinel: then it is another one
    of the same parameters that does not, or that gives up a dead server in time. The same for the same pool.

    Parameters:
        client: a `redis.Redis`, or a `redis.sentinel.Sentinel`.
        service_name: of the latter.

    Raises:
        UnsupportedConnection: it is of another kind, leads to replicas, or no connection can be made as it says.
    """
    if isinstance(client, Sentinel):
        if not service_name:
            raise UnsupportedConnection(
                "a Sentinel needs a service_name: what `sentinel monitor` calls the primary"
            )
        client = client.master_for(service_name)  # type: ignore[no-untyped-call]
    elif service_name is not None:
        raise UnsupportedConnection(
            "service_name belongs to a Sentinel; of a client or a URL it is a part already"
        )
    if isinstance(client, RedisCluster):
        raise UnsupportedConnection(
            "a RedisCluster is not supported: use a redis.Redis of one server, or Sentinel (redis+sentinel://)"
        )
    if not isinstance(client, redis.Redis):
        kind = f"{type(client).__module__}.{type(client).__name__}"
        raise UnsupportedConnection(
            f"the client must be a redis.Redis or a redis.sentinel.Sentinel, not a {kind}"
        )
    pool = client.connection_pool
    known = _own_clients.get(pool)
    if known is not None:
        return known
    _check_parameters(pool)
    changed = {}
    if isinstance(pool, SentinelConnectionPool) and not isinstance(pool, PrimaryPool):
        if not pool.is_master:
            raise UnsupportedConnection(
                "replicas cannot be written to: use Sentinel.master_for, not slave_for"
            )
        given_s = pool.connection_kwargs.get("socket_timeout")
        changed = {"socket_timeout": min(ANSWER_TIMEOUT_S, given_s or ANSWER_TIMEOUT_S)}
    elif not _changes_bytes(pool.connection_kwargs):
        return client
    made = _own_clients[pool] = client_like(client, **changed)
    return made


def client_like(client: "redis.Redis", **changed: Any) -> "redis.Redis":
    """Make a client with connections of its own, which answers in bytes.

    Parameters:
        client: whose connection parameters it has.
        changed: other ones.
    """
    pool = client.connection_pool
    kept = {name: value for name, value in pool.connection_kwargs.items() if name not in _OF_A_POOL}
    parameters = {**kept, **_credentials(kept), **_IN_BYTES, **changed}
    if isinstance(pool, SentinelConnectionPool):
        made = redis.Redis(connection_pool=pool_like(pool, parameters))
    else:
        made = redis.Redis(
            connection_pool=redis.ConnectionPool(connection_class=pool.connection_class, **parameters)
        )
    if is_unchecked(client):
        check_mode_at_first_use(made)
    return made


def never_twice() -> Retry:
    """What keeps a client from sending a command a second time by itself."""
    return Retry(NoBackoff(), 0)


def _changes_bytes(parameters: Mapping[str, Any]) -> bool:
    return bool(parameters.get("decode_responses")) or not _is_utf8(parameters)


def _is_utf8(parameters: Mapping[str, Any]) -> bool:
    encoding = codecs.lookup(parameters.get("encoding", "utf-8")).name
    return encoding == "utf-8" and parameters.get("encoding_errors", "strict") == "strict"


def _credentials(parameters: Mapping[str, Any]) -> dict[str, bytes]:
    """Name and password as the client would send them."""
    if _is_utf8(parameters):
        return {}
    encoding, errors = parameters.get("encoding", "utf-8"), parameters.get("encoding_errors", "strict")
    given = {name: parameters.get(name) for name in ("username", "password")}
    return {name: value.encode(encoding, errors) for name, value in given.items() if isinstance(value, str)}


def _check_parameters(pool: "redis.ConnectionPool") -> None:
    """Refuse what no connection can be made with, before one is needed."""
    parameters = pool.connection_kwargs
    try:
        codecs.lookup(parameters.get("encoding", "utf-8"))
        connection = pool.connection_class(**parameters)
        if isinstance(connection, redis.SSLConnection):
            _check_tls(parameters)
    except (TypeError, ValueError, LookupError, OSError, redis.RedisError) as error:
        why = " ".join(str(error).split())
        raise UnsupportedConnection(f"no connection can be made with these parameters: {why}") from error


def _check_tls(parameters: Mapping[str, Any]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    certificate, key = parameters.get("ssl_certfile"), parameters.get("ssl_keyfile")
    if certificate or key:
        context.load_cert_chain(certificate or "", key, parameters.get("ssl_password"))
    file, folder, data = (parameters.get(f"ssl_ca_{what}") for what in ("certs", "path", "data"))
    if folder is not None and not Path(folder).is_dir():
        raise ValueError(f"ssl_ca_path is no folder: {folder}")
    if (file, folder, data) != (None, None, None):
        context.load_verify_locations(file, folder, data)
