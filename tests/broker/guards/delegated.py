"""A fair broker with guards whose work it does, and what tests look at."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dramatiq
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware

from broker import FairRedisBroker
from middleware import Retries
from middleware.base.attempts import Attempt
from middleware.base.observer import Observer
from tests.middleware.brokers import replace_stack
from tests.middleware.eventually import eventually

QUEUE = "enforced"


class Watch(Observer):
    """Remembers every attempt that began and how it ended, by message."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[str] = []
        self.ends: list[str | None] = []

    def began(self, broker: dramatiq.Broker, message: MessageProxy, attempt: Attempt) -> None:
        self.begun.append(message.message_id)

    def ended(self, broker: dramatiq.Broker, message: MessageProxy, attempt: Attempt) -> None:
        self.ends.append(attempt.outcome)


class Site:
    """A broker with these guards between an observer and retries."""

    def __init__(self, broker: FairRedisBroker, *guards: Middleware) -> None:
        self.broker = broker
        self.watch = Watch()
        self.ran: list[str] = []
        replace_stack(broker, self.watch, *guards, Retries(max_retries=0))

    def actor(
        self,
        name: str = "job",
        body: Callable[[], object] = lambda: None,
        *,
        queue: str = QUEUE,
        **options: Any,
    ) -> "dramatiq.Actor[..., None]":
        """One that says when its body is through."""

        def fn(*payload: object) -> None:
            body()
            self.ran.append(name)

        return dramatiq.actor(broker=self.broker, queue_name=queue, actor_name=name, **options)(fn)

    @contextmanager
    def working(self, *, threads: int = 4) -> Iterator[dramatiq.Worker]:
        """With a worker."""
        worker = dramatiq.Worker(self.broker, worker_timeout=50, worker_threads=threads)
        worker.start()
        try:
            yield worker
        finally:
            worker.stop()

    def ended(self, count: int) -> bool:
        """Whether so many attempts come to their ends."""
        return eventually(lambda: len(self.watch.ends) >= count)

    def left(self) -> int:
        """How many messages are not done."""
        return self.broker.do_qsize(QUEUE)

    def leaves(self, count: int) -> bool:
        """Whether it comes to so many that are not done."""
        return eventually(lambda: self.left() == count)

    def empty(self) -> bool:
        """Whether all come to be done."""
        return self.leaves(0)
