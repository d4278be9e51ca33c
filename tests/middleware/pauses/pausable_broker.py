"""A broker with the pauses guard, polled only when told to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import dramatiq
from dramatiq.middleware import AsyncIO

from middleware import PauseControl, Retries
from middleware.base.poller import Poller
from middleware.pauses.guard import Pauses
from middleware.pauses.memory import MemoryPauseStore
from tests.middleware.brokers import drain, replace_stack
from tests.middleware.cancellation.cancellable_broker import Outcomes
from tests.middleware.eventually import eventually

PARK_MS = 20


class Rig:
    """A broker with the guard, polled only when told to."""

    def __init__(self, broker: dramatiq.Broker, *, store: MemoryPauseStore | None = None) -> None:
        self.broker = broker
        self.store = store or MemoryPauseStore()
        self.switch = PauseControl(self.store)
        self.guard = Pauses(self.store, park_ms=PARK_MS, flags=Poller(interval_s=3_600))
        self.outcomes = Outcomes()
        self.queue = f"q{uuid4().hex}"
        self.ran: list[str] = []
        replace_stack(broker, self.outcomes, self.guard, AsyncIO(), Retries(max_retries=0))

    def declare(self, name: str = "job", body: Callable[[], object] = lambda: None, **options: Any) -> None:
        """An actor that says when its body is through."""

        def fn(*payload: object) -> None:
            body()
            self.ran.append(name)

        dramatiq.actor(broker=self.broker, **{"queue_name": self.queue, "actor_name": name, **options})(fn)

    def send(self, name: str = "job", **options: Any) -> str:
        """Its message's id."""
        return self.broker.get_actor(name).send_with_options(**options).message_id

    @contextmanager
    def working(self) -> Iterator[None]:
        """With one worker; at the end everything that may run has."""
        worker = dramatiq.Worker(self.broker, worker_timeout=50, worker_threads=2)
        worker.start()
        try:
            yield
            assert eventually(lambda: self.outcomes.seen[-1:] not in ([], ["parked"]))
            drain(self.broker, self.queue)
            worker.join()
        finally:
            worker.stop()

    def parked(self, times: int = 1) -> bool:
        """Whether so many attempts come to be parked."""
        before = self.outcomes.seen.count("parked")
        return eventually(lambda: self.outcomes.seen.count("parked") >= before + times)
