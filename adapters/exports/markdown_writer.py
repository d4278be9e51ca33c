"""Markdown exports: a document for people, with a header for programs."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from domain.export_records import ContentPerformance, ContentRow, ExportHeader, KeywordPerformance, Setting
from domain.export_size import Sink

_ROW_BREAK = re.compile(r"\r\n|\r|\n")
_SPACES = re.compile(r"\s+")
_MARKUP = re.compile(r"([\\`*_\[\]<>#&|~])")


class MarkdownWriter:
    """Writes front matter, then a heading a part and a heading an item.

    Front matter values are JSON, which YAML reads as well. Bodies are Markdown of their author's and stand as
    block quotes, so that nothing in them can close or open a part of the document; all other text is escaped.
    Memory holds one row.

    Parameters:
        sink: where the bytes go, as UTF-8.

    Example:
        >>> writer = MarkdownWriter(file)
        >>> writer.begin(header)
        >>> writer.content(rows)
        >>> writer.finish()
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def begin(self, header: ExportHeader) -> None:
        front = {
            "export_version": header.version,
            "export_id": str(header.export_id),
            "domain_id": str(header.domain_id),
            "domain_name": header.domain_name,
            "exported_at": header.exported_at.isoformat(),
        }
        self._write_row("---")
        for name, value in front.items():
            self._write_row(f"{name}: {json.dumps(value)}")
        self._write_row("---\n")
        self._write_row(f"# {_inline(header.domain_name)}\n")
        self._write_row(f"Exported {_day_and_time(header.exported_at)}.")

    def content(self, rows: Iterator[ContentRow]) -> None:
        self._write_row("\n## Content")
        for row in rows:
            self._item(row)

    def analytics(self, keywords: list[KeywordPerformance], content: list[ContentPerformance]) -> None:
        self._write_row("\n## Keywords\n")
        self._table(
            ("Keyword", "Clicks", "Impressions", "Average position"),
            ((k.keyword, str(k.clicks), str(k.impressions), f"{k.average_position:.1f}") for k in keywords),
        )
        self._write_row("\n## Performance\n")
        self._table(
            ("Content", "Views", "Engaged seconds"),
            ((c.title, str(c.views), str(c.engaged_seconds)) for c in content),
        )

    def settings(self, settings: list[Setting]) -> None:
        self._write_row("\n## Settings\n")
        self._table(
            ("Setting", "Value"),
            ((setting.name, json.dumps(setting.value, ensure_ascii=False)) for setting in settings),
        )

    def finish(self) -> None:
        """Nothing is pending: every line was written as it came."""

    def _item(self, row: ContentRow) -> None:
        # A fixed word comes first: no text of the row's stands where it could start a list or a heading.
        facts = [f"created {_day_and_time(row.created_at)}", row.content_type, row.status]
        if row.published_at:
            facts.append(f"published {_day_and_time(row.published_at)}")
        if row.url:
            facts.append(row.url)
        self._write_row(f"\n### {_inline(row.title)}\n")
        self._write_row(f"{' · '.join(_inline(fact) for fact in facts)}\n")
        for text in _ROW_BREAK.split(row.body):
            self._write_row(f"> {text}" if text else ">")

    def _table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        self._write_row(_table_row(head))
        self._write_row(_table_row(["---"] * len(head)))
        for row in rows:
            self._write_row(_table_row([_inline(cell) for cell in row]))

    def _write_row(self, text: str) -> None:
        self._sink.write(f"{text}\n".encode("utf-8", "replace"))


def _table_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _inline(text: str) -> str:
    """Text that Markdown shows as it is, within a line."""
    return _MARKUP.sub(r"\\\1", _SPACES.sub(" ", text).strip())


def _day_and_time(moment: datetime | str) -> str:
    return moment if isinstance(moment, str) else moment.isoformat(sep=" ", timespec="minutes")
