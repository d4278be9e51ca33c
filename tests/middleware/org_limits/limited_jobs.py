"""Jobs of orgs for tests of their limits: who ran, how many at once, and who was parked for what."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import dramatiq
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware

from middleware import Parked


class SupportsParking(Middleware):
    """Counts by message how often it was parked, and for what; outermost, as `History` is."""

    def __init__(self) -> None:
        self.count: Counter[tuple[str, str]] = Counter()
        self.first = threading.Event()

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        if isinstance(exception, Parked):
            self.count[str(exception.key).partition(":")[0], message.message_id] += 1
            self.first.set()

    def of(self, cause: str) -> list[int]:
        """How often each message that was parked for this was."""
        return [times for (why, _), times in self.count.items() if why == cause]


class Job:
    """An actor that counts who ran, and how many at once, and waits when told to."""

    def __init__(
        self, broker: dramatiq.Broker, *, name: str = "crawl", takes_s: float = 0, **options: Any
    ) -> None:
        self.ran: Counter[object] = Counter()
        self.running, self.most, self.lock = 0, 0, threading.Lock()
        self.started, self.go_on = threading.Semaphore(0), threading.Event()
        self.go_on.set()
        self.queue = f"q{uuid4().hex}"

        def fn(payload: Mapping[str, object]) -> None:
            with self.lock:
                self.running += 1
                self.most = max(self.most, self.running)
            self.started.release()
            threading.Event().wait(takes_s)
            assert self.go_on.wait(20)
            with self.lock:
                self.running -= 1
                self.ran[payload.get("n")] += 1

        declare = dramatiq.actor(broker=broker, queue_name=self.queue, actor_name=name, **options)
        self.actor: dramatiq.Actor[[Mapping[str, object]], None] = declare(fn)

    def send(self, n: int, *, org: str | None = "acme", **options: Any) -> "dramatiq.Message[None]":
        return self.actor.send_with_options(args=({"n": n, "org_id": org},), **options)


@contextmanager
def working(broker: dramatiq.Broker, *, threads: int = 8) -> Iterator[None]:
    """A worker that runs meanwhile."""
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=threads)
    worker.start()
    try:
        yield
    finally:
        worker.stop()
