"""Where a keyword stands in search, and so what a new piece of content is there to do."""

from typing import Literal

from domain.idea_providers import KeywordAverages

Standing = Literal["defend", "snippet", "push", "build", "unknown"]

#: Last position on the first page of search results.
PAGE_ONE_END = 10
#: Last position on the second page.
PAGE_TWO_END = 20
#: Clicks a day from which a place on the first page is worth defending.
CLICKS_TO_DEFEND = 20


def standing(averages: KeywordAverages | None) -> Standing:
    """What to do about a keyword.

    - `defend`: on page one, and well clicked.
    - `snippet`: on page one, and rarely clicked: the title and the first lines do not promise enough.
    - `push`: on page two, one good piece away from being seen.
    - `build`: further down.
    - `unknown`: no figures.

    Parameters:
        averages: how the keyword has done lately; None when nobody measured.

    Example:
        >>> standing(KeywordAverages(keyword="rye", clicks=3.0, position=14.2))
        'push'
    """
    if averages is None:
        return "unknown"
    if averages.position > PAGE_TWO_END:
        return "build"
    if averages.position > PAGE_ONE_END:
        return "push"
    return "defend" if averages.clicks >= CLICKS_TO_DEFEND else "snippet"
