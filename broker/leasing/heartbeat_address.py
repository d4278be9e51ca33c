"""Where the heartbeat's helper connects to, and how: as the worker's own client does, or it says that it cannot."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import redis
from redis._parsers.encoders import Encoder
from redis.sentinel import SentinelConnectionPool, SentinelManagedConnection, SentinelManagedSSLConnection

from ..errors import UnsupportedConnection

_KINDS: Final = (
    *(redis.Connection, redis.SSLConnection, redis.UnixDomainSocketConnection),
    *(SentinelManagedConnection, SentinelManagedSSLConnection),
)
#: Options of a client with which its connections lead where the helper's do not, or as somebody else.
_NOT_FOLLOWED: Final = (
    *("redis_connect_func", "command_packer", "socket_type", "ssl_ocsp_context", "ssl_ocsp_expected_cert"),
    *("ssl_validate_ocsp", "ssl_validate_ocsp_stapled", "ssl_include_verify_flags"),
)


@dataclass(frozen=True, kw_only=True)
class Tls:
    """How a connection is encrypted."""

    ca_file: str | None = None
    ca_folder: str | None = None
    #: PEM certificates, or one as DER in Latin-1.
    ca_data: str | None = None
    ca_data_is_der: bool = False
    certificate_file: str | None = None
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)
    verify: bool = True
    check_hostname: bool = True
    #: `ssl.TLSVersion`, by its number.
    min_version: int | None = None
    ciphers: str | None = None
    #: Flags of verification that are taken away, as redis-py's `ssl_exclude_verify_flags`.
    without_flags: int = 0

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Self:
        """What redis-py's arguments say."""

        def text(name: str) -> str | None:
            value = arguments.get(name)
            return None if value is None else str(value)

        requirement, data = arguments.get("ssl_cert_reqs", "required"), arguments.get("ssl_ca_data")
        excluded = arguments.get("ssl_exclude_verify_flags") or ()
        password, version = arguments.get("ssl_password"), arguments.get("ssl_min_version")
        if callable(password):
            raise UnsupportedConnection(
                "The heartbeat's helper cannot ask for a key's password; it takes a fixed one."
            )
        return cls(
            ca_file=text("ssl_ca_certs"),
            ca_folder=text("ssl_ca_path"),
            ca_data=None
            if data is None
            else data
            if isinstance(data, str)
            else bytes(data).decode("latin-1"),
            ca_data_is_der=data is not None and not isinstance(data, str),
            certificate_file=text("ssl_certfile"),
            key_file=text("ssl_keyfile"),
            key_password=_text(password, arguments),
            verify=requirement not in ("none", None, ssl.CERT_NONE),
            check_hostname=bool(arguments.get("ssl_check_hostname", True)),
            min_version=None if version is None else int(version),
            ciphers=text("ssl_ciphers"),
            without_flags=sum(int(each) for each in excluded),
        )


@dataclass(frozen=True, kw_only=True)
class SentinelAddress:
    """The Sentinels that know which server is the primary."""

    hosts: tuple[tuple[str, int], ...]
    service: str
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    #: The primary's address, whatever a Sentinel says, as redis-py's `force_master_ip`.
    primary_host: str | None = None


@dataclass(frozen=True, kw_only=True)
class Address:
    """Address and credentials of the server, which the helper gets through a pipe that no process list shows."""

    host: str = "localhost"
    port: int = 6379
    #: Of a Unix socket; then host and port mean nothing.
    path: str | None = None
    #: They name the server; then host and port mean nothing.
    sentinel: SentinelAddress | None = None
    db: int = 0
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None

    @classmethod
    def from_client(cls, client: "redis.Redis") -> Self:
        """The address that a client of redis-py connects to.

        Raises:
            UnsupportedConnection: by connections of a kind, or with an option, that the helper does not know.
        """
        pool = client.connection_pool
        kind, arguments = pool.connection_class, pool.connection_kwargs
        if kind not in _KINDS:
            raise UnsupportedConnection(
                f"The heartbeat's helper cannot connect by {kind.__name__}; it takes redis://, rediss://, unix:// and "
                "Sentinel."
            )
        _check_options(arguments)
        username, password = _credentials(arguments)
        return cls(
            host=arguments.get("host") or "localhost",
            port=int(arguments.get("port") or 6379),
            path=None if arguments.get("path") is None else os.fspath(arguments["path"]),
            sentinel=_sentinel(pool) if isinstance(pool, SentinelConnectionPool) else None,
            db=int(arguments.get("db") or 0),
            username=username,
            password=password,
            tls=Tls.of(arguments) if issubclass(kind, redis.SSLConnection) else None,
        )


def _check_options(arguments: Mapping[str, Any]) -> None:
    for name in _NOT_FOLLOWED:
        if arguments.get(name):
            raise UnsupportedConnection(f"The heartbeat's helper does not follow the client's {name}.")


def _credentials(arguments: Mapping[str, Any]) -> tuple[str | None, str | None]:
    provider = arguments.get("credential_provider")
    if provider is None:
        return _text(arguments.get("username"), arguments), _text(arguments.get("password"), arguments)
    if type(provider) is not redis.UsernamePasswordCredentialProvider:
        raise UnsupportedConnection(
            "The heartbeat's helper cannot ask a credential provider; it takes a fixed user and password."
        )
    return _text(provider.username or None, arguments), _text(provider.password, arguments)


def _sentinel(pool: SentinelConnectionPool) -> SentinelAddress:
    manager = pool.sentinel_manager
    if manager.min_other_sentinels:
        raise UnsupportedConnection(
            "The heartbeat's helper does not follow a Sentinel's min_other_sentinels."
        )
    pools = [each.connection_pool for each in manager.sentinels]
    arguments = pools[0].connection_kwargs
    _check_options(arguments)
    username, password = _credentials(arguments)
    return SentinelAddress(
        hosts=tuple((each.connection_kwargs["host"], int(each.connection_kwargs["port"])) for each in pools),
        service=pool.service_name,
        username=username,
        password=password,
        tls=Tls.of(arguments) if issubclass(pools[0].connection_class, redis.SSLConnection) else None,
        primary_host=manager._force_master_ip,
    )


def _text(value: Any, arguments: Mapping[str, Any]) -> str | None:
    """A value as the client sends it, in the form of text that the helper makes the same bytes of."""
    if value is None:
        return None
    encoding, errors = arguments.get("encoding", "utf-8"), arguments.get("encoding_errors", "strict")
    encoded: bytes = Encoder(encoding, errors, False).encode(value)  # type: ignore[no-untyped-call]
    return encoded.decode("utf-8", "surrogateescape")
