"""The demo's content: the long descriptions of the Python distributions installed beside it.

Real texts, many scripts, three markups, and there wherever the demo runs.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions

#: Descriptions shorter than this are not articles.
MIN_CHARACTERS = 500
#: Keywords kept for one domain.
KEYWORDS_PER_DOMAIN = 25

_WORD = re.compile(r"[^\W\d_]{5,}")
_NOT_TEXT = re.compile(r"https?://\S+|<[^>]+>|[\w.-]+\.(?:svg|png|html?|py|md|rst)\b")


@dataclass(frozen=True, kw_only=True)
class Article:
    """A description, as a content item."""

    title: str
    body: str
    url: str | None

    @property
    def words(self) -> Counter[str]:
        """How often each longer word occurs, links and markup left out."""
        return Counter(word.casefold() for word in _WORD.findall(_NOT_TEXT.sub(" ", self.body)))


def articles() -> list[Article]:
    """Every installed distribution with a long description, by name."""
    found: dict[str, Article] = {}
    for distribution in distributions():
        article = _article(distribution)
        if len(article.body) >= MIN_CHARACTERS:
            found.setdefault(article.title.casefold(), article)
    return [found[name] for name in sorted(found)]


def top_keywords(texts: Iterable[Article]) -> list[str]:
    """The words that several articles share, the most frequent first."""
    total: Counter[str] = Counter()
    spread: Counter[str] = Counter()
    for text in texts:
        total.update(text.words)
        spread.update(text.words.keys())
    shared = [word for word, _ in total.most_common() if spread[word] > 1]
    return shared[:KEYWORDS_PER_DOMAIN]


def _article(distribution: Distribution) -> Article:
    metadata = distribution.metadata
    body = metadata["Description"] or metadata.get_payload() or ""  # type: ignore[attr-defined]  # an email.message.Message
    name, summary = metadata["Name"], metadata["Summary"]
    links = [value.partition(",")[2].strip() for value in metadata.get_all("Project-URL") or ()]
    return Article(
        title=f"{name}: {summary}"[:300] if summary else name,
        # PostgreSQL text takes neither NUL nor the lone surrogates of a badly encoded file.
        body=str(body).replace("\x00", "").encode("utf-8", "replace").decode(),
        url=metadata["Home-page"] or next(iter(links), None),
    )
