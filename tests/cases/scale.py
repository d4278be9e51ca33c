"""How much of the server's time and how many commands single scripts take, and whether that grows with what waits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

import redis

from tests.cases.kit import in_short

#: What waits, in the small run and in the large one; no script may do more for the second.
SMALL, LARGE = 10_000, 100_000

#: "No growth", with room for a machine that does other things too: ten times as many may take a script so much longer,
#: and what is below the floor counts as nothing.
MOST_GROWTH, FLOOR_MS = 3.0, 100.0

#: No script does more commands than this, or gets or gives more bytes, whatever waits; and a few for names and numbers.
MOST_COMMANDS = 1_000
MOST_BYTES = 4 * 1024 * 1024 + 64 * 1024

#: Messages that one call sends.
_BATCH = 5_000

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Scripts(Generic[T_co]):
    """What the scripts took that ran during a call."""

    #: Milliseconds that the longest one held the server.
    longest_ms: float
    #: Commands that a script did, on average.
    commands: float
    #: How many scripts ran.
    calls: int
    #: Bytes of the largest request or reply; 0 where none has a megabyte, or the server does not say.
    largest_bytes: int
    #: What the call returned.
    result: T_co


@dataclass(frozen=True)
class Rate:
    """So many starts of an actor, for the broker to keep to."""

    actor: str
    interval_ms: float
    kind: ClassVar[Literal["rate"]] = "rate"
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
    _large(client, "RESET")
    client.config_resetstat()
    result = call()
    longest_us = max((each["duration"] for each in client.slowlog_get(10_000)), default=0)
    counted = client.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): each["calls"] for name, each in counted.items()}
    scripts = calls.get("evalsha", 0) + calls.get("eval", 0)
    own = sum(count for name, count in calls.items() if not name.startswith(_NOT_IN_SCRIPTS))
    largest_bytes = max(_large(client, "GET", 128), default=0)
    return Scripts(longest_us / 1_000, own / max(1, scripts), scripts, largest_bytes, result)


def said(name: str, taken: Scripts[object]) -> str:
    """What was taken, in a row."""
    return (
        f"  {name:34} longest script {taken.longest_ms:7.1f} ms, {taken.commands:9.1f} commands a script, "
        f"{taken.calls:5} scripts, up to {taken.largest_bytes / 1024 / 1024:.1f} MiB -> {in_short(taken.result)[:50]}"
    )


def grown(small: Mapping[str, Scripts[object]], large: Mapping[str, Scripts[object]]) -> list[str]:
    """What takes longer, or more commands, when more waits."""
    faults = []
    for name, after in large.items():
        before = small[name]
        if after.longest_ms > max(FLOOR_MS, MOST_GROWTH * before.longest_ms):
            faults.append(f"{name}: a script of {before.longest_ms:.0f} ms, then {after.longest_ms:.0f}")
        faults += beyond(name, after)
    return faults


def beyond(name: str, taken: Scripts[object]) -> list[str]:
    """What a script may never do, however much waits."""
    faults = []
    if taken.commands > MOST_COMMANDS:
        faults.append(f"{name}: {taken.commands:.0f} commands a script")
    if taken.largest_bytes > MOST_BYTES:
        faults.append(f"{name}: {taken.largest_bytes / 1024 / 1024:.0f} MiB in one call")
    return faults


def batches(count: int) -> list[range]:
    """Numbers from 0, in batches to send at once."""
    return [range(first, min(count, first + _BATCH)) for first in range(0, count, _BATCH)]


def _large(client: "redis.Redis", *command: object) -> list[int]:
    found = []
    for kind in ("large-request", "large-reply"):
        try:
            answer = client.execute_command("COMMANDLOG", *command, kind)  # type: ignore[no-untyped-call]
        except redis.ResponseError:  # Redis keeps no such log
            return []
        found += [int(each[2]) for each in answer] if isinstance(answer, list) else []
    return found


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
