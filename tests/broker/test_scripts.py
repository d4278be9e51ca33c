"""The scripts keep the rules they have to: one operation a file, declared keys, none that looks through all keys."""

import re
from collections import Counter
from pathlib import Path

import pytest

from broker import keys, schema, scripts
from tests.broker import lua_names

FOLDER = Path(scripts.__file__).parent / "lua"
OPERATIONS = sorted(path for path in FOLDER.glob("*.lua") if "-- NEEDS:" in path.read_text())
PARTS = {path.stem: path.read_text() for path in sorted((FOLDER / "parts").glob("*.lua"))}

ALL = sorted(FOLDER.rglob("*.lua"))
SHOWN = [f"{path.parent.name}/{path.name}" for path in ALL]
#: Sent as it is, by a process that knows no parts.
WITHOUT_PARTS = "beat.lua"
#: What a full server refuses, as a whole.
BRINGING_IN = {"enqueue", "drain_dramatiq", "drain_dramatiq_dead_letters"}
#: What goes through all messages, some at a time.
CONVERTING = {script.name for scripts_of in schema.CONVERSIONS.values() for script in scripts_of}
READING = {
    *(
        "EXISTS",
        "GET",
        "HEXISTS",
        "HGET",
        "HGETALL",
        "HKEYS",
        "HLEN",
        "HMGET",
        "HRANDFIELD",
        "LINDEX",
        "LLEN",
        "LPOS",
        "LRANGE",
    ),
    *("SISMEMBER", "SMEMBERS", "TIME", "ZCARD", "ZRANGE", "ZRANGEBYSCORE", "ZRANK", "ZSCORE"),
}
KEYS = lua_names.keys_by_name(PARTS["keys"])


@pytest.mark.parametrize("path", ALL, ids=SHOWN)
def test_no_script_looks_through_all_keys(path: Path) -> None:
    """`KEYS` and `SCAN` stop a shared server for as long as they take; a conversion goes through one key in batches."""
    called = re.findall(r"redis\.p?call\(\s*['\"](\w+)['\"]", path.read_text())

    assert not {name.upper() for name in called} & {
        "KEYS",
        "SCAN",
        "HSCAN",
        "SSCAN",
        "ZSCAN",
        "FLUSHDB",
        "RANDOMKEY",
    } - ({"HSCAN"} if path.stem in CONVERTING else set())


@pytest.mark.parametrize("path", OPERATIONS, ids=[path.name for path in OPERATIONS])
def test_every_operation_says_what_it_touches(path: Path) -> None:
    """In its header: what it does, its keys, those derived from them, arguments and answer."""
    lines = path.read_text().splitlines()
    header = [row for row in lines if row.startswith("-- ")][:16]
    fields = [row.removeprefix("-- ").partition(":")[0] for row in header]

    assert not fields[0].isupper()
    for field in ("KEYS", "DERIVED", "ARGV", "Returns", "NEEDS"):
        assert field in fields, field
    assert "-- KEYS: base" in header


@pytest.mark.parametrize("path", OPERATIONS, ids=[path.name for path in OPERATIONS])
def test_a_full_server_lets_through_what_brings_nothing_in(path: Path) -> None:
    """All that ends, frees, hands back or holds back; what reads alone needs no permission, and asks for none."""
    flags = {True: "#!lua\n", False: "#!lua flags=allow-oom\n"}[path.stem in BRINGING_IN]
    reads_only = "Reads only." in path.read_text()

    assert scripts.source(path.stem).startswith("local" if reads_only else flags)


@pytest.mark.parametrize("path", OPERATIONS, ids=[path.name for path in OPERATIONS])
def test_what_says_that_it_reads_writes_nothing(path: Path) -> None:
    """By its own commands and those of all that it calls; one that the server sees as writing is refused when full."""
    text, known = path.read_text(), lua_names.definitions(PARTS.values())
    code = [text, *(known.get(name, "") for name in lua_names.reached(text, PARTS.values()))]
    called = {command for each in code for command in re.findall(r"redis\.call\('(\w+)'", each)}

    assert called <= READING or "Reads only." not in text


@pytest.mark.parametrize("path", OPERATIONS, ids=[path.name for path in OPERATIONS])
def test_every_derived_key_is_declared_and_in_the_schema(path: Path) -> None:
    """Those it touches, by all that it calls, and no other; a cluster's proxy and a reader rely on the list."""
    text = path.read_text()
    touched = {KEYS[name] for name in KEYS.keys() & lua_names.reached(text, PARTS.values())}

    assert set(re.findall(r"base:(\w+)", text)) == touched


def test_every_key_of_the_schema_is_named_once() -> None:
    """By its letters, which a running fleet shares, and drawn with its type and meaning in `broker/keys.py`."""
    named = Counter(re.findall(r"B \.\. ':(\w+)", PARTS["keys"]))

    assert set(named.values()) == {1}
    assert set(named) == set(re.findall(r"B:(\w+)", keys.__doc__ or ""))
    assert named.keys() == set(KEYS.values())


@pytest.mark.parametrize("path", ALL, ids=SHOWN)
def test_keys_are_spelt_in_one_place(path: Path) -> None:
    """`parts/keys.lua` alone knows the base, and how names are put behind it."""
    if path.name not in ("keys.lua", WITHOUT_PARTS):
        assert not {"B", "KEYS"} & lua_names.used(path.read_text())


@pytest.mark.parametrize("path", ALL, ids=SHOWN)
def test_a_file_needs_the_parts_whose_names_it_uses(path: Path) -> None:
    """Each of them and no other; and it uses no name that is defined nowhere, which only a call would find."""
    text = path.read_text()
    own = path.stem if "-- KEYS:" not in text else None
    others = {name: lua_names.exported(part) for name, part in PARTS.items() if name != own}
    used = lua_names.used(text)

    assert used <= lua_names.GLOBALS.union(*others.values())
    if path.name != WITHOUT_PARTS:
        assert Counter(lua_names.needed(text)) == Counter(name for name in others if others[name] & used)


def test_no_two_parts_define_one_name() -> None:
    """Else the one that comes later would be another's, by the order in which parts happen to stand."""
    names = Counter(name for part in PARTS.values() for name in lua_names.exported(part))

    assert [name for name, times in names.items() if times > 1] == []


def test_a_script_holds_each_part_once_and_after_what_it_needs(tmp_path: Path) -> None:
    """Whoever names it, and in which order."""
    script = assembled(
        tmp_path,
        "-- NEEDS: right left\nreturn left, right\n",
        low="-- NEEDS:\nlocal function low()\nend\n",
        left="-- NEEDS: low\nlocal left = low\n",
        right="-- NEEDS: left low\nlocal right = low\n",
    )

    assert re.findall(r"function low|left =|right =|return", script) == [
        "function low",
        "left =",
        "right =",
        "return",
    ]


def test_what_one_row_defines_is_written_out(tmp_path: Path) -> None:
    """The server makes each function of a script anew at each call: keys and constants cost none."""
    script = assembled(
        tmp_path,
        "-- NEEDS: low\n-- ALL of one(org, name)\nlocal a, b = split(all.org)\n"
        "local two = 2 * sum(a, b)\nreturn redis.call('GET', one(a, ''), ALL, 'ALL', DAY_MS, table.one(a, b))\n",
        low="-- NEEDS:\n"
        "local DAY_MS = 24 * 60 -- so long\n"
        "local ALL = B .. ':all' -- set\n"
        "local function one(org, name) return B .. ':org:' .. org .. name end -- string\n"
        "local function sum(a, b) return tonumber(a) + tonumber(b) end\n"
        "local function split(text) return string.match(text, '^(org)(.)$') end\n",
    )

    assert script.splitlines()[-3:] == [
        "local a, b = string.match(all.org, '^(org)(.)$')",
        "local two = 2 * (tonumber(a) + tonumber(b))",
        "return redis.call('GET', (B .. ':org:' .. a .. ''), (B .. ':all'), 'ALL', (24 * 60), table.one(a, b))",
    ]


@pytest.mark.parametrize(
    ("operation", "parts", "reason"),
    [
        ("return 1", {}, r"odd\.lua does not say what it needs"),
        ("-- NEEDS: low", {"low": "local low = 1"}, r"parts/low\.lua does not say what it needs"),
        ("-- NEEDS: high", {}, r"there is no parts/high\.lua: odd\.lua > parts/high\.lua"),
        (
            "-- NEEDS: low",
            {"low": "-- NEEDS: high"},
            r"there is no .*: odd.lua > parts/low.lua > parts/high.lua",
        ),
        (
            "-- NEEDS: low",
            {"low": "-- NEEDS: high", "high": "-- NEEDS: low"},
            r"need each other: odd.lua > parts/low.lua > parts/high.lua > parts/low.lua",
        ),
        (
            "-- NEEDS: low\nreturn one(two(3))",
            {"low": "-- NEEDS:\nlocal function one(name) return B .. name end"},
            r"odd\.lua: .* names and fields alone: one",
        ),
    ],
)
def test_a_script_that_cannot_be_put_together_is_refused(
    tmp_path: Path, operation: str, parts: dict[str, str], reason: str
) -> None:
    """When it is loaded, not when it is first called in production; and it says where."""
    with pytest.raises(ValueError, match=reason):
        assembled(tmp_path, operation, **parts)


def test_parts_of_keys_stay_apart() -> None:
    """No two texts give the same part, and none holds what separates parts."""
    texts = ["a", "a:b", "a%3Ab", "a\nb", "a|b", "%", "", "ü"]
    parts = [keys.part(text) for text in texts]

    assert len(set(parts)) == len(texts)
    assert not [part for part in parts if set(part) & set(":\n|")]


def test_a_record_is_read_as_it_was_written() -> None:
    """Whatever bytes the message is."""
    body = b'{"a": "\n\n"}'
    record = keys.record_of("q", "org:1", keys.lane_of("act", -3), "u1", body)

    assert keys.split_record(record) == ("q", "org%3A1", "act:-3", body)


def assembled(folder: Path, operation: str, **parts: str) -> str:
    """A script of an operation `odd` and these parts."""
    (folder / "parts").mkdir()
    (folder / "odd.lua").write_text(operation)
    for name, text in parts.items():
        (folder / "parts" / f"{name}.lua").write_text(text)
    return scripts.assemble("odd", lambda file: (folder / file).read_text())
