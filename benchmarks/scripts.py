"""How long the longest script holds the server, by what waits: `python -m benchmarks.scripts --markdown table.md`.

By the server's own log of slow commands. A script that does no more for ten times as many takes as long.
"""

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import redis
import typer
from dramatiq import Message

from benchmarks.lab import server
from broker import FairRedisBroker, Inspector, Operations

#: How many wait.
SIZES = (10_000, 100_000)

#: What waits: options of the n-th message, and milliseconds until it is due.
LOADS: dict[str, tuple[Callable[[int], dict[str, Any]], int | None]] = {
    "lanes of one org": (lambda number: {"org": "acme", "concurrency": (f"doc:{number}", 1)}, None),
    "orgs": (lambda number: {"org": f"org{number}"}, None),
    "delayed, due at once": (lambda number: {"org": f"org{number % 100}"}, 1),
}

_SLOWLOG = 10_000


def main(
    sizes: Annotated[list[int] | None, typer.Option("--size", help="How many wait; or several.")] = None,
    server_program: Annotated[
        Path | None,
        typer.Option("--server", help="A valkey-server or redis-server. Default: the embedded Valkey."),
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table to this file.")] = None,
) -> None:
    """Measure the longest script of what workers, operators and metrics do while very many wait."""
    chosen = sizes or list(SIZES)
    found: dict[str, dict[str, float]] = {}
    for load in LOADS:
        for size in chosen:
            with server(server_program) as url:
                for action, longest_ms in _measured(url, load, size):
                    found.setdefault(action, {})[f"{size:,} {load}"] = longest_ms
    table = as_markdown(found, [f"{size:,} {load}" for load in LOADS for size in chosen])
    sys.stdout.write(table)
    if markdown is not None:
        markdown.write_text(table)


def as_markdown(found: dict[str, dict[str, float]], columns: list[str]) -> str:
    """The table: a row an action, a column a load.

    Parameters:
        found: milliseconds, by action and load.
        columns: loads, in their order.
    """
    rows = [f"| longest script, ms | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for action, by_load in found.items():
        cells = [f"{by_load[each]:.1f}" if each in by_load else "—" for each in columns]
        rows.append(f"| {action} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _measured(url: str, load: str, size: int) -> Iterator[tuple[str, float]]:
    options, delay_ms = LOADS[load]
    with redis.Redis.from_url(url, socket_timeout=60) as client:
        client.config_set("slowlog-log-slower-than", 100)
        client.config_set("slowlog-max-len", _SLOWLOG)
        broker = FairRedisBroker(url=url, middleware=[])
        look, operations = Inspector(broker.client, broker.base), Operations(broker.client, broker.base)

        def send() -> None:
            for numbers in _batches(size):
                broker.send_many((_message(**options(number)) for number in numbers), delay=delay_ms)

        actions: dict[str, Callable[[], object]] = {
            "sending all of it": send,
            "a fetch": lambda: _fetch(url),
            "a pause of the actor": lambda: broker.shut("pauses", {"a:act": (0, "paused")}),
            "the first fetch after it": lambda: _fetch(url),
            "another gate": lambda: broker.shut("breakers", {"a:other": (0, "down")}),
            "what metrics sample": lambda: (look.queue_state("q"), look.parked_by_cause("q")),
            "depth": look.depth,
            "lanes": lambda: look.lanes("q"),
            "waiting": lambda: look.waiting("q"),
            "the end of the pause": lambda: broker.shut("pauses", {}),
            "the first fetch after that": lambda: _fetch(url),
            "clean, dry run": lambda: operations.clean("q", dry_run=True),
            "clean": lambda: operations.clean("q"),
        }
        for action, call in actions.items():
            client.slowlog_reset()
            call()
            yield action, max((each["duration"] for each in client.slowlog_get(_SLOWLOG)), default=0) / 1_000
        broker.close()


def _fetch(url: str) -> None:
    broker = FairRedisBroker(url=url, middleware=[])
    broker.declare_queue("q")
    next(broker.consume("q", prefetch=136, timeout=10))
    broker.close()


def _batches(size: int) -> Iterator[list[int]]:
    numbers = iter(range(size))
    while batch := list(islice(numbers, 5_000)):
        yield batch


def _message(**options: Any) -> "Message[Any]":
    return Message(queue_name="q", actor_name="act", args=(), kwargs={}, options=options)


if __name__ == "__main__":
    typer.run(main)
