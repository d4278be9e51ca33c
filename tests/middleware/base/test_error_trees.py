"""The error trees are drawn whole: what a reader sees above `GuardError` and in the broker is all there is."""

import re
from types import ModuleType

import pytest

import broker.errors
import middleware.base.errors
from tests.middleware.public_signatures import modules_of

TREES = {"middleware": middleware.base.errors, "broker": broker.errors}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # every module is imported, other people's too
@pytest.mark.parametrize("package", TREES)
def test_every_exception_is_drawn_below_its_parent(package: str) -> None:
    """And nothing is drawn that does not exist; a private one never leaves its module."""
    assert drawn(TREES[package]) == {
        kind.__name__: parent_of(kind) for kind in exceptions_of(package) if not kind.__name__.startswith("_")
    }


@pytest.mark.parametrize("package", TREES)
def test_every_drawn_exception_that_reaches_callers_is_public(package: str) -> None:
    """Whoever has to catch it can import it from the package itself; the helper's own stays within its process."""
    public = set(__import__(package).__all__)

    assert set(drawn(TREES[package])) - public <= {"Refused"}


def drawn(module: ModuleType) -> dict[str, str]:
    """What a module's docstring draws: the parent of each, by name. One with a dot is drawn for context only."""
    found: dict[str, str] = {}
    above: dict[int, str] = {}
    for row in (module.__doc__ or "").splitlines():
        if shown := re.fullmatch(r"    ((?:[│ ]   )*)(?:[├└]── )?([\w.]+)(?: {2,}.*)?", row):
            branches = "── " in row
            depth = len(shown[1]) // 4 + branches
            above[depth] = shown[2].rpartition(".")[2]
            if branches and "." not in shown[2]:
                found[above[depth]] = above[depth - 1]
    return found


def exceptions_of(package: str) -> set[type[BaseException]]:
    """Every exception that a module of a package defines."""
    values = {
        each for module in modules_of(package) for each in vars(module).values() if isinstance(each, type)
    }
    return {
        each
        for each in values
        if issubclass(each, BaseException) and each.__module__.split(".")[0] == package
    }


def parent_of(kind: type[BaseException]) -> str:
    """The first base, below which it is drawn."""
    return kind.__bases__[0].__name__
