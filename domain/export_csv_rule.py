"""The rule that keeps spreadsheets from running what a CSV export holds.

A spreadsheet takes a cell that starts with one of a few characters as a formula, whatever the file says about
it. One apostrophe in front makes it text. So that reading gives back exactly what was written, cells that
already look neutralised get an apostrophe too.
"""

import re

#: Characters that start a formula, a command or a new cell in some spreadsheet.
FORMULA_STARTS = "=+-@\t\r|"

_STARTS_FORMULA = re.compile(rf"'*[{re.escape(FORMULA_STARTS)}]")
_NEUTRALISED = re.compile(rf"'+[{re.escape(FORMULA_STARTS)}]")


def neutralised(cell: str) -> str:
    """`cell` as it is safe to open in a spreadsheet.

    Example:
        >>> neutralised("=1+1"), neutralised("'=1+1"), neutralised("plain")
        ("'=1+1", "''=1+1", 'plain')
    """
    return f"'{cell}" if _STARTS_FORMULA.match(cell) else cell


def restored(cell: str) -> str:
    """What `neutralised` was given: the exact inverse, for every text.

    Example:
        >>> restored("'=1+1"), restored("plain")
        ('=1+1', 'plain')
    """
    return cell[1:] if _NEUTRALISED.match(cell) else cell
