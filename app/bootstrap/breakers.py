"""The circuit breakers of the platform, and idea providers behind them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import redis

from domain.errors import ProviderUnavailable
from domain.idea_providers import IdeaGenerator, IdeaRequest, Usage
from domain.ideas import IdeaDraft
from middleware import CircuitBreakers, Parked
from middleware.circuit_breakers.redis import RedisCircuitBreakerStore

from .redis import NAMESPACE


def circuit_breakers(client: redis.Redis) -> CircuitBreakers:
    """Five failures open a circuit for 30 s; three trials in the whole fleet close it."""
    return CircuitBreakers(RedisCircuitBreakerStore(client, prefix=NAMESPACE))


@dataclass(frozen=True)
class BehindBreaker:
    """An idea provider behind the circuit `ai:<name>`: one that is down is passed over without being asked.

    Parameters:
        generator: the provider.
        breakers: the process's own.
    """

    generator: IdeaGenerator
    breakers: CircuitBreakers

    @property
    def name(self) -> str:
        return self.generator.name

    def generate(
        self, request: IdeaRequest, *, timeout_s: float | None, on_usage: Callable[[Usage], None]
    ) -> Sequence[IdeaDraft]:
        try:
            with self.breakers.calling(f"ai:{self.name}"):
                return self.generator.generate(request, timeout_s=timeout_s, on_usage=on_usage)
        except Parked as parked:
            # To the job an open circuit is an outage like any other: the next provider is asked.
            raise ProviderUnavailable(
                f"{self.name} is left alone after repeated failures", retry_after_s=parked.delay_ms / 1_000
            ) from None
