"""What the tests export: plain, odd and generated."""

import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

from hypothesis import strategies as st

from adapters.exports import WRITERS
from domain.domain_export import Format
from domain.export_records import ContentPerformance, ContentRow, ExportHeader, KeywordPerformance, Setting

NOW = datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=UTC)
EXPORT_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
HEADER = ExportHeader(
    version=1, export_id=EXPORT_ID, domain_id=UUID(int=7), domain_name="bakery.example", exported_at=NOW
)

#: Texts that break careless writers.
ODD_TEXTS = (
    "Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία",
    "Съешь же ещё этих мягких французских булок",
    "いろはにほへと 中文 한국어",
    "😀 👩‍👩‍👧 🇬🇷",
    "العربية \u202eעברית",
    'he said "no", twice',
    "comma, semicolon; tab\t and pipe |",
    "line\nbreak\r\nand\rmore\n\n",
    "=cmd|'/C calc'!A0",
    "+1+1",
    "-1",
    "@SUM(A1)",
    "\tTAB",
    "\rCR",
    "|pipe",
    "'=already quoted",
    "'plain apostrophe",
    "# heading\n---\n| a | b |\n```\n<script>alert(1)</script>",
    '#eval("1+1") #read("/etc/passwd") $x^2$ *bold* _it_ `raw` <label> @ref // note',
    "bell\x07 escape\x1b nonchar\ufffe unit\x1f next line\x85 separator\u2028",
    "e" + "\u0301" * 50,
    "",
    " leading and trailing ",
    "\ufeff=1+1",
    "\u200b\uff1d1",
    "\n=1",
)


def row(number: int, text: str) -> ContentRow:
    """A content item that carries `text` in its title and body."""
    return ContentRow(
        id=UUID(int=number),
        title=f"{text}{number}",
        body=text,
        content_type="article",
        status="published",
        url=f"https://bakery.example/{number}" if number % 2 else None,
        created_at=NOW - timedelta(minutes=number),
        published_at=NOW.astimezone(timezone(timedelta(hours=3))) if number % 3 else None,
    )


ODD_ROWS = [row(number, text) for number, text in enumerate(ODD_TEXTS)]
KEYWORDS = [
    KeywordPerformance(keyword="=rye", clicks=12, impressions=340, average_position=3.25),
    KeywordPerformance(keyword="ψωμί", clicks=0, impressions=1, average_position=0.1 + 0.2),
]
PERFORMANCE = [ContentPerformance(content_id=UUID(int=3), title="-Rye", views=5, engaged_seconds=61)]
SETTINGS = [
    Setting(name="language", value="el"),
    Setting(name="limits", value={"posts": [1, 2.5, None, True], "note": "=1\nü"}),
    Setting(name="offset", value=-5),
]


def written(
    kind: Format,
    rows: Iterable[ContentRow] = ODD_ROWS,
    keywords: Sequence[KeywordPerformance] = KEYWORDS,
    performance: Sequence[ContentPerformance] = PERFORMANCE,
    settings: Sequence[Setting] = SETTINGS,
) -> io.BytesIO:
    """A whole export, to be read from its start."""
    sink = io.BytesIO()
    writer = WRITERS[kind](sink)
    writer.begin(HEADER)
    writer.content(iter(rows))
    writer.analytics(list(keywords), list(performance))
    writer.settings(list(settings))
    writer.finish()
    sink.seek(0)
    return sink


def header_only(kind: Format) -> bytes:
    """The file of an export that leaves every part out."""
    sink = io.BytesIO()
    writer = WRITERS[kind](sink)
    writer.begin(HEADER)
    writer.finish()
    return sink.getvalue()


_texts = st.one_of(st.text(max_size=30), st.sampled_from(ODD_TEXTS))
_times = st.datetimes(timezones=st.just(UTC))
_counts = st.integers(min_value=0, max_value=2**53)
_json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=5,
)

content_rows = st.lists(
    st.builds(
        ContentRow,
        id=st.uuids(),
        title=_texts,
        body=_texts,
        content_type=_texts,
        status=_texts,
        url=st.none() | _texts.filter(bool),
        created_at=_times,
        published_at=st.none() | _times,
    ),
    max_size=4,
)
keyword_rows = st.lists(
    st.builds(
        KeywordPerformance,
        keyword=_texts,
        clicks=_counts,
        impressions=_counts,
        average_position=st.floats(min_value=0, max_value=1e6),
    ),
    max_size=3,
)
setting_rows = st.lists(
    st.builds(Setting, name=_texts, value=_json_values), max_size=3, unique_by=lambda setting: setting.name
)
