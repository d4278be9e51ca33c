"""What a call through a closed circuit costs, by each way to make it, and by pybreaker's own class."""

import statistics
import sys
import time
from collections.abc import Callable

import pybreaker

from middleware import CircuitBreakers
from middleware.circuit_breakers.memory import MemoryCircuitBreakerStore

#: Calls of one measurement.
CALLS = 10_000

#: The call that the others are compared with.
OWN = "pybreaker's `call`"


def closed_calls(rounds: int) -> dict[str, float]:
    """Measure all ways in turn, several rounds.

    Parameters:
        rounds: how many; medians are returned.

    Returns: CPU seconds of a call, by the way it is made.
    """
    ways = _ways()
    seen: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, call in ways.items():
            begun = time.process_time()
            for _ in range(CALLS):
                call()
            seen[name].append((time.process_time() - begun) / CALLS)
    return {name: statistics.median(costs) for name, costs in seen.items()}


def closed_calls_table(costs: dict[str, float]) -> str:
    """Show them as Markdown.

    Example:
        >>> print(closed_calls_table(closed_calls(rounds=3)))
    """
    lines = [
        "| a call through a closed circuit | CPU µs | of pybreaker's |",
        "|---|---|---|",
        *(f"| {name} | {1e6 * cost:.1f} | {cost / costs[OWN]:.2f} |" for name, cost in costs.items()),
    ]
    return "\n".join(lines) + "\n"


def _ways() -> dict[str, Callable[[], object]]:
    # Readings cost the same however many calls are made in a second: the whole run goes by one.
    breakers = CircuitBreakers(MemoryCircuitBreakerStore(), refresh_s=3_600)
    breaker, own = breakers["ai"], pybreaker.CircuitBreaker()

    def by_key() -> None:
        with breakers.calling("ai"):
            _work()

    def block() -> None:
        with breaker.calling():
            _work()

    def own_block() -> None:
        with own.calling():
            _work()

    return {
        "`breakers.calling(key)`": by_key,
        "`breakers[key].calling()`": block,
        "`breakers[key].call`": lambda: breaker.call(_work),
        OWN: lambda: own.call(_work),
        "pybreaker's `calling()`": own_block,
    }


def _work() -> None: ...


if __name__ == "__main__":
    sys.stdout.write(closed_calls_table(closed_calls(rounds=5)))
