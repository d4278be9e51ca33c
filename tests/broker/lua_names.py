"""Names in a Lua file of the broker: those it defines, those that others may use, and those it uses."""

import re
from collections.abc import Collection
from typing import Final

#: What stands in every script: Lua's, the server's, and the loader's.
GLOBALS: Final = frozenset(
    re.findall(
        r"\w+",
        "ARGV B KEYS cjson error ipairs letter_ttl_ms math next now pairs pcall redis string table time tonumber "
        "tostring type unpack",
    )
)
_KEYWORDS: Final = frozenset(
    re.findall(
        r"\w+",
        "and break do else elseif end false for function if in local nil not or return then true while",
    )
)


def needed(text: str) -> list[str]:
    """The parts in a header."""
    [parts] = re.findall(r"^-- NEEDS:(.*)$", text, re.MULTILINE)
    return str(parts).split()


def defined(text: str) -> set[str]:
    """All that is local anywhere in it: functions, their parameters, variables."""
    code = _code(text)
    lists = re.findall(r"\blocal (?!function\b)([\w, ]+)", code)
    lists += re.findall(r"\blocal function (\w+)", code)
    lists += re.findall(r"\bfunction(?: \w+)?\(([^)]*)\)", code)
    lists += re.findall(r"\bfor ([\w, ]+?) (?:=|in) ", code)
    return {name for names in lists for name in re.findall(r"\w+", names)}


def exported(text: str) -> set[str]:
    """What stands at its left margin, for those that need it."""
    lists = re.findall(r"^local (?:function )?(?!function\b)([\w, ]+)", text, re.MULTILINE)
    return {name for names in lists for name in re.findall(r"\w+", names)}


def used(text: str) -> set[str]:
    """Names that it reads or calls and does not define; not fields of tables."""
    names = re.findall(r"(?<![\w.])[A-Za-z_]\w*\b(?!\s*=[^=])|(?<=\.\.)[A-Za-z_]\w*", _code(text))
    return set(names) - defined(text) - _KEYWORDS


def reached(text: str, parts: Collection[str]) -> set[str]:
    """Names that it uses, and those that the definitions of these use in turn."""
    known = definitions(parts)
    found: set[str] = set()
    left = used(text)
    while left:
        name = left.pop()
        found.add(name)
        left |= used(known.get(name, "")) - found
    return found


def definitions(parts: Collection[str]) -> dict[str, str]:
    """The text that defines each name of these parts."""
    return {
        name: definition
        for part in parts
        for definition in re.split(r"^(?=local )", part, flags=re.MULTILINE)[1:]
        for name in exported(definition)
    }


def keys_by_name(text: str) -> dict[str, str]:
    """Of `keys.lua`: the letters of each key, by the name that scripts have for it."""
    return dict(re.findall(r"^local (?:function )?(\w+).*?B \.\. ':(\w+)", text, re.MULTILINE))


def _code(text: str) -> str:
    """Without comments, its flags among them, and with nothing in its strings."""
    return re.sub(r"'[^'\n]*'", "''", re.sub(r"^#!.*|--.*", "", text, flags=re.MULTILINE))
