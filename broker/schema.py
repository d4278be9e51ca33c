"""The number of the key schema that a server carries: an older one is converted, a newer one refused.

The number stands in `B:schema` as `"<number> <release>"`, with the first release that knows it. Schema 1 is that of
release 0.1.0, which wrote no number. Who changes what stands in Redis raises `SCHEMA` and adds the conversion here.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

import redis

from .connection import ask
from .errors import BrokerScriptError, NewerSchema, UnsupportedServer
from .scripts import Script

#: The schema that this release reads and writes.
SCHEMA: Final = 2
#: The first release that knows it.
RELEASE: Final = "0.2.0"
#: Elements that one call of a conversion looks at.
BATCH_SIZE: Final = 500

#: By number, what makes of that schema the next one: scripts that convert one batch each. They take a cursor (empty at
#: the start) and a batch size, return the next cursor (empty at the end), and change nothing when they are run again.
CONVERSIONS: Final[Mapping[int, Sequence[Script]]] = {
    1: (Script("convert_lanes"), Script("count_bytes"), Script("convert_delayed")),
}

_BEGIN = Script("begin_schema")
_RAISE = Script("raise_schema")

logger = logging.getLogger(__name__)


class Schema:
    """Reads the number that a server carries, and brings it to this release's.

    Parameters:
        client: of the server.
        base: the shard's base key.

    Raises:
        ConnectionClosed: From calls: the server does not answer.
        NewerSchema: From calls: the server was converted by a newer release than this one can read.

    Example:
        >>> Schema(redis.Redis(), "dramatiq:{0}").convert()
    """

    def __init__(self, client: "redis.Redis", base: str) -> None:
        self._client = client
        self._base = base

    def check(self) -> int:
        """Read the number. Returns it: 1 where there is none."""
        return self._number() or 1

    def begin(self) -> None:
        """Check the number before a first message; a server on which nothing stands yet gets it now."""
        if self._number() is None:
            _BEGIN(self._client, self._base, [SCHEMA, RELEASE])

    def convert(self) -> None:
        """Convert what older releases left, batch by batch, while workers run; no effect where there is none.

        Several processes may do it at once, and one that is stopped half-way leaves it to the next.
        """
        for number in range(self.check(), SCHEMA):
            converted = sum(self._run(script) for script in CONVERSIONS[number])
            _RAISE(self._client, self._base, [number + 1, RELEASE])
            if converted:
                logger.info("Converted the keys in Redis from schema %d to %d.", number, number + 1)

    def _number(self) -> int | None:
        try:
            found: str | bytes | None = ask(self._client, "GET", f"{self._base}:schema")
        except UnsupportedServer:
            raise
        except (BrokerScriptError, UnicodeDecodeError):
            found = "?"  # no string, or no text to a client that decodes
        if found is None:
            return None
        text = found.decode("utf-8", "replace") if isinstance(found, bytes) else found
        number, _, release = text.partition(" ")
        if not number.isdecimal():
            raise NewerSchema(repr(text), "", SCHEMA)
        if int(number) > SCHEMA:
            raise NewerSchema(number, release, SCHEMA)
        return int(number)

    def _run(self, script: Script) -> int:
        """Call a conversion to its end. Returns how many calls it took beyond the first."""
        cursor, calls = b"", 0
        while cursor := script(self._client, self._base, [cursor, BATCH_SIZE]):
            calls += 1
            if calls % 1_000 == 0:
                logger.info("Converting the keys in Redis: %s, %d calls so far.", script.name, calls)
        return calls
