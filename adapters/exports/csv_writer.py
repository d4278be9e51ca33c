"""CSV exports: one uniform table that every parser reads and no spreadsheet runs."""

import codecs
import csv
from collections.abc import Iterable, Iterator

from domain.export_csv_rule import neutralised
from domain.export_records import ContentPerformance, ContentRow, ExportHeader, KeywordPerformance, Setting
from domain.export_size import Sink

from .csv_columns import COLUMNS, TEXT_COLUMNS, Record, cells


class CsvWriter:
    """Writes RFC 4180 CSV in UTF-8.

    The first line names the columns, the same for every export. The first row, of section `export`, carries the
    version and the header; then a row a record, of section content, keyword, performance or setting. A text cell
    that a spreadsheet would take for a formula has one apostrophe more (`domain.export_csv_rule`). Memory holds
    one row.

    Parameters:
        sink: where the bytes go.
        byte_order_mark: whether the file begins with one, by which Excel knows UTF-8. Default False.

    Example:
        >>> writer = CsvWriter(file)
        >>> writer.begin(header)
        >>> writer.settings([Setting(name="language", value="el")])
        >>> writer.finish()
    """

    def __init__(self, sink: Sink, *, byte_order_mark: bool = False) -> None:
        self._sink = sink
        self._mark = codecs.BOM_UTF8 if byte_order_mark else b""
        self._rows = csv.writer(_Utf8(sink))

    def begin(self, header: ExportHeader) -> None:
        if self._mark:
            self._sink.write(self._mark)
        self._rows.writerow(COLUMNS)
        self._add([header])

    def content(self, rows: Iterator[ContentRow]) -> None:
        self._add(rows)

    def analytics(self, keywords: list[KeywordPerformance], content: list[ContentPerformance]) -> None:
        self._add(keywords)
        self._add(content)

    def settings(self, settings: list[Setting]) -> None:
        self._add(settings)

    def finish(self) -> None:
        """Nothing is pending: every row was written as it came."""

    def _add(self, records: Iterable[Record]) -> None:
        for record in records:
            filled = cells(record)
            self._rows.writerow(_cell(column, filled.get(column, "")) for column in COLUMNS)


class _Utf8:
    """What `csv.writer` writes text to."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, text: str, /) -> None:
        self._sink.write(text.encode("utf-8", "replace"))


def _cell(column: str, text: str) -> str:
    return neutralised(text) if column in TEXT_COLUMNS else text
