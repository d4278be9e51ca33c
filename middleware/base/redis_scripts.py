"""Loads Lua scripts, one operation a file, and maps what goes wrong to the guards' own error."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import Any

import redis

from .errors import StoreUnavailable
from .redis_errors import leave_wrong_server

#: What a script begins with that a full server lets through, or refuses as a whole.
_LET_THROUGH, _REFUSED = "#!lua flags=allow-oom\n", "#!lua\n"
_REFUSED_WHEN_FULL = re.compile(r"^-- WHEN FULL: refused$", re.MULTILINE)
_KEYS_HEADER = re.compile(r"^-- KEYS: (.+)$", re.MULTILINE)


class Script:
    """A Lua script, called with exactly the keys its header declares.

    A script's file begins with comments: what it does, `-- KEYS: a b`, `-- DERIVED:` for keys made from those,
    `-- ARGV: c d` and `-- Returns:`.

    A server that is full lets it through, since jobs that wait for a guard's answer would never free its memory. One
    that writes what nobody waits for says `-- WHEN FULL: refused`.

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
        with answering(self._client, self._name):
            try:
                return self._script(keys=list(keys), args=list(args))
            except redis.ResponseError as error:
                if not leave_wrong_server(self._client, error):
                    raise
            return self._script(keys=list(keys), args=list(args))


@contextmanager
def answering(client: "redis.Redis", operation: str) -> Iterator[None]:
    """Raise the guards' own error for any of Redis's within a block; a connection to the wrong server is not kept.

    Parameters:
      client: Which is asked there.
      operation: What is asked of the server there, for the error's text.

    Raises:
      StoreUnavailable: The server does not answer, or refuses.

    Example:
      >>> with answering(client, "progress_read"):
      ...     client.hgetall(key)
    """
    try:
        yield
    except redis.RedisError as error:
        leave_wrong_server(client, error)
        raise StoreUnavailable(f"{operation}: {type(error).__name__}") from error


def text_of(answer: str | bytes) -> str:
    """Return an answer as text, whether the client decodes answers or not.

    Example:
      >>> text_of(b"granted"), text_of("granted")
      ('granted', 'granted')
    """
    return answer.decode() if isinstance(answer, bytes) else answer


@cache
def _source(room: str, name: str) -> tuple[str, int]:
    text = (resources.files(room) / f"{name}.lua").read_text()
    header = _KEYS_HEADER.search(text)
    if header is None:
        raise ValueError(f"{name}.lua does not declare its keys in a line '-- KEYS: ...'")
    permission = _REFUSED if _REFUSED_WHEN_FULL.search(text) else _LET_THROUGH
    return permission + text, len(header[1].split())
