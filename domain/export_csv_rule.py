"""The rule that keeps spreadsheets from running what a CSV export holds.

A spreadsheet takes a cell that starts with one of a few characters as a formula, whatever the file says about
it. Some programs pass over what no eye sees in front of it, or read full-width signs like the plain ones. One
apostrophe in front makes it text. So that reading gives back exactly what was written, cells that already look
neutralised get an apostrophe too.
"""

import re

#: Characters that start a formula, a command or a new cell in some spreadsheet: OWASP's list, the pipe, and what
#: becomes one of them when text is normalised.
FORMULA_STARTS = "=+-@\t\r\n|\uff1d\uff0b\uff0d\uff20\uff5c\ufe66\ufe62\ufe63\ufe6b\u2212"

#: What programs drop, or trim, as they read: controls, byte order marks, zero-width and no-break spaces, and other
#: characters without a shape of their own.
_INVISIBLE = (
    "\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff"
)
# A plain space alone keeps a formula from being one; a mark that is dropped beside it takes that away with it.
_FORMULA = rf"(?: *[{_INVISIBLE}][{_INVISIBLE} ]*)?[{re.escape(FORMULA_STARTS)}]"
_STARTS_FORMULA = re.compile(rf"'*{_FORMULA}")
_NEUTRALISED = re.compile(rf"'+{_FORMULA}")


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
