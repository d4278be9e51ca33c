"""What people store that no format has a place for: no file fails for it, and what can be read back is."""

import io
from typing import get_args

import pytest

from adapters.exports.csv_writer import CsvWriter
from adapters.exports.reader import read_csv, read_json
from domain.domain_export import Format
from domain.export_records import ContentRow, KeywordPerformance, Setting

from .samples import HEADER, row, written

FAR_TIMES = [
    "infinity",
    "-infinity",
    "0044-03-15 00:00:00+00 BC",
    "10000-01-01 00:00:00+00",
    "294276-12-31 23:59:59+00",
]
TEXTS = ["a\x00b", "half a pair \ud800", "\udfff\ud800", "\x00"]


def far(moment: str) -> ContentRow:
    """A row that was made and published at a time beyond the calendar."""
    return ContentRow(**{**vars(row(1, "x")), "created_at": moment, "published_at": moment})


@pytest.mark.parametrize("kind", get_args(Format))
def test_no_format_fails_for_a_text_or_a_time(kind: Format) -> None:
    """Not for NUL, half surrogate pairs, infinities, years before the first and after the last, and no numbers."""
    keywords = [
        KeywordPerformance(keyword=text, clicks=0, impressions=0, average_position=float("nan"))
        for text in TEXTS
    ]
    settings = [Setting(name=text, value={"a": text}) for text in TEXTS]
    rows = [row(number, text) for number, text in enumerate(TEXTS)]

    assert written(kind, [*rows, *map(far, FAR_TIMES)], keywords, settings=settings).read()


@pytest.mark.parametrize("moment", FAR_TIMES)
def test_times_beyond_the_calendar_are_read_back(moment: str) -> None:
    """In the words in which they were written."""
    (from_csv,) = read_csv(written("csv", [far(moment)], [], [], [])).records
    (from_json,) = read_json(written("json", [far(moment)], [], [], [])).records

    assert from_csv == from_json == far(moment)


def test_a_far_time_is_no_formula() -> None:
    """`-infinity` would be one."""
    assert b",'-infinity,'-infinity," in written("csv", [far("-infinity")], [], [], []).read()


def test_a_byte_order_mark_is_there_when_asked_for_and_is_no_part_of_the_data() -> None:
    """Excel reads UTF-8 by it; our reader passes over it."""
    sink = io.BytesIO()
    writer = CsvWriter(sink, byte_order_mark=True)
    writer.begin(HEADER)
    writer.content(iter([row(1, "ψωμί")]))
    writer.finish()

    assert sink.getvalue().startswith(b"\xef\xbb\xbfsection,")
    sink.seek(0)
    read = read_csv(sink)
    assert read.header == HEADER
    assert list(read.records) == [row(1, "ψωμί")]
