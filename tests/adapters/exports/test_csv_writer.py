"""CSV exports, read by the standard library."""

import csv
import io

from hypothesis import given

from adapters.exports.csv_columns import COLUMNS, TEXT_COLUMNS
from adapters.exports.reader import read_csv
from domain.export_csv_rule import FORMULA_STARTS
from domain.export_records import ContentRow, KeywordPerformance, Setting

from .samples import (
    HEADER,
    KEYWORDS,
    ODD_ROWS,
    ODD_TEXTS,
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


def test_an_export_is_one_uniform_table() -> None:
    """Any CSV parser reads the file, and every line has the same columns."""
    lines = list(csv.reader(io.StringIO(written("csv").read().decode(), newline="")))
    assert lines[0] == list(COLUMNS)
    assert lines[0][0] == "section"
    assert {len(row) for row in lines} == {len(COLUMNS)}
    sections = [row[0] for row in lines[1:]]
    assert sections == [
        "export",
        *["content"] * len(ODD_ROWS),
        "keyword",
        "keyword",
        "performance",
        *["setting"] * 3,
    ]


def test_lines_end_as_the_standard_says() -> None:
    """RFC 4180: lines end in CR LF, and there is no byte order mark."""
    text = header_only("csv")
    assert text.startswith(b"section,")
    assert text.count(b"\r\n") == text.count(b"\n") == 2


def test_no_text_cell_starts_a_formula() -> None:
    """Opened in a spreadsheet, no text of a tenant's is run."""
    table = csv.DictReader(io.StringIO(written("csv").read().decode(), newline=""))
    texts = [row[column] for row in table for column in TEXT_COLUMNS]
    assert "'=cmd|'/C calc'!A08" in texts
    assert not [text for text in texts if text.startswith(tuple(FORMULA_STARTS))]


def test_ten_thousand_rows_read_back_equal() -> None:
    """10,000 rows in every script, with quotes, line breaks and formulas, are read back as they were."""
    rows = [row(number, ODD_TEXTS[number % len(ODD_TEXTS)]) for number in range(10_000)]
    export = read_csv(written("csv", rows))
    assert export.header == HEADER
    assert list(export.records) == [*rows, *KEYWORDS, *PERFORMANCE, *SETTINGS]


@given(content_rows, keyword_rows, setting_rows)
def test_any_export_reads_back_equal(
    rows: list[ContentRow], keywords: list[KeywordPerformance], settings: list[Setting]
) -> None:
    """Whatever is exported is read back."""
    export = read_csv(written("csv", rows, keywords, [], settings))
    assert list(export.records) == [*rows, *keywords, *settings]


def test_a_body_larger_than_the_parsers_own_bound_reads_back() -> None:
    """Bodies of more than 131,072 characters are no problem for the reader."""
    rows = [row(1, "ψ" * 200_000)]
    assert next(read_csv(written("csv", rows)).records) == rows[0]


def test_it_is_written_row_by_row() -> None:
    """However many rows, no piece that is written is larger than one of them."""
    assert LargestPiece.of_rows("csv", rows=50, body_bytes=10_000) < 2 * 10_000
