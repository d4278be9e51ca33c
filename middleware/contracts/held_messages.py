"""Lets go what was held for a worker like this one: messages of actors and of contract versions that it knows."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dramatiq import Broker

from ..base.delegation import SupportsParking
from ..base.payloads import contract_of, version_of


@dataclass(eq=False)
class Release:
    """Called by a poll, it lets go what this build can run, at once and then now and then.

    Once would not do: a worker of the older build that is still there may hold the next message a moment later.

    Parameters:
      broker: Has the actors, and keeps what is held.
      every_s: Seconds between two times.
      monotonic: Seconds that only go forward. Default `time.monotonic`.

    Example:
      >>> flags.add("held messages", Release(broker, every_s=30))
    """

    broker: Broker
    every_s: float
    monotonic: Callable[[], float] = time.monotonic
    _next_s: float = field(default=0.0, init=False)
    _known: set[str] = field(default_factory=set, init=False)

    def __call__(self) -> None:
        """One call of the broker for each actor and each version of its contract that leads to today's."""
        broker, keys = self.broker, set(_keys(self.broker))
        # An actor that was declared only now is not kept waiting.
        if not isinstance(broker, SupportsParking) or (
            self.monotonic() < self._next_s and keys <= self._known
        ):
            return
        for key in sorted(keys):
            broker.release(key)
        self._known, self._next_s = keys, self.monotonic() + self.every_s


def actor_key(actor_name: str) -> str:
    """What a broker holds messages of an actor under that a worker did not have."""
    return f"actor:{actor_name}"


def version_key(actor_name: str, version: int) -> str:
    """What messages of a version of an actor's contract are held under by those who do not know it."""
    return f"version:{actor_name}:{version}"


def _keys(broker: Broker) -> Iterator[str]:
    for name, actor in list(broker.actors.items()):
        yield actor_key(name)
        model = contract_of(actor)
        if model is not None:
            version = version_of(model)
            yield version_key(name, version)
            upcasters = actor.options.get("upcasters") or {}
            while version - 1 in upcasters:
                version -= 1
                yield version_key(name, version)
