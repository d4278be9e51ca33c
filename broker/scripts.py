"""Loads the Lua scripts, one operation a file, and calls them.

Functions that several operations need stand in `lua/parts/`. An operation, and a part, names in its line `-- NEEDS:`
the parts whose names it uses itself; a script is all that its operation needs, each part once and after what it needs.

The server makes all functions of a script anew at each call, which costs as much as a command or two. So what parts
define on one line, as keys and constants are, is written out where it is used.

A server that is full (`maxmemory`, `noeviction`) refuses what writes. Most scripts free more than they take, and have
to run then: they are let through. An operation that brings messages in says `-- WHEN FULL: refused`; one that says
`Reads only.` needs nothing.

Every script stands in a frame: what it has written is taken back when it fails half-way (`parts/transaction.lua`). If
that was because of something in Redis that no encoder of ours wrote, this becomes a dead letter (`parts/foreign.lua`)
and the script begins anew.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import Any

import redis

from .connection import check_mode, fault_of

_NEEDS = re.compile(r"^-- NEEDS:(.*)$", re.MULTILINE)
_REFUSED_WHEN_FULL = re.compile(r"^-- WHEN FULL: refused$", re.MULTILINE)
_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)
#: What one line defines.
_FUNCTION = re.compile(
    r"^local function (?P<name>\w+)\((?P<parameters>[\w, ]+)\) return (?P<value>.+?) end(?: --.*)?$",
    re.MULTILINE,
)
_CONSTANT = re.compile(r"^local (?P<name>[A-Z_]+) = (?P<value>.+?)(?: --.*)?$", re.MULTILINE)
_NAME = re.compile(r"'[^'\n]*'|(?<![\w.])[A-Za-z_]\w*")  # or a string, which is none
_SIMPLE_CALL = re.compile(r"(?<![\w.])([a-z]\w*)\(([^()]*)\)")
_STRING_OR_ARGUMENTS = re.compile(r"'[^'\n]*'|\([^()']*\)")

#: What a script begins with that a full server lets through, or refuses as a whole.
_LET_THROUGH, _REFUSED = "#!lua flags=allow-oom\n", "#!lua\n"
#: What every script begins with, or has behind that.
_PROLOGUE = """local B = KEYS[1]
local time = redis.call('TIME')
local now = math.floor(time[1] * 1000 + time[2] / 1000)
"""

#: What stands around all that a script does.
_FRAME_PARTS = ("keys", "transaction", "foreign")
_BEGIN = "local function body()\n"
_END = """end
local failure
for _ = 1, 10 do
  local ended, reply = pcall(body)
  if ended then
    return reply
  end
  take_back()
  failure = tostring(reply)
  -- What the whole server refuses is nobody's fault.
  if string.match(failure, '^[-]?(%u+) ') and not string.match(failure, '^[-]?ERR ')
    and not string.match(failure, '^[-]?WRONGTYPE ') then
    break
  end
  if not remove_foreign() then
    break
  end
  restart()
end
return redis.error_reply(string.match(failure, '^%u+ ') and failure or 'ERR ' .. failure)
"""
#: Which of its arguments says how long dead letters are kept, by script.
_TTL_ARGUMENTS = {"fetch": 3, "finish": 3, "drain_dramatiq": 4, "drain_dramatiq_dead_letters": 4}

#: Strings, bytes and numbers, as redis-py takes them.
Argument = str | bytes | int | float


class Script:
    """A Lua script, called with the base key and its arguments.

    Parameters:
        name: The file in `lua/`, without its ending.

    Raises:
        ConnectionClosed: From calls: the server does not answer, and what was asked may have been done or not; or it
            says that it is not the one to ask, as a replica does.
        UnsupportedServer: From calls: it is in cluster mode, or its user may not do that.
        BrokerScriptError: From calls: the server refused it; as `ServerFull` when it has no memory left for it.

    Example:
        >>> Script("release")(client, "dramatiq:{0}", ["flag:x", 100])
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._source = source(name)
        self._sha = hashlib.sha1(self._source.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, client: "redis.Redis", base: str, arguments: Sequence[Argument]) -> Any:
        try:
            check_mode(client)
            run: Callable[..., Any] = client.execute_command
            try:
                return run("EVALSHA", self._sha, 1, base, *arguments)
            except redis.exceptions.NoScriptError:
                return run("EVAL", self._source, 1, base, *arguments)
        except redis.RedisError as error:
            raise fault_of(client, self.name, error) from error


@cache
def source(name: str) -> str:
    """A script's whole text.

    Raises:
        ValueError: as `assemble`.
    """
    folder = resources.files(__package__) / "lua"
    return framed(name, lambda file: folder.joinpath(file).read_text())


def framed(name: str, read: Callable[[str], str]) -> str:
    """Put an operation and its parts into the frame.

    Parameters:
        name: of the operation.
        read: as for `assemble`.

    Raises:
        ValueError: as `assemble`.
    """
    parts = [read(f"parts/{part}.lua") for part in _FRAME_PARTS]
    defining = tuple(_COMMENT.sub("", part) for part in parts)
    frame = [
        _written_out(f"parts/{part}.lua", text, defining)
        for part, text in zip(_FRAME_PARTS, defining, strict=True)
    ]
    argument = _TTL_ARGUMENTS.get(name)
    ttl = f"tonumber(ARGV[{argument}])" if argument else "FOREIGN_TTL_MS"
    ttl = _written_out("", f"local letter_ttl_ms = {ttl}\n", defining)
    permission, _, body = assemble(name, read).partition(_PROLOGUE)
    body = body.replace("redis.call(", "call(")
    return permission + "\n".join((_PROLOGUE, ttl, *frame, _BEGIN + body, _END))


def assemble(name: str, read: Callable[[str], str]) -> str:
    """Put an operation behind all parts that it needs, directly or through others.

    Parameters:
        name: of the operation.
        read: gives the text of a file in `lua/`, or raises FileNotFoundError.

    Raises:
        ValueError: a file has no `-- NEEDS:` line; it needs a part that is not there or, through others, itself; or it
            calls what one line defines with anything but names and fields.
    """
    texts: dict[str, str] = {}
    needs: dict[str, list[str]] = {}

    def add(file: str, path: tuple[str, ...]) -> list[str]:
        """Read a file and what it needs. Returns it behind all of that, each file behind what it needs itself."""
        if file in path:
            raise ValueError(f"parts need each other: {' > '.join((*path, file))}")
        if file not in needs:
            path = (*path, file)
            try:
                text = read(file)
            except FileNotFoundError as error:
                raise ValueError(f"there is no {file}: {' > '.join(path)}") from error
            header = _NEEDS.search(text)
            if header is None:
                raise ValueError(f"{file} does not say what it needs in a line '-- NEEDS: ...'")
            needed = [each for part in header[1].split() for each in add(f"parts/{part}.lua", path)]
            texts[file] = _COMMENT.sub("", text)
            needs[file] = list(dict.fromkeys((*needed, file)))
        return needs[file]

    files = add(f"{name}.lua", ())
    written = [_written_out(file, texts[file], tuple(texts[each] for each in needs[file])) for file in files]
    return _permission(read(f"{name}.lua")) + "\n".join((_PROLOGUE, *written))


def _permission(text: str) -> str:
    if "Reads only." in "".join(_COMMENT.findall(text)):
        return ""  # any first line would make it a script that writes: a replica or a server without disk refuses those
    return _REFUSED if _REFUSED_WHEN_FULL.search(text) else _LET_THROUGH


@cache
def _written_out(file: str, text: str, defining: tuple[str, ...]) -> str:
    """Put what one line of these texts defines in the places of its name, and leave out its own such lines."""
    functions = {each["name"]: each for other in defining for each in _FUNCTION.finditer(other)}
    constants = {each["name"]: each["value"] for other in defining for each in _CONSTANT.finditer(other)}
    text = _CONSTANT.sub("", _FUNCTION.sub("", text))

    def constant(match: re.Match[str]) -> str:
        return f"({constants[match[0]]})" if match[0] in constants else match[0]

    def call(match: re.Match[str]) -> str:
        function = functions.get(match[1])
        if function is None:
            return match[0]
        arguments = dict(zip(function["parameters"].split(", "), match[2].split(", "), strict=True))
        value = _NAME.sub(lambda name: arguments.get(name[0], name[0]), function["value"])
        # In brackets, a call answers one value only.
        return value if _is_call(value) else f"({value})"

    for form, replacement in ((_SIMPLE_CALL, call), (_NAME, constant)):
        while (written := form.sub(replacement, text)) != text:
            text = written
    left = functions.keys() & set(_NAME.findall(text))
    if left:
        raise ValueError(f"{file}: call with names and fields alone: {', '.join(sorted(left))}")
    return text


def _is_call(value: str) -> bool:
    while (rest := _STRING_OR_ARGUMENTS.sub("", value)) != value:
        value = rest
    return re.fullmatch(r"[\w.]+", value) is not None
