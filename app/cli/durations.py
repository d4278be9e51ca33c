"""Lengths of time as people write them: 45m, 12h, 30d."""

import re

import typer

_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def duration_s(text: str, option: str) -> int:
    """Seconds.

    Parameters:
        text: a number with s, m, h, d or w.
        option: what was given, for the error.

    Raises:
        BadParameter: it is something else.

    Example:
        >>> duration_s("12h", "--for")
        43200
    """
    found = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if found is None:
        raise typer.BadParameter(f"{option} is a number with s, m, h, d or w, like 30d; not {text!r}")
    return int(found[1]) * _UNITS_S[found[2]]
