"""The scripts keep the rules they have to: one operation a file, declared keys, none that looks through all keys."""

import re
from pathlib import Path

import pytest

from broker import keys, scripts

FOLDER = Path(scripts.__file__).parent / "lua"
OPERATIONS = sorted(path for path in FOLDER.glob("*.lua") if "-- INCLUDE:" in path.read_text())
ALL = sorted(FOLDER.rglob("*.lua"))
SHOWN = [f"{path.parent.name}/{path.name}" for path in ALL]


@pytest.mark.parametrize("path", ALL, ids=SHOWN)
def test_no_script_looks_through_all_keys(path: Path) -> None:
    """`KEYS` and `SCAN` stop a shared server for as long as they take."""
    called = re.findall(r"redis\.p?call\(\s*['\"](\w+)['\"]", path.read_text())

    assert not {name.upper() for name in called} & {
        "KEYS",
        "SCAN",
        "HSCAN",
        "SSCAN",
        "ZSCAN",
        "FLUSHDB",
        "RANDOMKEY",
    }


@pytest.mark.parametrize("path", OPERATIONS, ids=[path.name for path in OPERATIONS])
def test_every_operation_says_what_it_touches(path: Path) -> None:
    """In its header: what it does, its keys, those derived from them, arguments and answer."""
    lines = path.read_text().splitlines()
    header = [row for row in lines if row.startswith("-- ")][:12]
    fields = [row.removeprefix("-- ").partition(":")[0] for row in header]

    assert not fields[0].isupper()
    for field in ("KEYS", "DERIVED", "ARGV", "Returns", "INCLUDE"):
        assert field in fields, field
    assert "-- KEYS: base" in header


@pytest.mark.parametrize("path", OPERATIONS, ids=[path.name for path in OPERATIONS])
def test_every_derived_key_is_declared_and_in_the_schema(path: Path) -> None:
    """Of an operation with all that it includes; a cluster's proxy and a reader rely on the list."""
    header = re.findall(r"base:(\w+)", path.read_text())
    used = set(re.findall(r"B \.\. ':(\w+)", scripts.source(path.stem)))
    drawn = set(re.findall(r"B:(\w+)", keys.__doc__ or ""))

    assert used <= drawn
    assert set(re.findall(r"B \.\. ':(\w+)", path.read_text())) <= set(header)
    if "finish" in path.stem or path.stem in ("enqueue", "fetch"):
        assert used - {"seq"} <= set(header) | _unused_parts(path)


def test_an_operation_without_its_header_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When it is loaded, not when it is first called in production."""
    (tmp_path / "lua").mkdir()
    (tmp_path / "lua" / "odd.lua").write_text("return 1")
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)

    with pytest.raises(ValueError, match=r"odd\.lua does not say what it includes"):
        scripts.source("odd")


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


def _unused_parts(path: Path) -> set[str]:
    """Keys of included functions that the operation does not call."""
    return {"a", "ak", "bk", "d", "qx"} if path.stem == "enqueue" else set()
