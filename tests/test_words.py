"""The words of names and of docstrings: those of the field, and sentences that say what is promised."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("actors", "adapters", "app", "benchmarks", "broker", "domain", "middleware")
CODE = (*PRODUCT, "examples", "migrations", "tests")

#: Words of a dialect that nobody speaks outside; as whole words of a name, split at underscores and capitals.
DIALECT = frozenset(
    re.findall(
        r"\w+",
        """
        told tells hear bury uncharged lonely condemned worn beater adopted forgotten reception introduction portion
        places mid wid uniq stock beating here line alone bench
        """,
    )
)
PHRASES = {("in", "hand"), ("far", "side")}

#: A sentence that begins like this says when or whether, and not what.
FRAGMENTS = re.compile(r"(Until|Now|Whether|Do|No longer|One|Since)\b")


def modules(folder: str) -> list[Path]:
    """Every Python file below a folder of the checkout."""
    return sorted((ROOT / folder).rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text())


@pytest.mark.parametrize("folder", CODE)
def test_a_name_is_made_of_words_of_the_field(folder: str) -> None:
    """Modules, classes, functions, parameters, attributes and options: none needs our own dictionary."""
    found = [
        f"{path.relative_to(ROOT)}:{row} {name}"
        for path in modules(folder)
        for name, row in [
            *((part, 0) for part in path.relative_to(ROOT).with_suffix("").parts),
            *identifiers(parsed(path)),
        ]
        if is_dialect(name)
    ]

    assert found == []


@pytest.mark.parametrize("folder", PRODUCT)
def test_a_public_docstring_says_what_is_promised(folder: str) -> None:
    """None begins with the word of a fragment, like `Whether` or `Until`."""
    found = [
        f"{path.relative_to(ROOT)} {name}: {text.splitlines()[0]}"
        for path in modules(folder)
        for name, text in public_docstrings(parsed(path))
        if FRAGMENTS.match(text)
    ]

    assert found == []


def test_words_are_found_within_a_name_and_not_within_a_word() -> None:
    """`lineno` and `deadline` are no lines; `worker_told`, `inHand` and `InHand` are found."""
    names = [
        "worker_told",
        "InHand",
        "in_hand",
        "_last_line",
        "HereAndNow",
        "WIDTH",
        "deadline",
        "lineno",
        "underlined",
    ]

    assert [name for name in names if is_dialect(name)] == [
        "worker_told",
        "InHand",
        "in_hand",
        "_last_line",
        "HereAndNow",
    ]


def is_dialect(name: str) -> bool:
    """A name has a word of the dialect as a whole word."""
    words = [each.lower() for each in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    return not DIALECT.isdisjoint(words) or not PHRASES.isdisjoint(pairwise(words))


def identifiers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every name that a module gives: not those that it uses of others."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node.lineno
            case (
                ast.arg(arg=name)
                | ast.Name(id=name, ctx=ast.Store())
                | ast.Attribute(attr=name, ctx=ast.Store())
            ):
                yield name, node.lineno
            case ast.alias(asname=str(name)):
                yield name, node.lineno
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                yield name, node.lineno


def public_docstrings(node: ast.AST) -> Iterator[tuple[str, str]]:
    """The docstrings of what a module or a class has for others."""
    for each in ast.iter_child_nodes(node):
        if isinstance(
            each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and not each.name.startswith("_"):
            yield each.name, ast.get_docstring(each) or ""
            if isinstance(each, ast.ClassDef):
                yield from public_docstrings(each)
