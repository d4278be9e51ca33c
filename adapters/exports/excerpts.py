"""How much of each body a PDF shows: a page is for reading, and every character costs the typesetter memory."""

from collections.abc import Sequence

#: Characters of one body in a PDF at most.
EXCERPT_CHARACTERS = 2_000
#: Characters of all bodies together; past it, the longest ones give way first.
ALL_EXCERPTS_CHARACTERS = 2_000_000


def excerpt_length(
    lengths: Sequence[int], *, most: int = EXCERPT_CHARACTERS, budget: int = ALL_EXCERPTS_CHARACTERS
) -> int:
    """The largest length, up to `most`, that all bodies can be cut to and fit the budget together.

    Parameters:
        lengths: characters of each body.
        most: bound on the result. Default 2,000.
        budget: bound on the sum of what is shown. Default 2,000,000.

    Example:
        >>> excerpt_length([10, 5_000])
        2000
        >>> excerpt_length([100] * 10, budget=500)
        50
    """
    left = budget
    shortest_first = sorted(lengths)
    for index, length in enumerate(shortest_first):
        share = left // (len(shortest_first) - index)
        if length > share:  # this one and all longer ones get an equal share
            return min(most, share)
        left -= length
    return most


def excerpt(text: str, length: int) -> str:
    """The beginning of `text`, with an ellipsis where something is left out.

    Example:
        >>> excerpt("abcdef", 3)
        'abc…'
    """
    return text if len(text) <= length else f"{text[:length].rstrip()}…"
