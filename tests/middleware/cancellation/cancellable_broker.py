"""A broker with the cancellation guard, for the tests of both."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import dramatiq
from dramatiq.middleware import AsyncIO, Callbacks

from middleware import Retries
from middleware.base.attempts import Attempt
from middleware.base.observer import Observer
from middleware.base.poller import Poller
from middleware.cancellation.guard import Cancellation
from middleware.cancellation.memory import MemoryCancellationStore
from middleware.cancellation.requests import CancellationClient
from tests.middleware.brokers import dead, replace_stack, work


class Outcomes(Observer):
    """Remembers how attempts ended."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str | None] = []

    def ended(self, broker: dramatiq.Broker, message: dramatiq.broker.MessageProxy, attempt: Attempt) -> None:
        self.seen.append(attempt.outcome)


class Rig:
    """A broker with the guard, polled only when told to."""

    def __init__(self, broker: dramatiq.Broker) -> None:
        self.broker = broker
        self.store = MemoryCancellationStore()
        self.ask = CancellationClient(self.store)
        self.flags = Poller(interval_s=3_600)
        self.guard = Cancellation(self.store, flags=self.flags)
        self.outcomes = Outcomes()
        self.queue = f"q{uuid4().hex}"
        self.ran: list[str] = []
        replace_stack(
            broker, self.outcomes, self.guard, AsyncIO(), Callbacks(), Retries(max_retries=3, min_backoff=1)
        )

    def declare(self, name: str = "job", body: Callable[[], object] = lambda: None, **options: Any) -> None:
        """An actor that says when its body is through."""

        def fn(argument: str = "") -> None:
            body()
            self.ran.append(argument or name)

        dramatiq.actor(broker=self.broker, queue_name=self.queue, actor_name=name, **options)(fn)

    def send(self, name: str = "job", argument: str = "", **options: Any) -> str:
        """Its message's id."""
        actor = self.broker.get_actor(name)
        return actor.send_with_options(args=(argument,), **options).message_id

    def work(self) -> None:
        """Until the queue is empty."""
        work(self.broker, self.queue)

    def dead(self) -> int:
        """How many messages were rejected."""
        return len(dead(self.broker, self.queue))
