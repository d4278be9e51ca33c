"""`python -m pressroom.broker drain-dramatiq`: takes over what lies in the queues of Dramatiq's own Redis broker.

what it does:
  Everything that no worker there has fetched moves here, at its place in its queue, with its id and what is left of
  its delay. What workers there hold stays theirs: delayed messages too, which they fetch long before they are due.
  It comes back when they stop. So: start the new workers and senders, drain, stop the old workers, drain again.

exit codes:
  0  nothing is left there (of dead letters, with --dead)
  1  the server does not answer, or refuses
  2  the command line is wrong, or the modules cannot be loaded
  3  something is left, mostly with workers there: run it again, or with --follow

examples:
  # What is there, and whether it can be read.
  $ python -m pressroom.broker drain-dramatiq --url redis://localhost --dry-run

  # All of it, dead letters too, until the last worker there has let go; jobs.py has the actors' priorities.
  $ python -m pressroom.broker drain-dramatiq jobs --url redis://localhost --to-namespace fair --dead --follow
"""

import argparse
import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from functools import reduce
from typing import Any

from dramatiq import Actor, Broker, get_broker
from dramatiq.errors import BrokerError

from ..redis import FairRedisBroker
from .drain import Drained, ProgressPrinter, drain_all, inspect_all
from .dramatiq_queues import SILENT_S, DramatiqDrain


class DrainExit(IntEnum):
    """How a drain ended."""

    EMPTY = 0
    AWAY = 1
    USAGE = 2
    LEFT = 3


def main(arguments: Sequence[str]) -> int:
    """Run the command line. Returns the exit code."""
    options = _parser().parse_args(arguments)
    broker = FairRedisBroker(url=options.url, namespace=options.to_namespace, middleware=[])
    try:
        broker.actors.update(_actors(options.modules))
    except (ImportError, AttributeError, TypeError) as error:
        _say(f"Error: the modules cannot be loaded: {error}", to_errors=True)
        return DrainExit.USAGE
    drain = DramatiqDrain(broker, namespace=options.from_namespace)
    try:
        return _look(drain, options) if options.dry_run else _drain(drain, options)
    except BrokerError as error:
        _say(f"Error: {error}", to_errors=True)
        return DrainExit.AWAY
    finally:
        broker.close()
        broker.client.close()


def _actors(modules: Sequence[str]) -> "Mapping[str, Actor[..., Any]]":
    """What they declare, on the broker that the first one names or sets up. None of it is started."""
    if not modules:
        return {}
    first, _, path = modules[0].partition(":")
    module = importlib.import_module(first)
    for each in modules[1:]:
        importlib.import_module(each)
    named = reduce(getattr, path.split("."), module) if path else get_broker()
    if not isinstance(named, Broker):
        raise TypeError(f"{modules[0]} is no broker")
    return named.actors


def _look(drain: DramatiqDrain, options: argparse.Namespace) -> int:
    found = inspect_all(drain, options.queue)
    unread = {name: drain.undecodable(name) for name in found.left}
    if options.json:
        _say(json.dumps({"queues": found.as_json(), "undecodable": unread}))
        return DrainExit.EMPTY
    _show(found)
    for name, count in unread.items():
        if count:
            _say(
                f"{name}: {count} of the first messages cannot be decoded here, and would become dead letters. Is a "
                "module missing that sets the encoder?"
            )
    return DrainExit.EMPTY


def _drain(drain: DramatiqDrain, options: argparse.Namespace) -> int:
    progress = ProgressPrinter(lambda row: _say(row, to_errors=True))
    drained, over = Drained(), False
    # Left off at any point, each message is here or there.
    with suppress(KeyboardInterrupt):
        for drained in drain_all(
            drain, queues=options.queue, dead=options.dead, follow=options.follow, silent_s=options.silent_s
        ):
            progress(drained)
        over = drained.is_over(dead=options.dead)
    if options.json:
        _say(json.dumps({"queues": drained.as_json(), "over": over}))
    else:
        _show(drained)
        if not over:
            _say("Something is left there: run it again, or with --follow.")
    return DrainExit.EMPTY if over else DrainExit.LEFT


def _show(drained: Drained) -> None:
    for row in drained.lines() or ["Nothing is there."]:
        _say(row)


def _say(row: str, *, to_errors: bool = False) -> None:
    stream = sys.stderr if to_errors else sys.stdout
    stream.write(row + "\n")
    stream.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pressroom.broker drain-dramatiq",
        description="Take over the messages of Dramatiq's own Redis broker, on the same server, while its workers run.",
        epilog=(__doc__ or "").partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "modules",
        metavar="MODULE",
        nargs="*",
        help="declares actors, whose priorities hold; the first may name a broker: module:broker (default: all have "
        "priority 0)",
    )
    add("--url", required=True, metavar="URL", help="the server of both, like redis://localhost:6379/0")
    add(
        "--from-namespace",
        default="dramatiq",
        metavar="NAME",
        help="of Dramatiq's broker (default: dramatiq)",
    )
    add("--to-namespace", default="dramatiq", metavar="NAME", help="of this broker (default: dramatiq)")
    add(
        "--queue",
        action="append",
        default=[],
        metavar="QUEUE",
        help="only this one; may be repeated (default: all)",
    )
    add("--dead", action="store_true", help="dead letters too")
    add("--follow", action="store_true", help="go on until workers there hold nothing more")
    add(
        "--silent-s",
        type=float,
        metavar="S",
        help="also take what workers hold that have been silent for so long, and are dead; Dramatiq's own measure is "
        f"{SILENT_S} (default: never)",
    )
    add("--dry-run", action="store_true", help="only say what is there")
    add("--json", action="store_true", help="print JSON for scripts")
    return parser
