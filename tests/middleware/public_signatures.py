"""Walks what a library offers, and names what stands in its signatures and is not offered itself.

Knows nothing but the standard library, so that an environment with the wheel alone runs it as a script:
`python public_signatures.py pressroom pressroom.broker pressroom.redis pressroom.memory`.
"""

import ast
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

#: Methods that are part of a class's use although their names begin with an underscore.
USED = ("__init__", "__call__", "__enter__", "__exit__", "__getitem__", "__iter__", "__len__", "__contains__")


@dataclass(frozen=True)
class Definition:
    """Where a name of the library is defined."""

    module: ModuleType
    node: ast.stmt
    name: str
    value: Any


def hidden_types(packages: list[str]) -> list[str]:
    """What stands in public signatures and is not public, each as `where: what`, sorted."""
    offers = [importlib.import_module(name) for name in packages]
    public = {name: getattr(each, name) for each in offers for name in each.__all__ if hasattr(each, name)}
    library = Library(packages)
    return sorted(set(library.hidden(public)))


def missing_names(packages: list[str]) -> list[str]:
    """Names in an `__all__` that its module does not have, and an `__all__` that is not sorted."""
    found = []
    for module in map(importlib.import_module, packages):
        names = list(module.__all__)
        found += [f"{module.__name__}.{name}" for name in names if not hasattr(module, name)]
        found += [f"{module.__name__}.__all__ is not sorted"] * (names != sorted(set(names)))
    return found


class Library:
    """Every module of some packages, and what each of them defines."""

    def __init__(self, packages: list[str]) -> None:
        self.modules = {each.__name__: each for name in packages for each in modules_of(name)}
        self.definitions = [each for module in self.modules.values() for each in definitions(module)]

    def hidden(self, public: dict[str, Any]) -> Iterator[str]:
        """What is not among `public` and stands in its signatures."""
        for name, value in public.items():
            for place, expression, module in self.annotations(name, value):
                for word in words(expression):
                    found = self.of_the_library(word, module)
                    if found and not any(
                        each is found.value or each == found.value for each in public.values()
                    ):
                        yield f"{place}: {found.name} of {found.module.__name__}"

    def annotations(self, name: str, value: Any) -> Iterator[tuple[str, ast.expr, ModuleType]]:
        """Every annotation of a public thing: its parameters, or its public fields and methods, inherited too."""
        for each in value.__mro__ if isinstance(value, type) else (value,):
            for found in self.definitions:
                if found.value is each and isinstance(found.node, ast.ClassDef | ast.FunctionDef):
                    for place, expression in expressions(found.node, name):
                        yield place, expression, found.module

    def of_the_library(self, word: str, module: ModuleType) -> Definition | None:
        """The definition that a word of an annotation stands for; None where it is other people's."""
        value = resolved(word, module)
        if isinstance(value, TypeVar | ParamSpec):
            return None
        name = word.split(".")[-1]
        for each in self.definitions:
            if isinstance(each.node, ast.ClassDef) and each.value is value:
                return each
            if (
                isinstance(each.node, ast.Assign | ast.AnnAssign)
                and each.name == name
                and each.value == value
            ):
                return each
        return None


def modules_of(package: str) -> Iterator[ModuleType]:
    """A package and all that is in it, but what needs an extra that is not installed, and programs."""
    root = importlib.import_module(package)
    yield root
    for found in pkgutil.walk_packages(getattr(root, "__path__", []), f"{package}."):
        if not found.name.endswith("__main__"):
            try:
                yield importlib.import_module(found.name)
            except ImportError:
                continue


def definitions(module: ModuleType) -> Iterator[Definition]:
    """What a module defines itself: classes, functions, and names for types."""
    for node in tree_of(module).body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield Definition(module, node, name, getattr(module, name, None))
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield Definition(module, node, name, getattr(module, name, None))


@cache
def tree_of(module: ModuleType) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(Path(str(module.__file__)).read_text())


def expressions(node: ast.stmt, name: str) -> Iterator[tuple[str, ast.expr]]:
    """The annotations of a function, or of all that a class has for its users."""
    match node:
        case ast.FunctionDef(args=arguments, returns=returns):
            each = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            each += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
            found = [parameter.annotation for parameter in each] + [returns]
            yield from ((name, annotation) for annotation in found if annotation is not None)
        case ast.AnnAssign(annotation=annotation):
            yield name, annotation
        case ast.ClassDef(body=body):
            for inner in body:
                label = inner.name if isinstance(inner, ast.FunctionDef) else field_of(inner)
                if label and (label in USED or not label.startswith("_")):
                    yield from expressions(inner, f"{name}.{label}")


def field_of(node: ast.stmt) -> str:
    """The name of a field that a class declares, or nothing."""
    return node.target.id if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) else ""


@cache
def imports_of(module: ModuleType) -> tuple[ast.ImportFrom, ...]:
    """Every import from somewhere, those for the type checker alone included."""
    return tuple(node for node in ast.walk(tree_of(module)) if isinstance(node, ast.ImportFrom))


def words(expression: ast.expr) -> Iterator[str]:
    """Every name in an annotation, those in quotes included, those of a `Literal` not."""
    match expression:
        case ast.Constant(value=str() as text):
            yield from words(ast.parse(text, mode="eval").body)
        case ast.Name(id=name):
            yield name
        case ast.Attribute():
            yield ast.unparse(expression)
        case ast.Subscript(value=ast.Name(id="Literal")):
            return
        case _:
            for inner in ast.iter_child_nodes(expression):
                if isinstance(inner, ast.expr):
                    yield from words(inner)


@cache
def resolved(word: str, module: ModuleType) -> Any:
    """What a word stands for in a module, also where the module imports it for the type checker alone."""
    first, *rest = word.split(".")
    value = getattr(module, first, None)
    if value is None:
        for node in imports_of(module):
            if any(each.name == first for each in node.names):
                name = "." * node.level + (node.module or "")
                package = module.__spec__.parent if module.__spec__ else None
                with suppress(ImportError):  # of an extra that is not installed: other people's
                    value = getattr(importlib.import_module(name, package), first, None)
    for each in rest:
        value = getattr(value, each, None)
    return value


if __name__ == "__main__":
    for problem in missing_names(sys.argv[1:]) + hidden_types(sys.argv[1:]):
        sys.stdout.write(f"{problem}\n")
