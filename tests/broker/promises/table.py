"""The promises as a table for people, made of what the tests say: `python -m tests.broker.promises.table` writes it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER.parents[2] / "docs" / "broker-promises.md"

#: The order of the rows: every module of scenarios, once.
ORDER = (
    "test_dropped_connection",
    "test_fail_over",
    "test_far_future_messages",
    "test_far_ahead",
    "test_crash_after_promotion",
    "test_killed_on_an_idle_queue",
    "test_frozen_worker",
    "test_lock_held",
    "test_deadly_job",
    "test_interrupted_ack",
    "test_undecodable_bytes",
    "test_foreign_bytes",
    "test_flood",
    "test_many_at_once",
    "test_full_server",
    "test_clock_step",
)

_HEAD = """# What Dramatiq's Redis broker does, and what ours promises

Each row is one scenario that is run on both brokers, by the same code: `tests/broker/promises/`. A test of the second
column passes when the bad thing happens; if a release of Dramatiq cures it, that test says so. Dramatiq is 2.2.1, with
its own middleware; where a scenario waits for a dead worker's messages, its maintenance is run with every command,
where by itself it is run with one in a thousand, by chance.

This page is written by `python -m tests.broker.promises.table` from what the tests say.

| Promise | Dramatiq's `RedisBroker` | `FairRedisBroker` | Tests |
|---|---|---|---|
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One test, and what it says."""

    name: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One scenario: the promise, and the tests of each broker."""

    module: str
    promise: str
    vanilla: tuple[Case, ...]
    ours: tuple[Case, ...]


def rows() -> list[Row]:
    """In the order of the page."""
    return [_row(module) for module in ORDER]


def modules() -> set[str]:
    """All modules that run a scenario on a broker."""
    return {path.stem for path in FOLDER.glob("test_*.py") if _cases(path, "test_vanilla_", "test_ours_")}


def page() -> str:
    """The whole page."""
    lines = [
        f"| {row.promise} | {_said(row.vanilla)} | {_said(row.ours)} | {_named(row)} |" for row in rows()
    ]
    return _HEAD + "\n".join(lines) + "\n"


def _row(module: str) -> Row:
    path = FOLDER / f"{module}.py"
    return Row(
        module=module,
        promise=_words(ast.get_docstring(ast.parse(path.read_text()))),
        vanilla=tuple(_cases(path, "test_vanilla_")),
        ours=tuple(_cases(path, "test_ours_")),
    )


def _cases(path: Path, *prefixes: str) -> list[Case]:
    return [
        Case(name=node.name, words=_words(ast.get_docstring(node)))
        for node in _functions(path)
        if node.name.startswith(prefixes)
    ]


def _functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            yield node


def _words(docstring: str | None) -> str:
    return " ".join((docstring or "").split()).replace("|", "\\|")


def _said(cases: tuple[Case, ...]) -> str:
    return "<br>".join(each.words for each in cases)


def _named(row: Row) -> str:
    tests = (f"`{each.name}`" for each in (*row.vanilla, *row.ours))
    return "<br>".join((f"`{row.module}.py`", *tests))


if __name__ == "__main__":
    PAGE.write_text(page())
