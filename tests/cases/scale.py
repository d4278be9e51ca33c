"""How much of the server's time and how many commands single scripts take, and whether that grows with what waits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import redis

from tests.cases.kit import in_short

#: What waits, in the small run and in the large one; no script may do more for the second.
SMALL, LARGE = 10_000, 100_000

#: "No growth", with room for a machine that does other things too: ten times as many may take a script so much longer,
#: and what is below the floor counts as nothing.
MOST_GROWTH, FLOOR_MS = 3.0, 30.0

#: No script does more commands than this, whatever waits.
MOST_COMMANDS = 1_000

#: Messages that one call sends.
_PORTION = 5_000

T = TypeVar("T")


@dataclass(frozen=True)
class Scripts(Generic[T]):
    """What the scripts took that ran during a call."""

    #: Milliseconds that the longest one held the server.
    longest_ms: float
    #: Commands that a script did, on average.
    commands: float
    #: How many scripts ran.
    calls: int
    #: What the call returned.
    result: T


@dataclass(frozen=True)
class Rate:
    """So many starts of an actor, for the broker to keep to."""

    actor: str
    interval_ms: float
    kind: str = "rate"
    tolerance_ms: float = 0.0


def scripts_of(client: "redis.Redis", call: Callable[[], T]) -> Scripts[T]:
    """What a call costs the server. Whatever else is sent meanwhile is counted, too.

    Parameters:
        client: of the server.
        call: what is done.
    """
    client.config_set("slowlog-log-slower-than", 500)
    client.config_set("slowlog-max-len", 10_000)
    client.slowlog_reset()
    client.config_resetstat()
    result = call()
    longest_us = max((each["duration"] for each in client.slowlog_get(10_000)), default=0)
    counted = client.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): each["calls"] for name, each in counted.items()}
    scripts = calls.get("evalsha", 0) + calls.get("eval", 0)
    own = sum(count for name, count in calls.items() if not name.startswith(_NOT_IN_SCRIPTS))
    return Scripts(longest_us / 1_000, own / max(1, scripts), scripts, result)


def said(name: str, taken: Scripts[object]) -> str:
    """One row."""
    return (
        f"  {name:34} longest script {taken.longest_ms:7.1f} ms, {taken.commands:9.1f} commands a script, "
        f"{taken.calls:5} scripts -> {in_short(taken.result)[:60]}"
    )


def grown(small: Mapping[str, Scripts[object]], large: Mapping[str, Scripts[object]]) -> list[str]:
    """What takes longer, or more commands, when more waits."""
    faults = []
    for name, after in large.items():
        before = small[name]
        if after.longest_ms > max(FLOOR_MS, MOST_GROWTH * before.longest_ms):
            faults.append(f"{name}: a script of {before.longest_ms:.0f} ms, then {after.longest_ms:.0f}")
        elif after.commands > MOST_COMMANDS:
            faults.append(f"{name}: {after.commands:.0f} commands a script")
    return faults


def portions(count: int) -> list[range]:
    """Numbers from 0, in portions to send at once."""
    return [range(first, min(count, first + _PORTION)) for first in range(0, count, _PORTION)]


#: What clients send by themselves, beside scripts.
_NOT_IN_SCRIPTS = (
    "evalsha",
    "eval",
    "script",
    "config",
    "slowlog",
    "commandlog",
    "info",
    "client",
    "blpop",
    "hello",
)
