"""JSON exports, read by the standard library."""

import json

from hypothesis import given

from adapters.exports.reader import read_json
from domain.export_records import ContentRow, KeywordPerformance, Setting

from .samples import (
    HEADER,
    KEYWORDS,
    ODD_ROWS,
    PERFORMANCE,
    SETTINGS,
    content_rows,
    header_only,
    keyword_rows,
    row,
    setting_rows,
    written,
)
from .sinks import LargestPiece


def test_an_export_is_one_document() -> None:
    """Any JSON parser reads the file: version, header, content, analytics and settings."""
    document = json.load(written("json"))
    assert document["export_version"] == 1
    assert document["export_id"] == str(HEADER.export_id)
    assert document["domain_name"] == "bakery.example"
    assert document["exported_at"] == "2026-07-01T12:30:15.123456+00:00"
    assert [item["title"] for item in document["content"]] == [row.title for row in ODD_ROWS]
    assert [item["keyword"] for item in document["analytics"]["keywords"]] == ["=rye", "ψωμί"]
    assert document["analytics"]["content"][0]["views"] == 5
    assert document["settings"] == {setting.name: setting.value for setting in SETTINGS}


def test_scripts_are_written_as_themselves() -> None:
    """The file is UTF-8, not ASCII with escapes of three times the size."""
    assert "βδελυγμία".encode() in written("json").read()


def test_half_a_character_does_not_break_the_document() -> None:
    """A lone surrogate, which has no UTF-8, is written as JSON's own escape."""
    assert json.load(written("json", [row(1, "half \ud83d")]))["content"][0]["body"] == "half \ud83d"


def test_it_reads_back_equal() -> None:
    """The reader gives back every record, in order."""
    export = read_json(written("json"))
    assert export.header == HEADER
    assert list(export.records) == [*ODD_ROWS, *KEYWORDS, *PERFORMANCE, *SETTINGS]


@given(content_rows, keyword_rows, setting_rows)
def test_any_export_reads_back_equal(
    rows: list[ContentRow], keywords: list[KeywordPerformance], settings: list[Setting]
) -> None:
    """Whatever is exported is read back, empty parts included."""
    export = read_json(written("json", rows, keywords, [], settings))
    assert list(export.records) == [*rows, *keywords, *settings]


def test_a_part_left_out_has_no_key() -> None:
    """An export without content says so by having no `content`, and still reads back."""
    document = json.loads(header_only("json"))
    assert set(document) == {"export_version", "export_id", "domain_id", "domain_name", "exported_at"}


def test_it_is_written_row_by_row() -> None:
    """However many rows, no piece that is written is larger than one of them."""
    assert LargestPiece.of_rows("json", rows=50, body_bytes=10_000) < 2 * 10_000
