"""Loads the Lua scripts, one operation a file, and maps what goes wrong to Dramatiq's errors.

Functions that several operations need stand in `lua/parts/` and are put before the operation's own text, in the
order of its header's `-- INCLUDE:` line.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import Any

import redis
from dramatiq.errors import ConnectionClosed

from .errors import BrokerScriptError

_INCLUDE = re.compile(r"^-- INCLUDE:(.*)$", re.MULTILINE)

#: What every script begins with.
_PROLOGUE = """local B = KEYS[1]
local time = redis.call('TIME')
local now = math.floor(time[1] * 1000 + time[2] / 1000)
"""

#: Strings, bytes and numbers, as redis-py takes them.
Argument = str | bytes | int | float


class Script:
    """One Lua script, called with the base key and its arguments.

    Parameters:
        name: The file in `lua/`, without its ending.

    Raises:
        ConnectionClosed: From calls: the server does not answer; what was asked may have been done or not.
        BrokerScriptError: From calls: the server refused it.

    Example:
        >>> Script("enqueue")(client, "dramatiq:{0}", [mid, 0, record])
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._source = source(name)
        self._sha = hashlib.sha1(self._source.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, client: "redis.Redis", base: str, arguments: Sequence[Argument]) -> Any:
        try:
            run: Callable[..., Any] = client.execute_command
            try:
                return run("EVALSHA", self._sha, 1, base, *arguments)
            except redis.exceptions.NoScriptError:
                return run("EVAL", self._source, 1, base, *arguments)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise away(error) from error
        except redis.RedisError as error:
            raise BrokerScriptError(f"the server refused {self.name}: {error}") from error  # type: ignore[no-untyped-call]


def away(error: Exception) -> ConnectionClosed:
    """Dramatiq's word for a server that does not answer."""
    return ConnectionClosed(error)  # type: ignore[no-untyped-call]


@cache
def source(name: str) -> str:
    """A script's whole text.

    Raises:
        ValueError: its header has no `-- INCLUDE:` line.
    """
    folder = resources.files(__package__) / "lua"
    operation = (folder / f"{name}.lua").read_text()
    header = _INCLUDE.search(operation)
    if header is None:
        raise ValueError(f"{name}.lua does not say what it includes in a line '-- INCLUDE: ...'")
    parts = [(folder / "parts" / f"{each}.lua").read_text() for each in header[1].split()]
    return "\n".join((_PROLOGUE, *parts, operation))
