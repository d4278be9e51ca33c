"""The order of the guards for people, made of what each says; run as a module, it writes the page."""

from pathlib import Path

from dramatiq.middleware import Middleware

import middleware
from middleware.base.stack import DRAMATIQ_POSITIONS, Position

PAGE = Path(__file__).resolve().parents[3] / "docs" / "guards" / "README.md"
_BEGIN, _END = "<!-- order: begin -->\n", "<!-- order: end -->\n"


def guards_at() -> dict[Position, list[str]]:
    """Every public guard, by where it says it stands, and Dramatiq's own."""
    found: dict[Position, list[str]] = {position: [] for position in Position}
    for name in middleware.__all__:
        public = getattr(middleware, name)
        if isinstance(public, type) and issubclass(public, Middleware):
            position = getattr(public, "position", None)
            if position is not None:
                found[position].append(f"`{name}`")
    for own, position in DRAMATIQ_POSITIONS.items():
        if f"`{own.__name__}`" not in found[position]:
            found[position].append(f"Dramatiq's `{own.__name__}`")
    return found


def table() -> str:
    """The table, outermost first."""
    head = "| position | who | why there |\n|---|---|---|\n"
    rows = [
        f"| `{position.name}` | {', '.join(names)} | {position.reason} |\n"
        for position, names in guards_at().items()
    ]
    return head + "".join(rows)


def page(text: str) -> str:
    """The page with the table as it is today."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}{table()}{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
