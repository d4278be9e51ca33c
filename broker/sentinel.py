"""Connections to the primary that Sentinel names: how a URL says so, and the time-outs that let a fail-over be short.

Every new connection asks for the primary; after a call that failed, all idle ones are closed (see `connection`). So a
worker is back as soon as Sentinel has promoted another server and the calls to the dead one have timed out.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

#: Seconds for connecting to a server or a Sentinel, and for a Sentinel's answer.
CONNECT_TIMEOUT_S: Final = 1.0
#: Seconds for a server's answer.
ANSWER_TIMEOUT_S: Final = 2.0

DEFAULT_PORT: Final = 26_379

_URL = re.compile(
    r"(?P<tls>rediss?)\+sentinel://(?:(?P<user>[^@/?]*)@)?(?P<hosts>[^@/?]+)/(?P<service>[^/?]+)"
    r"(?:/(?P<db>\d+))?/?(?:\?(?P<query>.*))?"
)
_HOST = re.compile(r"(?P<host>\[[^\]]+\]|[^:\[\],]+)(?::(?P<port>\d+))?")


class PrimaryPool(SentinelConnectionPool):
    """Connections to the primary that give up a dead server in time."""


def is_sentinel_url(url: str) -> bool:
    """Check that a URL leads through Sentinel."""
    return url.startswith(("redis+sentinel://", "rediss+sentinel://"))


def pool_from_url(url: str, parameters: Mapping[str, Any]) -> PrimaryPool:
    """Make a pool of connections to the primary that a URL names.

    Parameters:
        url: as `client_from_url` takes it.
        parameters: of connections, where the URL does not say.

    Raises:
        ValueError: it has another form.
    """
    found, hosts = _read(url)
    tls, user = found["tls"] == "rediss", f"{found['user']}@" if found["user"] else ""
    plain = f"{found['tls']}://{user}service/{found['db'] or ''}?{found['query'] or ''}"
    read = {name: value for name, value in _parsed(plain).items() if name not in ("host", "connection_class")}
    of_sentinel = {
        name: read.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in read
    }
    if tls:
        of_sentinel |= {
            "ssl": True,
            **{name: value for name, value in read.items() if name.startswith("ssl_")},
        }
    merged = {**parameters, **read}
    sentinel = _sentinel(hosts, of_sentinel, merged)
    return _pool(unquote(found["service"] or ""), sentinel, {**merged, **({"ssl": True} if tls else {})})


def pool_like(pool: SentinelConnectionPool, parameters: Mapping[str, Any]) -> PrimaryPool:
    """Make a pool for the same service, which asks Sentinels on connections of its own.

    Parameters:
        pool: asks the same Sentinels.
        parameters: of its connections.
    """
    given = pool.sentinel_manager
    hosts = [
        (each.connection_pool.connection_kwargs["host"], int(each.connection_pool.connection_kwargs["port"]))
        for each in given.sentinels
    ]
    sentinel = _sentinel(hosts, given.sentinel_kwargs, parameters)
    sentinel.min_other_sentinels = given.min_other_sentinels
    sentinel._force_master_ip = given._force_master_ip
    kind = {"connection_class": pool.connection_class, "check_connection": pool.check_connection}
    return _pool(pool.service_name, sentinel, {**parameters, **kind})


def _sentinel(
    hosts: list[tuple[str, int]], of_sentinel: Mapping[str, Any], parameters: Mapping[str, Any]
) -> Sentinel:
    bounded = {
        **of_sentinel,
        "socket_connect_timeout": _at_most(CONNECT_TIMEOUT_S, of_sentinel.get("socket_connect_timeout")),
        "socket_timeout": _at_most(CONNECT_TIMEOUT_S, of_sentinel.get("socket_timeout")),
        # The next Sentinel is asked instead.
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": False,
    }
    return Sentinel(hosts, sentinel_kwargs=bounded)  # type: ignore[no-untyped-call]


def _pool(service: str, sentinel: Sentinel, parameters: Mapping[str, Any]) -> PrimaryPool:
    bounded = {
        **parameters,
        "socket_connect_timeout": _at_most(CONNECT_TIMEOUT_S, parameters.get("socket_connect_timeout")),
        "socket_timeout": parameters.get("socket_timeout") or ANSWER_TIMEOUT_S,
        # Whoever calls tries again, on a connection to whoever is the primary by then.
        "retry": parameters.get("retry") or Retry(NoBackoff(), 0),
    }
    return PrimaryPool(service, sentinel, **bounded)  # type: ignore[no-untyped-call]


def _parsed(url: str) -> dict[str, Any]:
    return dict(parse_url(url))  # type: ignore[no-untyped-call]


def _at_most(limit_s: float, given: object) -> float:
    return min(limit_s, float(given)) if isinstance(given, int | float) else limit_s


def _read(url: str) -> tuple[dict[str, str | None], list[tuple[str, int]]]:
    """The parts of a URL, and the Sentinels that it names."""
    found = _URL.fullmatch(url)
    hosts = [_HOST.fullmatch(each) for each in found["hosts"].split(",")] if found else []
    if found is None or not all(hosts):
        raise ValueError(
            "must be redis+sentinel://[user:password@]host:port[,host:port...]/service[/db][?...]; the service is what "
            "`sentinel monitor` calls the primary"
        )
    addresses = [
        (each["host"].strip("[]"), int(each["port"] or DEFAULT_PORT)) for each in hosts if each is not None
    ]
    return found.groupdict(), addresses
