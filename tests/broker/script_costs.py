"""What single calls of scripts cost, counted inside them: commands, elements and bytes."""

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import redis

from broker.scripts import Script

#: No call of a script does more, whatever waits.
MAX_COMMANDS: Final = 1_000
MAX_ELEMENTS: Final = 1_000
MAX_BYTES: Final = 4 * 1024 * 1024
#: Ids, names and numbers that go with so many bytes of messages.
NAMES_BYTES: Final = 64 * 1024

#: Where the calls write down what they cost; it is no key of a broker.
_LOG: Final = "script-costs"
#: Commands that say in a number how many elements they went through.
_COUNTING: Final = (
    "ZREMRANGEBYSCORE ZREMRANGEBYRANK ZREMRANGEBYLEX ZUNIONSTORE ZRANGESTORE ZDIFFSTORE SUNIONSTORE"
)
#: A command that names so many things or fewer names them one by one.
_FEW: Final = 4

#: Stands before a script. Of a command that is given or gives many elements, the larger number counts.
_COUNTED: Final = """
local server, commands, elements, bytes = redis, 0, 0, 0
local counting = {}
for name in string.gmatch('%(counting)s', '%%u+') do
  counting[name] = true
end
local function bytes_of(value)
  local sum = type(value) == 'string' and #value or 0
  for _, each in ipairs(type(value) == 'table' and value or {}) do
    sum = sum + bytes_of(each)
  end
  return sum
end
local redis = {error_reply = server.error_reply, status_reply = server.status_reply}
local function counted(run, ...)
  local given = {...}
  local reply = run(...)
  local number = #given - 2
  if given[1] == 'HSET' or given[1] == 'ZADD' then
    number = number / 2
  end
  number = number > %(few)d and number or 0
  if counting[given[1]] then
    number = reply
  elseif type(reply) == 'table' then
    local pairs_of = given[#given] == 'WITHSCORES' or given[1] == 'HGETALL' or given[1] == 'ZPOPMIN'
    number = math.max(number, pairs_of and #reply / 2 or #reply)
  end
  commands, elements, bytes = commands + 1, elements + number, bytes + bytes_of(given) + bytes_of(reply)
  return reply
end
function redis.call(...)
  return counted(server.call, ...)
end
function redis.pcall(...)
  return counted(server.pcall, ...)
end
local function script()
%(script)s
end
local result = script()
server.call('RPUSH', '%(log)s', cjson.encode({'%(name)s', commands, elements,
  math.max(bytes, bytes_of(ARGV), bytes_of(result))}))
return result
"""


@dataclass(frozen=True)
class Cost:
    """The most that a call of a script has cost, in each of the three."""

    script: str
    commands: int
    elements: int
    bytes: int

    def beyond(self) -> str:
        """What of it is too much, in words; empty when nothing is."""
        bounds = {"commands": MAX_COMMANDS, "elements": MAX_ELEMENTS, "bytes": MAX_BYTES + NAMES_BYTES}
        return ", ".join(
            f"{getattr(self, each)} {each}" for each, most in bounds.items() if getattr(self, each) > most
        )


@contextmanager
def counted() -> Iterator[None]:
    """Have every script of the broker count, until the end of the block."""
    kept: list[tuple[Script, str, str]] = []
    try:
        for module in [each for name, each in sys.modules.items() if name.startswith("broker.")]:
            for value in vars(module).values():
                for script in value if isinstance(value, tuple | list) else [value]:
                    if isinstance(script, Script) and "server.call('RPUSH'" not in script._source:
                        kept.append((script, script._source, script._sha))
                        _count(script)
        yield
    finally:
        for script, source, sha in kept:
            script._source, script._sha = source, sha


def costs(client: "redis.Redis") -> dict[str, Cost]:
    """What the calls since the last look cost at most, by script."""
    with client.pipeline() as both:
        both.lrange(_LOG, 0, -1)
        both.delete(_LOG)
        rows: list[bytes] = both.execute()[0]
    found: dict[str, Cost] = {}
    for name, commands, elements, size in map(_read, rows):
        known = found.get(name, Cost(name, 0, 0, 0))
        found[name] = Cost(
            name, max(known.commands, commands), max(known.elements, elements), max(known.bytes, size)
        )
    return found


def _count(script: Script) -> None:
    first, _, rest = script._source.partition("\n")
    flags, text = (f"{first}\n", rest) if first.startswith("#!") else ("", script._source)
    script._source = flags + _COUNTED % {
        "counting": _COUNTING,
        "few": _FEW,
        "script": text,
        "log": _LOG,
        "name": script.name,
    }
    script._sha = hashlib.sha1(script._source.encode(), usedforsecurity=False).hexdigest()


def _read(row: bytes) -> tuple[str, int, int, int]:
    name, *numbers = json.loads(row)
    commands, elements, size = (int(each) for each in numbers)
    return str(name), commands, elements, size
