"""Real servers without an installation: PostgreSQL and Valkey from wheels, owned by whoever uses them.

Any number of processes may ask for the servers of one folder: the first starts them, the others find them, and
the last one to leave stops them. A process that is killed leaves servers that the next one finds and stops.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from . import postgres, valkey
from .folders import ServerFolders, find_server_folders
from .process import EmbeddedServerError

__all__ = ["DATABASE_NAME", "EmbeddedServerError", "Servers", "running"]

#: The database that the platform itself uses.
DATABASE_NAME = "pressroom"


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Where the servers listen: Unix sockets that only their owner may open."""

    folders: ServerFolders

    def database_url(self, database: str = DATABASE_NAME) -> str:
        """As the role that workers have: subject to row-level security."""
        return postgres.url(self.folders, postgres.WORKER, database)

    def database_owner_url(self, database: str = DATABASE_NAME) -> str:
        """As the role that migrates: owns the tables."""
        return postgres.url(self.folders, postgres.OWNER, database)

    def create_database(self, name: str) -> None:
        """Make an empty database for the owner role, unless there is one."""
        postgres.create_database(self.folders, name)

    @property
    def redis_url(self) -> str:
        """Database 0 of the Valkey server."""
        return valkey.url(self.folders)


@contextmanager
def running(root: Path, *, durable: bool = True, redis_server: Path | None = None) -> Iterator[Servers]:
    """Servers whose data lives below `root`, up for as long as the context is.

    Parameters:
        root: folder for data, logs and sockets; made when missing.
        durable: False gives up crash safety for speed, for tests. Default True.
        redis_server: a `redis-server` to start in Valkey's place. Default: Valkey.

    Raises:
        EmbeddedServerError: a server did not start; the message ends with its log.

    Example:
        >>> with running(Path(".pressroom")) as servers:
        ...     redis.Redis.from_url(servers.redis_url).ping()
        True
    """
    root.mkdir(parents=True, exist_ok=True, mode=0o711)
    folders = find_server_folders(root)
    starting = _open_lock(root / "starting.lock")
    users = _open_lock(root / "users.lock")
    try:
        with _held(starting):
            postgres.ensure_running(folders, durable=durable)
            valkey.ensure_running(folders, durable=durable, program=redis_server)
            postgres.create_database(folders, DATABASE_NAME)
            # Shared, and gone with the process however it ends: the kernel counts the users for us.
            fcntl.flock(users, fcntl.LOCK_SH)
        yield Servers(folders=folders)
    finally:
        with _held(starting):
            if _last_one(users):
                valkey.stop(folders)
                postgres.stop(folders)
        os.close(users)
        os.close(starting)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextmanager
def _held(descriptor: int) -> Iterator[None]:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _last_one(users: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
