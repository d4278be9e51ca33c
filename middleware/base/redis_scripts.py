"""Loads Lua scripts, one operation a file, and maps what goes wrong to the guards' own error."""

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import redis

from .redis_errors import leave_wrong_server, unavailable

_KEYS_HEADER = re.compile(r"^-- KEYS: (.+)$", re.MULTILINE)


class Script:
    """A Lua script, called with exactly the keys its header declares.

    A script's file begins with comments: what it does, `-- KEYS: a b`, `-- DERIVED:` for keys made from those,
    `-- ARGV: c d` and `-- Returns:`.

    Parameters:
      client: A redis-py client.
      room: The package the script lies in, beside the store that calls it.
      name: The file there, without its ending.

    Raises:
      StoreUnavailable: From calls: the server does not answer, or refuses.

    Example:
      >>> claim = Script(client, __package__, "claim")
      >>> claim(keys=["idempotency:k"], args=["token", 1000])
    """

    def __init__(self, client: "redis.Redis", room: str, name: str) -> None:
        source, self._key_count = _source(room, name)
        self._name = f"{room.rpartition('.')[2]}/{name}"
        self._client = client
        self._script = client.register_script(source)

    def __call__(self, *, keys: Sequence[str], args: Sequence[str | int | float | bytes] = ()) -> Any:
        if len(keys) != self._key_count:
            raise ValueError(f"{self._name} takes {self._key_count} keys, not {len(keys)}")
        try:
            try:
                return self._script(keys=list(keys), args=list(args))
            except redis.ResponseError as error:
                if not leave_wrong_server(self._client, error):
                    raise
            return self._script(keys=list(keys), args=list(args))
        except redis.RedisError as error:
            raise unavailable(self._client, self._name, error) from error


@cache
def _source(room: str, name: str) -> tuple[str, int]:
    text = (resources.files(room) / f"{name}.lua").read_text()
    header = _KEYS_HEADER.search(text)
    if header is None:
        raise ValueError(f"{name}.lua does not declare its keys in a line '-- KEYS: ...'")
    return text, len(header[1].split())
