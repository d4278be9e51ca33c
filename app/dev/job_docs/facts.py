"""What there is to say about a job, gathered from its actor, its contract and its handler."""

import ast
import builtins
import datetime as datetime_
import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from types import ModuleType
from typing import Any, get_type_hints
from uuid import NAMESPACE_URL, uuid5

import pydantic
from dramatiq import Actor
from pydantic import BaseModel, JsonValue

import domain
import domain.errors
from middleware.contracts.guard import contract_of, normalise, version_of

#: Names in an example that stand for a moment; every other free name stands for an id.
MOMENTS = {
    "now": datetime(2026, 7, 1, 12, tzinfo=UTC),
    "yesterday": datetime(2026, 6, 30, 12, tzinfo=UTC),
    "start": datetime(2026, 6, 1, tzinfo=UTC),
    "end": datetime(2026, 6, 30, tzinfo=UTC),
}

#: What stands for the rest of a text that an example cuts short.
CUT = "0123456789abcdef"

_MAX_EXAMPLE_BYTES = 1_000_000


class DocumentationMissing(Exception):
    """Something that every job documents is not there; the message says what and where."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Errors that end a job in the same way."""

    names: tuple[str, ...]
    meaning: str
    category: str
    retryable: bool


@dataclass(frozen=True, kw_only=True)
class Example:
    """A job that could be sent."""

    #: Python, without the call of `send`, and the imports it needs.
    source: str
    imports: tuple[str, ...]
    #: Names that stand for ids of the caller's.
    free: tuple[str, ...]
    payload: dict[str, JsonValue]


@dataclass(frozen=True, kw_only=True)
class Job:
    """The facts of a job."""

    name: str
    summary: str
    actor: "Actor[..., Any]"
    contract: type[BaseModel] | None
    version: int
    schema: dict[str, Any] | None
    outcome: type[BaseModel] | None
    failures: tuple[Failure, ...]
    example: Example | None


def facts_of(actor: "Actor[..., Any]", schema: dict[str, Any] | None) -> Job:
    """Everything about one job.

    Parameters:
        actor: the job's.
        schema: the JSON Schema of its contract; None for a job without one.

    Raises:
        DocumentationMissing: naming the contract, field or handler.
    """
    contract = contract_of(actor)
    handler = _handler(actor, contract)
    if schema is not None:
        _check_fields(contract, schema)
    return Job(
        name=actor.actor_name,
        summary=_summary(actor, contract),
        actor=actor,
        contract=contract,
        version=version_of(contract) if contract is not None else 1,
        schema=schema,
        outcome=_model(get_type_hints(handler.__call__).get("return")),
        failures=tuple(_failures(handler)),
        example=_example(actor, contract) if contract is not None else None,
    )


def _summary(actor: "Actor[..., Any]", contract: type[BaseModel] | None) -> str:
    prose = _prose(inspect.unwrap(actor.fn))
    if not prose:
        raise DocumentationMissing(f"actor {actor.actor_name} has no docstring")
    more = _prose(contract) if contract is not None else ""
    return f"{prose}\n\n{more}".strip()


def _prose(documented: object) -> str:
    """A docstring up to its first section."""
    text = inspect.getdoc(documented) or ""
    sections = ("Example:", "Parameters:", "Raises:", "Returns:")
    kept = []
    for row in text.splitlines():
        if row.strip() in sections:
            break
        kept.append(row)
    return "\n".join(kept).strip()


def _check_fields(contract: type[BaseModel] | None, schema: dict[str, Any]) -> None:
    bare = [name for name, each in schema["properties"].items() if not each.get("description")]
    if bare and contract is not None:
        raise DocumentationMissing(
            f"{contract.__module__}.{contract.__name__}: {', '.join(bare)} without a meaning; "
            "put a docstring under the field"
        )


def _handler(actor: "Actor[..., Any]", contract: type[BaseModel] | None) -> type[Any]:
    """The class that does the job: the one whose call takes its contract, or nothing where it has none."""
    modules = _modules() if contract is not None else [_module(actor.actor_name)]
    wanted = [contract] if contract is not None else []
    for module in modules:
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == module.__name__ and _takes(kind) == wanted:
                return kind
    raise DocumentationMissing(
        f"no handler of {actor.actor_name} in domain/: a class whose __call__ takes "
        f"{contract.__name__ if contract is not None else 'nothing'}"
    )


def _takes(kind: type[Any]) -> list[object] | None:
    call = vars(kind).get("__call__")
    if call is None or getattr(kind, "_is_protocol", False):
        return None
    hints = get_type_hints(call)
    return [hints.get(name) for name in list(inspect.signature(call).parameters)[1:]]


@cache
def _modules() -> list[ModuleType]:
    return [_module(each.name) for each in pkgutil.iter_modules(domain.__path__)]


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{domain.__name__}.{name}")


def _failures(handler: type[Any]) -> Iterator[Failure]:
    where = f"{handler.__module__}.{handler.__name__}.__call__"
    entries = list(_entries(inspect.getdoc(handler.__call__) or "", "Raises:"))
    if not entries:
        raise DocumentationMissing(f"{where} has no `Raises:`; say what ends the job, one error a line")
    for names, meaning in entries:
        kinds = [getattr(domain.errors, name, None) or vars(_of(handler)).get(name) for name in names]
        if not all(isinstance(kind, type) for kind in kinds):
            raise DocumentationMissing(
                f"{where} raises {', '.join(names)}, and not all of them are errors of ours"
            )
        # Those of one line may differ in how they are treated; then each has a line of its own.
        groups: dict[tuple[str, bool], list[str]] = {}
        for name, kind in zip(names, kinds, strict=True):
            treated = getattr(kind, "category", "unknown"), bool(getattr(kind, "retryable", False))
            groups.setdefault(treated, []).append(name)
        for (category, retryable), group in groups.items():
            yield Failure(names=tuple(group), meaning=meaning, category=category, retryable=retryable)


def _of(handler: type[Any]) -> ModuleType:
    return importlib.import_module(handler.__module__)


def _entries(text: str, section: str) -> Iterator[tuple[list[str], str]]:
    """The entries of a docstring's section: names before the colon, the meaning behind it."""
    inside, entries = False, list[str]()
    for row in inspect.cleandoc(text).splitlines():
        if not row.startswith(" "):
            inside = row.strip() == section
        elif inside and entries and (row.startswith("     ") or entries[-1].endswith(",")):
            entries[-1] += f" {row.strip()}"
        elif inside:
            entries.append(row.strip())
    for entry in entries:
        names, _, meaning = entry.partition(":")
        yield [name.strip() for name in names.split(",")], meaning.strip()


def _example(actor: "Actor[..., Any]", contract: type[BaseModel]) -> Example:
    where = f"{contract.__module__}.{contract.__name__}"
    names = _Names(importlib.import_module(contract.__module__))
    shown = doctest.DocTestParser().get_examples(inspect.getdoc(contract) or "")
    made: list[BaseModel] = []
    for each in shown:
        try:
            made = [value for value in _run(each.source, names) if isinstance(value, contract)] or made
        except Exception as error:
            raise DocumentationMissing(f"the example of {where} does not run: {error}") from error
    if not made:
        raise DocumentationMissing(
            f"{where} has no example: put `Example:` and a line like `>>> {contract.__name__}(org_id=org, ...)` "
            "into its docstring"
        )
    return Example(
        source="\n".join(each.source.strip() for each in shown),
        imports=tuple(
            f"from {module} import {', '.join(sorted(taken))}"
            for module, taken in sorted(names.taken.items())
        ),
        free=tuple(names.free),
        payload=normalise(actor.message(made[-1]), contract, _MAX_EXAMPLE_BYTES),
    )


def _run(source: str, names: "_Names") -> Iterator[object]:
    """What the statements of one example evaluate to."""
    for statement in _Complete().visit(ast.parse(source)).body:
        if isinstance(statement, ast.Expr):
            code = compile(ast.Expression(statement.value), "<example>", "eval")
            yield eval(code, {}, names)  # noqa: S307  # our own docstring
        else:
            code = compile(ast.Module([statement], []), "<example>", "exec")
            exec(code, {}, names)  # noqa: S102  # likewise


class _Complete(ast.NodeTransformer):
    """Text that ends in `...` is cut short, as secrets are in examples; what runs has something longer there."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:  # the visitor's own name
        if isinstance(node.value, str) and node.value.endswith("..."):
            return ast.copy_location(ast.Constant(node.value.removesuffix("...") + CUT), node)
        return node


class _Names(dict[str, object]):
    """What names in an example stand for."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__()
        self._module = module
        self.taken: dict[str, set[str]] = {}
        self.free: list[str] = []

    def __missing__(self, name: str) -> object:
        for module in (self._module, pydantic, datetime_):
            if hasattr(module, name):
                self.taken.setdefault(module.__name__, set()).add(name)
                return getattr(module, name)
        if hasattr(builtins, name):
            return getattr(builtins, name)
        if name not in self.free:
            self.free.append(name)
        return MOMENTS.get(name) or uuid5(NAMESPACE_URL, name)


def _model(annotation: object) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
