"""JSON exports: one document, a record a line, written as the records come."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from domain.export_records import (
    ContentPerformance,
    ContentRow,
    ExportHeader,
    KeywordPerformance,
    Setting,
    setting_pairs,
)
from domain.export_size import Sink

Record = ContentRow | KeywordPerformance | ContentPerformance


class JsonWriter:
    """Writes `{"export_version": 1, <header>, "content": [...], "analytics": {...}, "settings": {...}}`.

    A part the export leaves out has no key, so that "none" and "not asked for" differ. Times are ISO 8601 with
    their zone. Memory holds one row.

    Parameters:
        sink: where the bytes go, as UTF-8.

    Example:
        >>> writer = JsonWriter(file)
        >>> writer.begin(header)
        >>> writer.content(rows)
        >>> writer.finish()
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def begin(self, header: ExportHeader) -> None:
        fields = asdict(header)
        version = fields.pop("version")
        # The document stays open: what follows adds its own key, `finish` closes it.
        self._write(_json({"export_version": version, **fields})[:-1])

    def content(self, rows: Iterator[ContentRow]) -> None:
        self._write(',\n"content": ')
        self._array(rows)

    def analytics(self, keywords: list[KeywordPerformance], content: list[ContentPerformance]) -> None:
        self._write(',\n"analytics": {"keywords": ')
        self._array(keywords)
        self._write(', "content": ')
        self._array(content)
        self._write("}")

    def settings(self, settings: list[Setting]) -> None:
        self._write(f',\n"settings": {_json(setting_pairs(settings))}')

    def finish(self) -> None:
        self._write("}\n")

    def _array(self, records: Iterable[Record]) -> None:
        separator = "["
        for record in records:
            self._write(f"{separator}\n{_json(_finite(asdict(record)))}")
            separator = ","
        self._write("[]" if separator == "[" else "\n]")

    def _write(self, text: str) -> None:
        # A lone surrogate has no UTF-8; backslashreplace spells it as JSON's own escape.
        self._sink.write(text.encode("utf-8", "backslashreplace"))


def _json(value: object) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False)


def _finite(fields: dict[str, object]) -> dict[str, object]:
    # JSON has no word for what is no number; as text it is read back.
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in fields.items()
    }


def _plain(value: object) -> str:
    match value:
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
    raise TypeError(f"{type(value).__name__} has no place in an export")
