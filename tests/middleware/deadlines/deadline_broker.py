"""A broker with the deadline guard, for its tests, and a job without end."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import dramatiq
from dramatiq.middleware import AsyncIO

from middleware import Retries
from middleware.base.attempts import Attempt
from middleware.base.observer import Observer
from middleware.deadlines.guard import Deadlines
from tests.middleware.brokers import dead, replace_stack, work


class Ends(Observer):
    """Remembers how attempts ended."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str | None, str | None]] = []

    def ended(self, broker: dramatiq.Broker, message: dramatiq.broker.MessageProxy, attempt: Attempt) -> None:
        self.seen.append((attempt.outcome, attempt.error_category))


class Rig:
    """A broker with the guard between an observer and retries."""

    def __init__(self, broker: dramatiq.Broker, **options: Any) -> None:
        self.broker = broker
        self.queue = f"q{uuid4().hex}"
        self.ends = Ends()
        self.guard = Deadlines(**{"exit_process": None, "frozen_after_ms": None, **options})
        replace_stack(
            broker, self.ends, self.guard, AsyncIO(), Retries(max_retries=1, min_backoff=1, max_backoff=1)
        )

    def declare(self, body: Callable[..., object], **options: Any) -> "dramatiq.Actor[..., Any]":
        """An actor called `job`."""

        def fn(*args: object) -> None:
            body(*args)

        declare = dramatiq.actor(broker=self.broker, queue_name=self.queue, actor_name="job", **options)
        return declare(fn)

    def work(self, **options: int) -> None:
        """Until the queue is empty."""
        work(self.broker, self.queue, **options)

    def dead(self) -> list["dramatiq.Message[Any]"]:
        """What was rejected."""
        return [dramatiq.Message.decode(each) for each in dead(self.broker, self.queue)]


def busy() -> None:
    """Run Python until interrupted."""
    while True:
        pass
