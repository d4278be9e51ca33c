"""`python -m app doctor`: looks at everything a worker needs, and says the fix for what is wrong."""

import platform as machine
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import psycopg
import redis
from dramatiq.errors import BrokerError

from adapters.database.migrate import pending
from app.bootstrap.redis import NAMESPACE, redis_client
from app.embedded.postgres import SYSTEM
from app.settings import Settings
from broker import UnsupportedServer, base_key
from broker.connection import check_mode, check_mode_at_first_use
from broker.rights import check_rights
from broker.server_check import SAFE_POLICY, memory_policy, unsafe
from domain.errors import JobError

#: How far two clocks may be apart before leases and links misbehave.
MAX_CLOCK_SKEW_S = 2.0
#: The oldest PostgreSQL that can grant a role without letting it be inherited.
MIN_POSTGRES = 16

Verdict = Literal["ok", "warning", "broken"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check saw."""

    check: str
    verdict: Verdict
    seen: str
    fix: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Every check, also those after a broken one.

    Parameters:
        settings: what a worker would run with.
    """
    findings: list[Finding] = []
    for check, look in _CHECKS.items():
        try:
            findings.extend(look(settings))
        except (psycopg.Error, redis.RedisError, BrokerError, JobError, OSError, _NotSet) as error:
            findings.append(Finding(check=check, verdict="broken", seen=str(error).strip(), fix=_fix(error)))
    return findings


class _NotSet(Exception):
    pass


def _versions(settings: Settings) -> Iterator[Finding]:
    python = machine.python_version()
    verdict: Verdict = "ok" if sys.version_info >= (3, 11) else "broken"
    yield Finding(
        check="python", verdict=verdict, seen=python, fix="" if verdict == "ok" else "use 3.11 or newer"
    )
    libraries = ("dramatiq", "redis", "sqlalchemy", "psycopg", "pydantic")
    yield Finding(
        check="libraries", verdict="ok", seen=", ".join(f"{name} {version(name)}" for name in libraries)
    )


def _database(settings: Settings) -> Iterator[Finding]:
    with psycopg.connect(_url(settings, "database_url"), connect_timeout=5) as connection:
        server = connection.info.server_version // 10_000
        verdict: Verdict = "ok" if server >= MIN_POSTGRES else "broken"
        fix = "" if verdict == "ok" else f"use PostgreSQL {MIN_POSTGRES} or newer"
        yield Finding(check="database", verdict=verdict, seen=f"PostgreSQL {server}", fix=fix)
        yield _role(connection)
        yield _clock("database clock", connection.execute("SELECT extract(epoch FROM clock_timestamp())"))


def _role(connection: "psycopg.Connection[tuple[object, ...]]") -> Finding:
    row = connection.execute(
        "SELECT current_user, rolsuper OR rolbypassrls, "
        "       EXISTS (SELECT FROM pg_roles WHERE rolname = %(system)s), "
        "       (SELECT pg_has_role(oid, 'SET') FROM pg_roles WHERE rolname = %(system)s), "
        "       (SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = %(system)s) "
        "FROM pg_roles WHERE rolname = current_user",
        {"system": SYSTEM},
    ).fetchone()
    user, unbound, known, may_set, inherits = row or ("?", True, False, False, False)
    seen = f"workers are {user}"
    if unbound:
        fix = f"DATABASE_URL must name a role under row-level security: ALTER ROLE {user} NOSUPERUSER NOBYPASSRLS"
    elif not known:
        fix = "run `python -m app migrate` as an owner that may CREATE ROLE"
    elif not may_set or inherits:
        fix = f"GRANT {SYSTEM} TO {user} WITH INHERIT FALSE, SET TRUE"
    else:
        return Finding(check="database role", verdict="ok", seen=seen)
    return Finding(check="database role", verdict="broken", seen=seen, fix=fix)


def _migrations(settings: Settings) -> Iterator[Finding]:
    waiting = pending(_url(settings, "database_owner_url"))
    if waiting:
        seen = f"not applied: {', '.join(waiting)}"
        yield Finding(check="migrations", verdict="broken", seen=seen, fix="run `python -m app migrate`")
    else:
        yield Finding(check="migrations", verdict="ok", seen="all applied")


def _redis(settings: Settings) -> Iterator[Finding]:
    _url(settings, "redis_url")
    with redis_client(settings) as client:
        yield from _server(client)
        yield _memory_policy(client)
        seconds, microseconds = client.time()
        yield _skew("redis clock", seconds + microseconds / 1e6)


def _server(client: "redis.Redis") -> Iterator[Finding]:
    try:
        info = client.info()
    except redis.exceptions.NoPermissionError:
        fix = "grant its user +info, or look yourself what the server is and how it keeps what it has"
        yield Finding(check="redis", verdict="warning", seen="the server does not say what it is", fix=fix)
    else:
        name = "Valkey" if "valkey_version" in info else "Redis"
        seen = f"{name} {info.get('valkey_version', info['redis_version'])}"
        yield Finding(check="redis", verdict="ok", seen=seen)
        yield _durability(client, bool(info["aof_enabled"]))
    yield _use(client)


def _use(client: "redis.Redis") -> Finding:
    check = "redis use"
    try:
        check_mode_at_first_use(client)
        check_mode(client)
        check_rights(client, base_key(NAMESPACE))
    except UnsupportedServer as error:
        return Finding(check=check, verdict="broken", seen="workers refuse it", fix=str(error))
    return Finding(check=check, verdict="ok", seen="no cluster, and its user may do what workers do")


def _memory_policy(client: "redis.Redis") -> Finding:
    check = "redis memory policy"
    policy = memory_policy(client)
    if policy is None:
        fix = f"look yourself: with anything but {SAFE_POLICY} it may drop queued jobs"
        return Finding(check=check, verdict="warning", seen="the server does not say", fix=fix)
    if policy != SAFE_POLICY:
        return Finding(check=check, verdict="broken", seen=policy, fix=unsafe(policy))
    return Finding(check=check, verdict="ok", seen=policy)


def _durability(client: "redis.Redis", appends: bool) -> Finding:
    try:
        event = client.config_get("appendfsync", "save")
    except redis.ResponseError:  # managed servers forbid to ask
        event = {}
    saves = event.get("save")
    snapshots = "no snapshots" if saves == "" else f"snapshots {saves or 'unknown'}"
    synced = f"synced {event.get('appendfsync', 'unknown')}"
    return Finding(
        check="redis durability",
        verdict="ok" if appends else "warning",
        seen=f"append-only file, {synced}; {snapshots}" if appends else f"no append-only file; {snapshots}",
        fix="" if appends else "set appendonly yes: queued jobs are lost when the server restarts",
    )


def _secret_keys(settings: Settings) -> Iterator[Finding]:
    keys = len(settings.secret_keys)
    yield Finding(
        check="secret keys",
        verdict="ok" if keys else "warning",
        seen=f"{keys} configured",
        fix="" if keys else "set PRESSROOM_SECRET_KEYS, a JSON list: download links cannot be signed without",
    )


_CHECKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "versions": _versions,
    "database": _database,
    "migrations": _migrations,
    "redis": _redis,
    "secret keys": _secret_keys,
}


def _url(settings: Settings, field: str) -> str:
    url = getattr(settings, field)
    if url is None:
        raise _NotSet(f"{field.upper()} is not set and no `up` is running")
    return str(url.get_secret_value())


def _clock(check: str, cursor: "psycopg.Cursor[tuple[object, ...]]") -> Finding:
    row = cursor.fetchone()
    return _skew(check, float(str(row[0])) if row else 0.0)


def _skew(check: str, theirs_s: float) -> Finding:
    skew_s = abs(time.time() - theirs_s)
    if skew_s <= MAX_CLOCK_SKEW_S:
        return Finding(check=check, verdict="ok", seen=f"{skew_s:.3f} s apart")
    return Finding(check=check, verdict="broken", seen=f"{skew_s:.1f} s apart", fix="synchronise both by NTP")


def _fix(error: Exception) -> str:
    if isinstance(error, _NotSet):
        return "start `python -m app up`, or set it"
    return "check the address, that the server runs, and that this machine may reach it"
