"""No cell reaches a spreadsheet as a formula: not with a line feed first, a full-width sign or something invisible.

OWASP's list has the line feed (0x0A) beside tab and carriage return, and the full-width = + - @ (U+FF1D, FF0B, FF0D,
FF20). A byte order mark, a zero-width or a no-break space before the sign is dropped by some programs as they read.

Right: all of them are neutralised, the inverse stays exact, and what needs nothing (" plain", "ok") is left alone.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from domain.export_csv_rule import neutralised, restored
from tests.cases.kit import verdict

FORMULAS = (
    *("=1", "\t=1", "\r=1", "\n=1", "\n@x"),
    *("\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20SUM(1)"),
    *("\ufeff=1", "\u200b=1", "\u00a0=1", "'\uff1d1"),
)
HARMLESS = ("plain", " plain", "'tis", "", "a=1", "x\n=1")


def main() -> list[str]:
    """What is wrong."""
    faults = []
    for cell in FORMULAS:
        safe = neutralised(cell)
        is_safe = safe.startswith("'") and safe != cell and restored(safe) == cell
        print(f"{cell!a:16} {safe!a:18} {'ok' if is_safe else 'a formula'}")
        if not is_safe:
            faults.append(ascii(cell))
    changed = [ascii(cell) for cell in HARMLESS if neutralised(cell) != cell or restored(cell) != cell]
    return faults + changed


if __name__ == "__main__":
    verdict(main)
