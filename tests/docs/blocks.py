"""The Python blocks of README and docs, as a reader sees them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

#: In front of a block that cannot be run: `<!-- excerpt: why -->`, on the line before its fence.
_EXCERPT = re.compile(r"<!-- excerpt: (?P<why>.+) -->")

_FENCE = re.compile(r"^(?P<indent> *)```(?:python|py|pycon)\b")


@dataclass(frozen=True)
class Block:
    """One block, and why it is not run, if it is not."""

    page: str
    row: int
    source: str
    excerpt: str | None = None

    @property
    def name(self) -> str:
        """Where it is, as editors like it: `docs/broker.md:9`."""
        return f"{self.page}:{self.row}"

    @property
    def is_test(self) -> bool:
        """It shows how to test, so pytest runs it."""
        return re.search(r"^def test_", self.source, re.MULTILINE) is not None


def pages() -> list[str]:
    """README, CONTRIBUTING and every page of docs, relative to the checkout."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path.relative_to(ROOT).as_posix() for path in found]


def blocks_of(page: str) -> list[Block]:
    """The Python blocks of a page, from top to bottom."""
    return list(read_blocks(page, (ROOT / page).read_text()))


def read_blocks(page: str, text: str) -> Iterator[Block]:
    """The Python blocks of a page's text."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if opening is None:
            number += 1
            continue
        end = next(at for at in range(number + 1, len(lines)) if lines[at].strip() == "```")
        indent = len(opening["indent"])
        source = "\n".join(each[indent:] for each in lines[number + 1 : end]) + "\n"
        marker = _EXCERPT.search(lines[number - 1]) if number else None
        yield Block(page, number + 1, source, marker["why"] if marker else None)
        number = end + 1
