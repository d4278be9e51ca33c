"""Reading exports back: JSON and CSV in full, Markdown's header."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from pydantic import TypeAdapter, ValidationError

from domain.errors import InvalidInput
from domain.export_csv_rule import restored
from domain.export_records import (
    ContentPerformance,
    ContentRow,
    ExportHeader,
    KeywordPerformance,
    Setting,
    checked_version,
)

from .csv_columns import COLUMNS, TEXT_COLUMNS

Record = ContentRow | KeywordPerformance | ContentPerformance | Setting
T = TypeVar("T")

#: Characters in one CSV cell; bodies outgrow the parser's own bound of 131,072.
MAX_CELL_CHARACTERS = 2**31 - 1
#: Characters of one line of a Markdown header; a longer one is no header.
MAX_FRONT_MATTER_ROW = 4_096


@dataclass(frozen=True, kw_only=True)
class ExportFile:
    """An export that is being read."""

    header: ExportHeader
    records: Iterator[Record]
    """In the order of the file; each can be taken once."""


def read_json(source: BinaryIO) -> ExportFile:
    """Read a JSON export; the document is held in memory.

    Raises:
        InvalidInput: not an export, or one of a version this build does not know.

    Example:
        >>> with open("site.json", "rb") as source:
        ...     titles = [r.title for r in read_json(source).records if isinstance(r, ContentRow)]
    """
    try:
        document = json.load(source)
    except ValueError:
        raise InvalidInput("the file is not JSON; give the reader the export as it was written") from None
    if not isinstance(document, dict):
        raise InvalidInput("the file is JSON but no export; give the reader the export as it was written")
    return ExportFile(header=_header(document), records=_json_records(document))


def read_csv(source: BinaryIO) -> ExportFile:
    """Read a CSV export row by row; memory holds one row.

    Raises:
        InvalidInput: not an export, or one of a version this build does not know. A broken row raises when
            it is reached.
    """
    # The bound is the interpreter's, not the reader's; only ever raised, it cannot disturb another reader.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL_CHARACTERS))
    rows = _csv_rows(csv.reader(_decoded(source), strict=True))
    if next(rows, None) != COLUMNS:
        raise InvalidInput(
            "the file has other columns than an export; give the reader the export as it was written"
        )
    header = _header(_by_column(next(rows, ())))
    return ExportFile(header=header, records=(_csv_record(_by_column(row)) for row in rows))


def read_markdown_header(source: BinaryIO) -> ExportHeader:
    """The header of a Markdown export; its body is for people.

    Raises:
        InvalidInput: not an export, or one of a version this build does not know.
    """
    fields: dict[str, object] = {}
    if source.readline(MAX_FRONT_MATTER_ROW).rstrip() == b"---":
        while (row := source.readline(MAX_FRONT_MATTER_ROW).rstrip()) not in (b"---", b""):
            name, _, value = row.partition(b": ")
            try:
                fields[name.decode()] = json.loads(value)
            except ValueError:
                raise InvalidInput(
                    "the file's front matter is not an export's; give the reader the export as it was written"
                ) from None
    return _header(fields)


def _header(fields: Mapping[str, object]) -> ExportHeader:
    if "export_version" not in fields:
        raise InvalidInput("the file names no export_version; give the reader the export as it was written")
    version = fields["export_version"]
    known = checked_version(int(version) if isinstance(version, str) and version.isdecimal() else version)
    return _made(ExportHeader, {**fields, "version": known})


def _json_records(document: Mapping[str, object]) -> Iterator[Record]:
    analytics = _mapping(document.get("analytics", {}))
    yield from (_made(ContentRow, row) for row in _array(document.get("content", [])))
    yield from (_made(KeywordPerformance, row) for row in _array(analytics.get("keywords", [])))
    yield from (_made(ContentPerformance, row) for row in _array(analytics.get("content", [])))
    for name, value in _mapping(document.get("settings", {})).items():
        yield Setting(name=name, value=value)


def _decoded(source: BinaryIO) -> Iterator[str]:
    # Only the first may begin with a byte order mark.
    yield source.readline().decode("utf-8-sig")
    yield from (row.decode() for row in source)


def _csv_rows(rows: Iterable[list[str]]) -> Iterator[tuple[str, ...]]:
    try:
        yield from (tuple(row) for row in rows)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidInput(f"the file is not the CSV of an export: {error}") from None


def _by_column(row: tuple[str, ...]) -> dict[str, str]:
    if len(row) != len(COLUMNS):
        raise InvalidInput(
            f"a row has {len(row)} cells instead of {len(COLUMNS)}; the file is cut or was edited"
        )
    return {
        column: restored(cell) if column in TEXT_COLUMNS else cell
        for column, cell in zip(COLUMNS, row, strict=True)
    }


def _csv_record(cells: Mapping[str, str]) -> Record:
    match cells["section"]:
        case "content":
            optional = {name: cells[name] or None for name in ("url", "published_at")}
            return _made(ContentRow, {**cells, **optional})
        case "keyword":
            return _made(KeywordPerformance, cells)
        case "performance":
            return _made(ContentPerformance, {**cells, "content_id": cells["id"]})
        case "setting":
            try:
                return Setting(name=cells["name"], value=json.loads(cells["value"]))
            except ValueError:
                raise InvalidInput(
                    f"the setting {cells['name']!r} has no JSON value; the file was edited"
                ) from None
        case section:
            raise InvalidInput(f"a row has the unknown section {section!r}; the file was edited")


def _made(kind: type[T], fields: object) -> T:
    try:
        return TypeAdapter(kind).validate_python(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(
            f"{kind.__name__} cannot be read: {where}: {first['msg']}; the file was edited"
        ) from None


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise InvalidInput("a part of the export is no JSON object; the file was edited")
    return value


def _array(value: object) -> Iterable[object]:
    if not isinstance(value, list):
        raise InvalidInput("a part of the export is no JSON array; the file was edited")
    return value
