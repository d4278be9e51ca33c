"""Ideas without any remote service: the default provider, and the last resort when the others are down."""

import random as randomness
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from domain.idea_providers import IdeaRequest, KeywordAverages, Usage
from domain.ideas import MAX_TARGET_KEYWORDS, IdeaDraft

from . import template_texts as texts
from .search_standing import standing
from .template_titles import ANGLES, FRAMES, STANDING_ANGLES, TONE_ANGLES

#: The audience that stands for nobody in particular: the contract's default.
GENERAL_AUDIENCE = "general"
#: One idea in so many takes its angle from where the keyword stands in search.
STANDING_SHARE = 3
#: Longest topic and audience, in characters, that still leave a title within its bound.
MAX_TOPIC_CHARS = 120
MAX_AUDIENCE_CHARS = 60
#: Lengths an article may be drafted for, in words.
ARTICLE_WORDS = (800, 1_000, 1_200, 1_500, 1_800, 2_200)

#: Keyword, frame and angle.
_Parts = tuple[str, str, str]


class TemplateIdeaGenerator:
    """An `IdeaGenerator` that composes ideas from templates. It never fails and costs nothing.

    One keyword alone gives more than 500 titles for each content type and tone; a title in `known_titles` is
    not given again. With the same random source the same requests give the same ideas.

    Parameters:
        random: where choices come from: `secrets.SystemRandom()` in production, a seeded one to repeat a run.

    Example:
        >>> generator = TemplateIdeaGenerator(secrets.SystemRandom())
        >>> len(generator.generate(request, timeout_s=None, on_usage=print))
        10
    """

    name = "templates"

    def __init__(self, random: randomness.Random) -> None:
        self._random = random

    def generate(
        self, request: IdeaRequest, *, timeout_s: float | None, on_usage: Callable[[Usage], None]
    ) -> list[IdeaDraft]:
        """See `IdeaGenerator.generate`. Fewer than `request.count` only when all titles are known."""
        averages = {average.keyword: average for average in request.averages}
        titles = self._titles(request, averages)
        return [
            self._draft(request, title, averages.get(title.keyword))
            for title in islice(titles, request.count)
        ]

    def _titles(self, request: IdeaRequest, averages: dict[str, KeywordAverages]) -> Iterator["_Title"]:
        leading: list[_Parts] = []
        others: list[_Parts] = []
        for keyword in request.keywords:
            for frame in FRAMES[request.content_type]:
                leading += (
                    (keyword, frame, angle) for angle in STANDING_ANGLES[standing(averages.get(keyword))]
                )
                others += ((keyword, frame, angle) for angle in (*TONE_ANGLES[request.tone], *ANGLES))
        self._random.shuffle(leading)
        self._random.shuffle(others)
        seen = {title.casefold() for title in request.known_titles}
        for keyword, frame, angle in _mixed(leading, others):
            topic = _shortened(keyword, MAX_TOPIC_CHARS)
            text = frame.format(
                topic=topic,
                Topic=_capitalised(topic),
                angle=angle,
                for_audience=_for_audience(request.target_audience),
            )
            if text.casefold() not in seen:
                seen.add(text.casefold())
                yield _Title(text, keyword, angle)

    def _draft(self, request: IdeaRequest, title: "_Title", averages: KeywordAverages | None) -> IdeaDraft:
        stands = standing(averages)
        topic = _shortened(title.keyword, MAX_TOPIC_CHARS)
        words = {
            "topic": topic,
            "Topic": _capitalised(topic),
            "angle": title.angle,
            "clicks": _clicks(averages.clicks) if averages else "",
            "position": f"{averages.position:.1f}" if averages else "",
        }
        audience = _for_audience(request.target_audience)
        description = (
            self._random.choice(texts.OPENINGS[request.content_type]),
            self._random.choice(texts.MANNERS[request.tone]),
            texts.REASONS[stands],
        )
        outline = (
            self._random.choice(texts.OUTLINE_STARTS[request.content_type]),
            _capitalised(title.angle),
            *(self._random.choice(points) for points in texts.OUTLINE_MIDDLES[request.content_type]),
            texts.STANDING_POINTS[stands],
            self._random.choice(texts.OUTLINE_ENDS[request.content_type]),
        )
        others = [keyword for keyword in request.keywords if keyword != title.keyword]
        return IdeaDraft(
            title=title.text,
            description=" ".join(text.format(**words) for text in description)
            + (f" Made{audience}." if audience else ""),
            keywords=(
                title.keyword,
                *self._random.sample(others, min(MAX_TARGET_KEYWORDS - 1, len(others))),
            ),
            outline=tuple(dict.fromkeys(text.format(**words) for text in outline)),
            competitive_analysis=self._random.choice(texts.ANALYSES[stands]).format(**words),
            word_count=self._random.choice(ARTICLE_WORDS) if request.content_type == "article" else None,
        )


@dataclass(frozen=True)
class _Title:
    text: str
    keyword: str
    angle: str


def _mixed(leading: Sequence[_Parts], others: Sequence[_Parts]) -> Iterator[_Parts]:
    left = iter(leading)
    for number, parts in enumerate(others):
        if number % (STANDING_SHARE - 1) == 0:
            yield from islice(left, 1)
        yield parts
    yield from left


def _for_audience(audience: str) -> str:
    if audience.casefold() == GENERAL_AUDIENCE:
        return ""
    return f" for {_shortened(audience, MAX_AUDIENCE_CHARS)}"


def _clicks(clicks: float) -> str:
    rounded = f"{clicks:,.0f}"
    return f"{rounded} click" if rounded == "1" else f"{rounded} clicks"


def _shortened(text: str, max_chars: int) -> str:
    on_one_row = " ".join(text.split())
    return on_one_row if len(on_one_row) <= max_chars else on_one_row[: max_chars - 1].rstrip() + "…"


def _capitalised(text: str) -> str:
    # Names that carry capitals of their own, such as iPhone, stay as they are.
    return text[:1].upper() + text[1:] if text.split(" ", 1)[0].islower() else text
