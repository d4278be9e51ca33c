"""One scenario on one of the two brokers: its worker processes, what they report, and what is stored."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal
from uuid import uuid4

import dramatiq
import redis

from tests.broker.promises import brokers
from tests.broker.promises.brokers import QUEUE, Either, Kind
from tests.broker.promises.environment import Meeting
from tests.broker.promises.worker_command import PATIENCE_S, WorkerProcess
from tests.middleware.brokers import close

#: The module that is one worker.
ONE_WORKER = "tests.broker.promises.worker_host"

#: How long a worker of this process may take to stop, in milliseconds; Dramatiq's own patience is ten minutes.
STOP_TIMEOUT_MS = 10_000


class Stage:
    """Where a scenario's processes meet."""

    def __init__(self, kind: Kind, url: str, client: "redis.Redis", closing: ExitStack) -> None:
        self.kind: Kind = kind
        self.url = url
        self.client: Any = client
        self.namespace = uuid4().hex
        self._closing = closing

    def broker(self, *, url: str | None = None, **options: Any) -> Either:
        """A broker in this process."""
        made = brokers.make_broker(self.kind, url or self.url, self.namespace, **options)
        self._closing.callback(close, made)
        return made

    def worker(self, broker: Either, *, threads: int = 1) -> dramatiq.Worker:
        """A worker in this process, stopped with the test."""
        worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=threads)
        worker.start()
        self._closing.callback(worker.stop, timeout=STOP_TIMEOUT_MS)
        return worker

    def process(
        self, *words: str, threads: int = 1, heartbeat_timeout_ms: int = 2_000, dies_at_ack: bool = False
    ) -> WorkerProcess:
        """A worker in a process of its own, killed with the test at the latest.

        Parameters:
            words: a module and its arguments. Default: one worker.
            threads: that each worker has. Default 1.
            heartbeat_timeout_ms: after so long a silence it is taken for dead. Default 2,000.
            dies_at_ack: whether it kills itself before its first ack. Default False.
        """
        meeting = Meeting(
            kind=self.kind,
            url=self.url,
            namespace=self.namespace,
            heartbeat_timeout_ms=heartbeat_timeout_ms,
            dies_at_ack=dies_at_ack,
        )
        process = WorkerProcess(meeting.environment(threads=threads), words or (ONE_WORKER, str(threads)))
        self._closing.callback(process.close)
        return process

    def message(self, actor: str, *arguments: object) -> "dramatiq.Message[Any]":
        """A message for an actor of the worker processes."""
        return dramatiq.Message(
            queue_name=QUEUE, actor_name=actor, args=arguments, kwargs={}, options={"max_retries": 0}
        )

    def wait_for(self, event: str) -> tuple[str, int]:
        """What a job reports next: its name and its process."""
        found = self.client.blpop([f"{self.namespace}:test:{event}"], timeout=PATIENCE_S)
        assert found is not None, f"nothing {event} for {PATIENCE_S} s"
        name, pid = str(found[1], "utf-8").split()
        return name, int(pid)

    def heard(self, event: str) -> list[tuple[str, int]]:
        """All that jobs have reported and nobody has heard yet."""
        lines = self.client.lpop(f"{self.namespace}:test:{event}", 1_000_000) or []
        return [(name, int(pid)) for name, pid in (str(row, "utf-8").split() for row in lines)]

    def let_on(self, whom: int | Literal["all"], count: int = 1) -> None:
        """Let so many gated jobs of this process go on, or of any."""
        self.client.rpush(f"{self.namespace}:test:gate:{whom}", *["go"] * count)

    def unfinished(self) -> int:
        """How many messages are stored that are neither done nor dead."""
        return brokers.unfinished(self.kind, self.client, self.namespace)

    def held(self) -> int:
        """How many messages workers have taken, and have not finished."""
        return brokers.held(self.kind, self.client, self.namespace)

    def beats_ms(self) -> list[int]:
        """When each known worker was last heard of; to Dramatiq's broker, senders are some."""
        return brokers.beats_ms(self.kind, self.client, self.namespace)

    def now_ms(self) -> int:
        """The server's clock."""
        seconds, micros = self.client.time()
        return int(seconds * 1_000 + micros // 1_000)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that processes do."""
        until_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < until_s, f"it did not come about in {PATIENCE_S} s"
            # Nobody pushes there: the server does the waiting.
            self.client.blpop([f"{self.namespace}:test:never"], timeout=0.02)

    def await_finished(self) -> None:
        """Wait until no message is left."""
        self.wait_until(lambda: self.unfinished() == 0)


@contextmanager
def staged(kind: Kind, url: str) -> Iterator[Stage]:
    """A stage of which nothing is left afterwards."""
    # redis-py would give up a blocking pop after five seconds.
    with redis.Redis.from_url(url, socket_timeout=None) as client:
        with ExitStack() as closing:
            stage = Stage(kind, url, client, closing)
            yield stage
        for key in client.scan_iter(f"{stage.namespace}:*", count=10_000):
            client.unlink(key)
