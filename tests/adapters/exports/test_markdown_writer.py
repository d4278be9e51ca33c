"""Markdown exports, read by a Markdown parser."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from adapters.exports.reader import read_markdown_header

from .samples import HEADER, KEYWORDS, ODD_ROWS, ODD_TEXTS, SETTINGS, header_only, row, written
from .sinks import LargestPiece


def test_its_header_reads_back() -> None:
    """The front matter carries the version and the header."""
    assert read_markdown_header(written("markdown")) == HEADER
    assert written("markdown").readline() == b"---\n"


def test_each_part_and_each_item_has_its_heading() -> None:
    """The outline of the document is the domain, its parts and its items."""
    headings = list(_headings(_parsed(written("markdown").read())))
    titles = [("h3", " ".join(row.title.split())) for row in ODD_ROWS]
    assert headings == [
        ("h1", "bakery.example"),
        ("h2", "Content"),
        *titles,
        ("h2", "Keywords"),
        ("h2", "Performance"),
        ("h2", "Settings"),
    ]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_no_body_leaves_its_place(text: str) -> None:
    """Headings, rules, tables and HTML in a body stay inside its quote, so the next item still is one."""
    tokens = _parsed(written("markdown", [row(1, text), row(2, "next")], [], [], []).read())
    outside = list(_outside_quotes(tokens))
    assert [token.tag for token in outside if token.type == "heading_open"] == ["h1", *_PARTS]
    assert not [token for token in outside if token.type in {"hr", "html_block", "fence", "code_block"}]


def test_tables_have_a_row_a_record() -> None:
    """Pipes and markup in a cell neither split nor style it."""
    rows = [token for token in _parsed(written("markdown").read()) if token.type == "tr_open"]
    assert len(rows) == 3 + len(KEYWORDS) + 1 + len(SETTINGS)


def test_bodies_stay_word_for_word() -> None:
    """A body's own Markdown is not escaped, only quoted."""
    text = written("markdown", [row(1, "*bold* and [a link](https://x.example)  \n\nnext")]).read().decode()
    assert "> *bold* and [a link](https://x.example)  \n>\n> next\n" in text


def test_parts_left_out_have_no_heading() -> None:
    """An export of its header alone is the title and nothing more."""
    assert list(_headings(_parsed(header_only("markdown")))) == [("h1", "bakery.example")]


def test_it_is_written_row_by_row() -> None:
    """However many rows, no piece that is written is larger than one of them."""
    assert LargestPiece.of_rows("markdown", rows=50, body_bytes=10_000) < 2 * 10_000


_PARTS = ("h2", "h3", "h3", "h2", "h2", "h2")


def _parsed(export: bytes) -> list[Token]:
    body = export.decode().split("\n---\n", 1)[1]
    return MarkdownIt("commonmark").enable("table").parse(body)


def _outside_quotes(tokens: list[Token]) -> Iterator[Token]:
    depth = 0
    for token in tokens:
        depth += {"blockquote_open": 1, "blockquote_close": -1}.get(token.type, 0)
        if depth == 0:
            yield token


def _headings(tokens: list[Token]) -> Iterator[tuple[str, str]]:
    outside = list(_outside_quotes(tokens))
    for opening, inline in pairwise(outside):
        if opening.type == "heading_open":
            yield opening.tag, "".join(child.content for child in inline.children or [])
