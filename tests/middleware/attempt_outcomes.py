"""Actors that meet every end an attempt can have, for the guards that watch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import dramatiq
from dramatiq.middleware import AgeLimit, Middleware
from dramatiq.middleware.shutdown import Shutdown

from middleware import Parked, Retries, Skipped
from middleware.base.guard import Guard
from tests.middleware.brokers import replace_stack


class Faulty(Exception):
    """An error of the job's own, whose text is known to be harmless."""

    category = "network"


class Stopped(Exception):
    """A job that was asked to stop and did."""

    category = "cancelled"
    retryable = False


class Overloaded(Exception):
    """A remote service that asks to be left alone for a while."""

    category = "rate_limited"
    retry_after_s = 5.001


class Doorkeeper(Guard):
    """Skips the messages that say so, as guards for duplicates and cancellations do."""

    def admit(self, broker: dramatiq.Broker, message: dramatiq.broker.MessageProxy) -> None:
        cause = message.options.get("skip_because")
        if cause:
            raise Skipped(cause)


@dataclass(frozen=True)
class Fate:
    """How a message ends."""

    #: Raised by the first attempt; later ones succeed.
    raises: Callable[[], BaseException] | None
    #: Outcomes of all attempts.
    outcomes: tuple[str, ...]
    #: Sent along.
    options: dict[str, Any]


FATES = {
    "succeeded": Fate(None, ("succeeded",), {}),
    "failed": Fate(lambda: Faulty("no"), ("failed",), {"max_retries": 0}),
    "retried": Fate(lambda: Faulty("no"), ("retried", "succeeded"), {"max_retries": 1}),
    "parked": Fate(lambda: Parked("night", delay_ms=1), ("parked", "succeeded"), {"max_retries": 0}),
    "shutdown": Fate(Shutdown, ("parked", "succeeded"), {"max_retries": 0}),
    "skipped": Fate(None, ("skipped",), {"skip_because": "duplicate"}),
    "cancelled_waiting": Fate(None, ("cancelled",), {"skip_because": "cancelled"}),
    "cancelled_running": Fate(Stopped, ("cancelled",), {}),
    "expired": Fate(None, ("expired",), {"max_age": 1}),
}


def watched(broker: dramatiq.Broker, *guards: Middleware) -> None:
    """A stack of the guards, with the middleware that gives attempts their ends below them."""
    replace_stack(
        broker, *guards, Doorkeeper(on_error="allow"), AgeLimit(), Retries(min_backoff=1, max_backoff=1)
    )


def send_to(
    broker: dramatiq.Broker, fate: Fate, *args: Any, queue: str = "", **options: Any
) -> "dramatiq.Message[Any]":
    """Send one message to an actor of its own, by default in a queue of its own, that meets the fate."""
    runs = 0

    def fn(*given: object) -> None:
        nonlocal runs
        runs += 1
        if runs == 1 and fate.raises is not None:
            raise fate.raises()

    actor = dramatiq.Actor(
        fn,
        broker=broker,
        queue_name=queue or f"q{uuid4().hex}",
        actor_name=f"a{uuid4().hex}",
        priority=0,
        options={},
    )
    message = actor.message_with_options(args=args, **fate.options, **options)
    if "max_age" in fate.options:
        message = message.copy(message_timestamp=message.message_timestamp - 10)
    return broker.enqueue(message)
