"""Drafts out of what a model wrote: each idea is taken, mended or left out by itself."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from domain.ideas import (
    MAX_ARTICLE_WORDS,
    MAX_DRAFT_HEADINGS,
    MAX_DRAFT_KEYWORDS,
    MAX_KEYWORD_CHARS,
    MAX_TEXT_CHARS,
    MAX_TITLE_CHARS,
    IdeaDraft,
)

from .found_json import found_json

#: How deep the list of ideas may lie in what a model wraps it in.
_MAX_DEPTH = 4
_NUMBER = re.compile(r"(\d[\d,.' \u00a0\u202f]*)(k\b)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[,.' \u00a0\u202f](?=\d{3}(\D|$))")
_LIST_MARK = re.compile(r"^\s*(?:[-*\u2022]|\d{1,3}[.)])\s+")
_OMITTED = "\u2026"


@dataclass
class ReadDrafts:
    """What there was of ideas."""

    drafts: list[IdeaDraft] = field(default_factory=list)
    #: Ideas that were mended, and how.
    mended: list[str] = field(default_factory=list)
    #: Ideas that cannot be used, and why.
    dropped: list[str] = field(default_factory=list)


def read_drafts(values: Sequence[object]) -> ReadDrafts:
    """The drafts in the JSON that a model wrote.

    Of several lists of ideas the last one counts: the others were considered. What stands in a field beyond its
    bounds is cut, what is of no use and not needed is left out; an idea without title or description is dropped.

    Parameters:
        values: objects and lists, in their order.

    Example:
        >>> read_drafts([[{"title": "Rye", "description": "...", "word_count": "900 words"}]]).drafts[0].word_count
        900
    """
    for value in reversed(values):
        ideas = _ideas_in(value)
        if ideas and not _is_idea(value):
            found = _read(ideas)
            if found.drafts:
                return found
    ideas = [value for value in values if _is_idea(value)]
    return _read(ideas or next((each for each in map(_ideas_in, reversed(values)) if each), []))


def _ideas_in(value: object, depth: int = 0) -> Sequence[object]:
    if depth > _MAX_DEPTH:
        return ()
    if isinstance(value, str):
        # A whole reply as the text of another.
        inner = found_json(value).values if value.lstrip()[:1] in ("{", "[") else []
        return next((found for each in inner if (found := _ideas_in(each, depth + 1))), ())
    if isinstance(value, list):
        if any(map(_is_idea, value)):
            return value
        return next((found for each in value if (found := _ideas_in(each, depth + 1))), ())
    if not isinstance(value, dict):
        return ()
    if _is_idea(value):
        return [value]
    inside = sorted(value, key=lambda name: _folded(name) != "ideas")
    if len(value) > 1 and all(map(_is_idea, value.values())):
        return list(value.values())
    return next((found for name in inside if (found := _ideas_in(value[name], depth + 1))), ())


def _is_idea(value: object) -> bool:
    return isinstance(value, dict) and any(_folded(name) == "title" for name in value)


def _folded(name: object) -> str:
    return str(name).replace("_", "").replace("-", "").replace(" ", "").casefold()


def _read(ideas: Sequence[object]) -> ReadDrafts:
    read = ReadDrafts()
    for number, idea in enumerate(ideas, start=1):
        if not isinstance(idea, dict):
            read.dropped.append(f"idea {number} is no object")
            continue
        reader = _IdeaReader({_folded(name): value for name, value in idea.items()})
        try:
            draft = reader.draft()
        except ValidationError as error:
            where = error.errors(include_url=False, include_context=False, include_input=False)[0]["loc"]
            read.dropped.append(f"idea {number} has no usable {where[0]}")
            continue
        read.drafts.append(draft)
        if reader.mended:
            read.mended.append(f"idea {number}: {', '.join(dict.fromkeys(reader.mended))}")
    return read


class _IdeaReader:
    """Reads one idea, and notes what it had to mend."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = fields
        self.mended: list[str] = []

    def draft(self) -> IdeaDraft:
        return IdeaDraft(
            title=self._text("title", MAX_TITLE_CHARS),
            description=self._text("description", MAX_TEXT_CHARS),
            keywords=tuple(self._texts("keywords", MAX_DRAFT_KEYWORDS, MAX_KEYWORD_CHARS, separator=",")),
            outline=tuple(self._texts("outline", MAX_DRAFT_HEADINGS, MAX_TITLE_CHARS, separator="\n")),
            competitive_analysis=self._text("competitive_analysis", MAX_TEXT_CHARS),
            word_count=self._word_count(),
        )

    def _text(self, name: str, longest: int) -> str:
        value = self._fields.get(_folded(name))
        if isinstance(value, list):
            value = "\n".join(each for each in value if isinstance(each, str))
            self.mended.append(f"{name} was a list")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        return self._bounded(name, value, longest) if isinstance(value, str) else ""

    def _texts(self, name: str, most: int, longest: int, *, separator: str) -> list[str]:
        value = self._fields.get(_folded(name)) or []
        if isinstance(value, str):
            value = value.split(separator)
        if not isinstance(value, list):
            self.mended.append(f"{name} was no list and is left out")
            return []
        texts = [_heading(each) for each in value]
        kept = [self._bounded(name, each, longest) for each in texts if each]
        kept = [each for each in kept if each]
        if len(kept) < len([each for each in texts if each != ""]) or len(kept) > most:
            self.mended.append(f"{name} is shorter than it was")
        return kept[:most]

    def _bounded(self, name: str, value: str, longest: int) -> str:
        text = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\x00", "")
        if text != value:
            self.mended.append(f"{name} had characters that cannot be stored")
        text = text.strip()
        if len(text) > longest:
            self.mended.append(f"{name} was longer than {longest} characters")
            text = text[: longest - 1].rstrip() + _OMITTED
        return text

    def _word_count(self) -> int | None:
        value = self._fields.get("wordcount")
        if isinstance(value, str) and (number := _NUMBER.search(value)) is not None:
            value = _amount(number[1], thousands=number[2] is not None)
        if isinstance(value, float) and math.isfinite(value):
            value = round(value)
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_ARTICLE_WORDS:
            return value
        if value is not None:
            self.mended.append(f"word_count was no number from 1 to {MAX_ARTICLE_WORDS}")
        return None


def _amount(text: str, *, thousands: bool) -> float:
    digits = text.strip() if thousands else _THOUSANDS.sub("", text.strip())
    try:
        return float(digits[:20].replace(",", ".").rstrip(".")) * (1_000 if thousands else 1)
    except ValueError:
        return float("nan")


def _heading(value: object) -> str | None:
    if isinstance(value, dict):
        texts = (value.get(name) for name in ("heading", "title", "text", "name", "keyword"))
        value = next((each for each in texts if isinstance(each, str)), None)
    return _LIST_MARK.sub("", value) if isinstance(value, str) else None
