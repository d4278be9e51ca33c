"""Reading exports back: what is refused."""

import io
import json
from collections.abc import Callable

import pytest

from adapters.exports.reader import read_csv, read_json, read_markdown_header
from domain.domain_export import Format
from domain.errors import InvalidInput

from .samples import written


def _read_json(source: io.BytesIO) -> None:
    list(read_json(source).records)


def _read_csv(source: io.BytesIO) -> None:
    list(read_csv(source).records)


def _read_markdown(source: io.BytesIO) -> None:
    read_markdown_header(source)


Reading = Callable[[io.BytesIO], None]
READERS: list[tuple[Format, Reading]] = [
    ("json", _read_json),
    ("csv", _read_csv),
    ("markdown", _read_markdown),
]


@pytest.mark.parametrize(("kind", "read"), READERS)
@pytest.mark.parametrize("version", ["2", "0", "-1", "1.5", "99999999999999999999"])
def test_an_unknown_version_is_refused(kind: Format, read: Reading, version: str) -> None:
    """A reader that does not know what the data means says so, and what to read it with."""
    old, new = {
        "json": ('"export_version": 1', f'"export_version": {version}'),
        "csv": ("\r\nexport,1,", f"\r\nexport,{version},"),
        "markdown": ("export_version: 1", f"export_version: {version}"),
    }[kind]
    text = written(kind).read().decode()
    assert old in text
    with pytest.raises(InvalidInput, match="read it with the release that wrote it"):
        read(io.BytesIO(text.replace(old, new, 1).encode()))


@pytest.mark.parametrize(("kind", "read"), READERS)
@pytest.mark.parametrize(
    "content", [b"", b"hello", b"[]", b"{}", b"null", b"---\nx\n", b"\xff\xfe", b"a,b\n1,2\n"]
)
def test_other_files_are_refused(kind: Format, read: Reading, content: bytes) -> None:
    """A file that is no export is named as such, never read as an empty one."""
    with pytest.raises(InvalidInput):
        read(io.BytesIO(content))


@pytest.mark.parametrize(("kind", "read"), READERS[:2])
def test_a_cut_file_is_refused(kind: Format, read: Reading) -> None:
    """Half a file is an error, not a shorter export."""
    whole = written(kind).read()
    with pytest.raises(InvalidInput):
        read(io.BytesIO(whole[: len(whole) // 2]))


@pytest.mark.parametrize(
    "damage",
    [
        {"content": {}},
        {"content": [{"id": "not an id"}]},
        {"analytics": []},
        {"analytics": {"keywords": [{"keyword": "x"}]}},
        {"settings": []},
        {"exported_at": "yesterday"},
    ],
)
def test_damaged_json_is_refused(damage: dict[str, object]) -> None:
    """A record that is not what it should be is named, without a stack of parser errors."""
    document = json.load(written("json")) | damage
    with pytest.raises(InvalidInput):
        _read_json(io.BytesIO(json.dumps(document).encode()))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\r\nkeyword,", "\r\nrumour,"),
        (",12,340,", ",twelve,340,"),
        ("\r\nsetting,", "\r\nsetting,,"),
        (',language,"""el"""', ",language,el"),
    ],
)
def test_damaged_csv_is_refused(old: str, new: str) -> None:
    """An edited row is refused when it is reached; the rows before it can be read."""
    text = written("csv").read().decode()
    assert old in text
    records = read_csv(io.BytesIO(text.replace(old, new, 1).encode())).records
    next(records)
    with pytest.raises(InvalidInput):
        list(records)
