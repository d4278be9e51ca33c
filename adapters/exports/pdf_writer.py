"""PDF exports: the domain as a paged document to read and print."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from shutil import copyfileobj
from tempfile import TemporaryFile

from domain.export_records import ContentPerformance, ContentRow, ExportHeader, KeywordPerformance, Setting
from domain.export_size import Sink

from .excerpts import EXCERPT_CHARACTERS, excerpt, excerpt_length
from .typesetting import typeset

#: Characters of a title, name, address or setting in a PDF.
ROW_CHARACTERS = 200
#: Rows of each table in a PDF: the best ones.
TABLE_ROWS = 500
#: Bytes handed on at once from the finished file.
CHUNK_BYTES = 1 << 20

# Control characters, lone surrogates and the two permanent non-characters have no glyph and no place in a PDF.
_UNPRINTABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


class PdfWriter:
    """Writes a titled PDF with contents, page numbers and bookmarks.

    It is an excerpt: of each body the first 2,000 characters, fewer when there are so many that all bodies
    together would pass 2,000,000; of keywords and performance the first 500; of other texts 200 characters. The
    document says where something is left out. The other formats hold everything. Latin, Greek and Cyrillic are
    set in the fonts that come along; other scripts in the machine's fonts, or as empty boxes without any.

    The excerpts are held in memory and typeset by `finish`, in a process of its own.

    Parameters:
        sink: where the finished file goes.

    Example:
        >>> writer = PdfWriter(file)
        >>> writer.begin(header)
        >>> writer.content(rows)
        >>> writer.finish()
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._document: dict[str, object] = {}
        self._items: list[dict[str, str]] = []

    def begin(self, header: ExportHeader) -> None:
        self._document |= {
            "title": _one_row(header.domain_name),
            "facts": [
                ["Export", str(header.export_id)],
                ["Domain", str(header.domain_id)],
                ["Exported", _day_and_time(header.exported_at)],
                ["Data version", str(header.version)],
            ],
            "keywords": ["export", f"export_version={header.version}", f"export_id={header.export_id}"],
            "created_s": int(header.exported_at.timestamp()),
        }

    def content(self, rows: Iterator[ContentRow]) -> None:
        self._items = [_item(row) for row in rows]
        self._document["content"] = self._items

    def analytics(self, keywords: list[KeywordPerformance], content: list[ContentPerformance]) -> None:
        self._document["keyword_count"] = len(keywords)
        self._document["keyword_rows"] = [
            [_one_row(k.keyword), str(k.clicks), str(k.impressions), f"{k.average_position:.1f}"]
            for k in keywords[:TABLE_ROWS]
        ]
        self._document["performance_count"] = len(content)
        self._document["performance_rows"] = [
            [_one_row(c.title), str(c.views), str(c.engaged_seconds)] for c in content[:TABLE_ROWS]
        ]

    def settings(self, settings: list[Setting]) -> None:
        self._document["setting_rows"] = [
            [_one_row(setting.name), _one_row(json.dumps(setting.value, ensure_ascii=False))]
            for setting in settings
        ]

    def finish(self) -> None:
        """Typeset the document.

        Raises:
            InvalidInput: the typesetter refuses it.
            RetryableError: the typesetter was killed, most likely for lack of memory.
            DeadlineExceeded: it takes too long.
        """
        length = excerpt_length([len(item["body"]) for item in self._items])
        for item in self._items:
            item["body"] = excerpt(item["body"], length)
        with TemporaryFile() as pdf:
            typeset(self._document, pdf)
            pdf.seek(0)
            copyfileobj(pdf, self._sink, CHUNK_BYTES)


def _item(row: ContentRow) -> dict[str, str]:
    facts = [row.content_type, row.status, f"created {_day_and_time(row.created_at)}"]
    if row.published_at:
        facts.append(f"published {_day_and_time(row.published_at)}")
    if row.url:
        facts.append(row.url)
    return {
        "title": _one_row(row.title),
        "facts": " · ".join(_one_row(fact) for fact in facts),
        # One character more than is ever shown, so that `finish` can tell cut from complete.
        "body": _printable(row.body[: EXCERPT_CHARACTERS + 1]),
    }


def _one_row(text: str) -> str:
    return excerpt(" ".join(_printable(text[: ROW_CHARACTERS + 1]).split()), ROW_CHARACTERS)


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _day_and_time(moment: datetime | str) -> str:
    return moment if isinstance(moment, str) else moment.isoformat(sep=" ", timespec="minutes")
