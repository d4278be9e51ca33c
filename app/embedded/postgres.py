"""The embedded PostgreSQL: a cluster of its own, reached by Unix socket, with the platform's roles."""

import subprocess
from pathlib import Path
from signal import SIGINT
from urllib.parse import quote

import psycopg
from psycopg import sql

from . import process
from .folders import ServerFolders

#: The roles: who made the cluster, who migrates, who works.
SUPERUSER = "postgres"
OWNER = "pressroom_owner"
WORKER = "pressroom_worker"
SYSTEM = "pressroom_system"

_FOR_TESTS = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "max_connections=300",
)
_ALWAYS = ("listen_addresses=", "timezone=UTC", "log_timezone=UTC", "shared_buffers=64MB")


def url(folders: ServerFolders, role: str, database: str) -> str:
    """A connection URL for one role and database."""
    return f"postgresql://{role}@/{database}?host={quote(str(folders.postgres), safe='')}"


def ensure_running(folders: ServerFolders, *, durable: bool) -> None:
    """Start the server unless it runs, making the cluster the first time.

    Raises:
        EmbeddedServerError: it cannot be made or does not start.
    """
    if process.find(_pid_file(folders)) is not None:
        return
    data = folders.postgres / "data"
    if not (data / "PG_VERSION").exists():
        _make_cluster(folders, data)
    # Our pid file says it does not run, and nobody else starts it: a left-over lock only stands in the way.
    (data / "postmaster.pid").unlink(missing_ok=True)
    options = _ALWAYS if durable else (*_ALWAYS, *_FOR_TESTS)
    process.start(
        [
            str(folders.postgres_bin / "postgres"),
            *("-D", str(data), "-k", str(folders.postgres)),
            *(argument for option in options for argument in ("-c", option)),
        ],
        folder=folders.postgres,
        user=folders.postgres_user,
        answers=lambda: _answers(folders),
    )
    with psycopg.connect(url(folders, SUPERUSER, SUPERUSER), autocommit=True) as connection:
        _make_roles(connection)


def create_database(folders: ServerFolders, name: str) -> None:
    """Make a database that belongs to the owner role, unless there is one of that name."""
    with psycopg.connect(url(folders, SUPERUSER, SUPERUSER), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if known is None:
            statement = sql.SQL("CREATE DATABASE {} OWNER {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(OWNER)))


def stop(folders: ServerFolders) -> None:
    """Stop the server as `pg_ctl stop -m fast` does; nothing to do when it does not run."""
    process.stop(_pid_file(folders), SIGINT)


def _make_cluster(folders: ServerFolders, data: Path) -> None:
    uid, gid = folders.postgres_user or (None, None)
    made = subprocess.run(
        [
            str(folders.postgres_bin / "initdb"),
            *("-D", str(data), "-U", SUPERUSER, "-E", "UTF8"),
            # The socket's folder is open to its owner alone: whoever gets to the server may use it.
            *("--locale=C", "--auth=trust", "--no-instructions"),
        ],
        user=uid,
        group=gid,
        extra_groups=[] if uid is not None else None,
        cwd=folders.postgres,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise process.EmbeddedServerError(f"initdb could not make {data}: {made.stderr.strip()}")


def _make_roles(connection: psycopg.Connection) -> None:
    known = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
    for role, attributes in ((SYSTEM, "NOLOGIN"), (WORKER, "LOGIN"), (OWNER, "LOGIN CREATEROLE")):
        if role not in known:
            statement = sql.SQL("CREATE ROLE {} " + attributes)
            connection.execute(statement.format(sql.Identifier(role)))
    # The owner hands these out in migrations, to itself and to workers.
    for role in (SYSTEM, WORKER):
        statement = sql.SQL("GRANT {} TO {} WITH ADMIN TRUE, INHERIT FALSE, SET TRUE")
        connection.execute(statement.format(sql.Identifier(role), sql.Identifier(OWNER)))


def _answers(folders: ServerFolders) -> bool:
    try:
        psycopg.connect(url(folders, SUPERUSER, SUPERUSER), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _pid_file(folders: ServerFolders) -> Path:
    return folders.postgres / "pid"
