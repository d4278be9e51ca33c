"""Jobs with idempotency keys, for tests of what becomes of them."""

import threading
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import dramatiq

QUICK: dict[str, Any] = {"min_backoff": 1, "max_backoff": 1}


class Job:
    """An actor that remembers what it was called with, and fails or waits when told to."""

    def __init__(self, broker: dramatiq.Broker, *, name: str = "charge", **options: Any) -> None:
        self.ran: list[object] = []
        self.fail_times = 0
        self.started, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.queue = f"q{uuid4().hex}"

        def fn(payload: Mapping[str, object]) -> None:
            self.started.set()
            assert self.go_on.wait(10)
            if self.fail_times > 0:
                self.fail_times -= 1
                raise ValueError("no")
            self.ran.append(payload.get("n"))

        declare = dramatiq.actor(
            broker=broker, queue_name=self.queue, actor_name=name, **{**QUICK, **options}
        )
        self.actor: dramatiq.Actor[[Mapping[str, object]], None] = declare(fn)

    def send(self, n: int, *, key: object = "order-17", org: str | None = "acme") -> "dramatiq.Message[None]":
        return self.actor.send({"n": n, "org_id": org, "idempotency_key": key})
