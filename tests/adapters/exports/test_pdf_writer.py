"""PDF exports, read by a PDF reader."""

import io
import time
from collections.abc import Sequence
from typing import BinaryIO

import pytest
from pypdf import PdfReader

from domain.export_records import ContentRow, Setting
from domain.limits import GIB, Limits

from .samples import EXPORT_ID, HEADER, KEYWORDS, NOW, ODD_TEXTS, header_only, row, written

GREEK = "Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία"
CYRILLIC = "Съешь же ещё этих мягких французских булок"
LATIN = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich"


def test_it_says_what_it_is() -> None:
    """Title, version and time stand in the metadata, the title on the first page."""
    reader = PdfReader(written("pdf"))
    assert reader.metadata is not None
    assert reader.metadata.title == "bakery.example export"
    assert reader.metadata.keywords == f"export, export_version=1, export_id={EXPORT_ID}"
    assert reader.metadata.creation_date == NOW.replace(microsecond=0)
    assert reader.pages[0].extract_text().startswith("bakery.example")


def test_latin_greek_and_cyrillic_read_back() -> None:
    """Text of the three scripts is found again, letter by letter, in titles and bodies."""
    rows = [_item(GREEK, CYRILLIC), _item(CYRILLIC, LATIN), _item(LATIN, GREEK)]
    text = _text(written("pdf", rows))
    for sentence in (GREEK, CYRILLIC, LATIN):
        assert text.count(sentence) == 3, sentence  # contents, heading, body


def test_every_part_is_there() -> None:
    """Content, keywords, performance and settings are there, and are bookmarks."""
    export = written("pdf")
    text = _text(export)
    assert "ψωμί 0 1 0.3" in text
    assert "-Rye 5 61" in text
    assert 'limits {"posts": [1, 2.5, null, true], "note": "=1\\nü"}' in text
    bookmarks = [entry.title for entry in PdfReader(export).outline if not isinstance(entry, list)]
    assert bookmarks == ["Content", "Keywords", "Performance", "Settings"]


def test_pages_are_numbered() -> None:
    """Each page says which one it is, and of how many."""
    reader = PdfReader(written("pdf", [row(number, LATIN * 10) for number in range(30)]))
    pages = len(reader.pages)
    assert pages > 2
    for number, page in enumerate(reader.pages, start=1):
        assert page.extract_text().rstrip().endswith(f"{number} / {pages}")


@pytest.mark.parametrize("text", [*ODD_TEXTS, "\x00", "\ud800", "\U0010ffff", "x" * 5_000, "\n" * 3_000])
def test_no_text_crashes_it(text: str) -> None:
    """Any text may stand anywhere; what comes out is a PDF."""
    settings = [Setting(name=f"n{text}", value=text)]
    export = written("pdf", [row(1, text)], [], [], settings)
    assert len(PdfReader(export).pages) >= 1


def test_text_is_never_code() -> None:
    """Markup in a text is printed as it stands, in a title, a body and a table alike."""
    code = '#eval("40+2") #read("/etc/hostname") $x^2$ *b* @ref'
    text = " ".join(_text(written("pdf", [_item(code, code)], [], [], [Setting(name=code, value=1)])).split())
    assert text.count(code) == 4  # contents, heading, body, setting


def test_long_bodies_are_cut_and_say_so() -> None:
    """Of a body a PDF shows 2,000 characters and an ellipsis, and of a table the first 500 rows."""
    text = _text(written("pdf", [_item("Long", "ab " * 5_000)], KEYWORDS * 300, [], []))
    assert text.count("ab") <= 2_000 // 3 + 1
    assert "ab…" in text.replace("\n", "")
    assert "The first 500 of 600. The other formats hold all." in text


def test_an_export_of_nothing_is_a_title_page() -> None:
    """Every part left out still makes a PDF."""
    text = _text(io.BytesIO(header_only("pdf")))
    assert str(HEADER.export_id) in text
    assert "Keywords" not in text


def test_the_same_export_is_the_same_file() -> None:
    """A repeated attempt with the same data makes the same bytes."""
    assert written("pdf").read() == written("pdf").read()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("texts", "limit_bytes"), [(ODD_TEXTS, GIB), ((GREEK, CYRILLIC, LATIN), Limits().max_download_size)]
)
def test_ten_thousand_long_rows_are_a_document(texts: Sequence[str], limit_bytes: int) -> None:
    """10,000 rows of 5,000 characters take under a tenth of the job's ten minutes; plain text can be downloaded."""
    rows = (_item(texts[number % len(texts)], texts[number % len(texts)] * 125) for number in range(10_000))
    started = time.monotonic()
    export = written("pdf", rows)
    assert time.monotonic() - started < 60
    assert len(export.getvalue()) < limit_bytes
    assert len(PdfReader(export).pages) > 500


def _item(title: str, body: str) -> ContentRow:
    plain = row(1, "")
    return ContentRow(**(vars(plain) | {"title": title, "body": body}))


def _text(export: BinaryIO) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(export).pages)
